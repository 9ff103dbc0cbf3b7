"""The vertices of the graph: what an operation was, and what it came from."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .context import Scope
    from .primitive import Primitive

# The marker of a vertex whose gradient is passed on and not kept.
DISCARD: Final[Any] = object()

_PACKAGE = Path(__file__).parent.parent
# Where operations are defined, not used: the source line of a node lies outside of these.
_INTERNAL = tuple(f"{_PACKAGE / folder}/" for folder in ("_core", "ops", "functional", "nn"))


class SourceLine(NamedTuple):
    """Where in the user's code an operation was called."""

    file: str
    line: int
    function: str

    @property
    def text(self) -> str:
        """The line itself, without indentation."""
        return linecache.getline(self.file, self.line).strip()

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}: {self.text}"


class Node:
    """One recorded operation.

    Attributes:
        primitive: what was done (``None`` for a leaf).
        args: the arrays it was done to, ``None`` once ``backward`` has let go of them.
        params: its settings, such as ``axis``.
        ans: the array that came out, ``None`` once let go of.
        parents: for each argument its vertex, or ``None`` where no gradient is needed.
        scope: the innermost scope it was recorded in.
        grad: the gradient kept for the user, or ``DISCARD``.
    """

    __slots__ = (
        "ans",
        "args",
        "code",
        "grad",
        "instruction",
        "params",
        "parents",
        "primitive",
        "scope",
    )

    primitive: Primitive | None

    def __init__(
        self,
        primitive: Primitive | None,
        args: Any,
        params: dict[str, Any],
        ans: Any,
        parents: Any,
        scope: Scope | None,
        code: CodeType | None,
        instruction: int,
    ) -> None:
        self.primitive = primitive
        self.args = args
        self.params = params
        self.ans = ans
        self.parents = parents
        self.scope = scope
        self.code = code
        self.instruction = instruction
        self.grad = DISCARD

    @property
    def source(self) -> SourceLine | None:
        """The user's line that recorded this operation."""
        return source_line(self.code, self.instruction)

    def __repr__(self) -> str:
        name = self.primitive.name if self.primitive else "leaf"
        where = f" in {self.scope.path}" if self.scope else ""
        return f"<Node {name}{where}>"


class Leaf(Node):
    """The vertex of a variable: it has no parents and collects a gradient."""

    __slots__ = ("name",)

    def __init__(self, name: str | None) -> None:
        super().__init__(None, (), {}, None, (), None, None, 0)
        self.name = name
        self.grad = None


def user_frame(depth: int) -> tuple[CodeType | None, int]:
    """The code and instruction of the nearest frame outside of the engine.

    The pair costs a tenth of a microsecond and keeps no frame alive; the line number is only
    worked out when someone asks for it.
    """
    frame: Any = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith(_INTERNAL):
            return code, frame.f_lasti
        frame = frame.f_back
    return None, 0


def source_line(code: CodeType | None, instruction: int) -> SourceLine | None:
    """The file, line and function of an instruction."""
    if code is None:
        return None
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return SourceLine(code.co_filename, line, code.co_name)
