"""The vertices of the graph: what an operation was, and what it came from."""

from __future__ import annotations

import itertools
import linecache
import os.path
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import ref

import numpy as np

from ..typing import Shape

if TYPE_CHECKING:
    from .context import Scope
    from .primitive import Primitive
    from .tensor import Tensor

# The marker of a vertex whose gradient is passed on and not kept.
DISCARD: Final[Any] = object()

_PACKAGE = os.path.dirname(os.path.dirname(__file__))
# Where operations are defined, not used: the source line of a node lies outside of these.
_PARTS = (
    "_core", "ops", "functional", "nn", "train", "compiler", "_methods.py", "checkpointing.py",
)  # fmt: skip
_INTERNAL = tuple(os.path.join(_PACKAGE, part) for part in _PARTS)


class _IsInternal(dict[str, bool]):
    """Whether a source file belongs to the engine; a lookup is faster than a comparison."""

    def __missing__(self, file: str) -> bool:
        internal = self[file] = file.startswith(_INTERNAL)
        return internal


_is_internal = _IsInternal()
next_age = itertools.count().__next__


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


class ArraySpec(NamedTuple):
    """What remains of an array that was let go of."""

    shape: Shape
    dtype: np.dtype[Any]


class Node:
    """One recorded operation.

    Attributes:
        primitive: what was done (``None`` for a leaf).
        args: the arrays it was done to, ``None`` once ``backward`` has let go of them.
        params: its settings, such as ``axis``.
        ans: the array that came out, or its ``ArraySpec`` once let go of, and for a leaf.
        parents: for each argument its vertex, or ``None`` where no gradient is needed.
        scope: the innermost scope it was recorded in.
        code, instruction: where in the user's code; ``source`` works out the line.
        age: counts up with every vertex made. Parents are older than what is made of them, so
            that sorting by age sorts topologically.
        grad: the gradient kept for the user, or ``DISCARD``.
    """

    __slots__ = (
        "age",
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

    def __init__(
        self,
        primitive: Primitive | None,
        args: tuple[Any, ...] | None,
        params: dict[str, Any],
        ans: Any,
        parents: tuple[Node | None, ...],
        scope: Scope | None,
        frame: FrameType | None,
    ) -> None:
        self.primitive = primitive
        self.args = args
        self.params = params
        self.ans = ans
        self.parents = parents
        self.scope = scope
        self.grad = DISCARD
        self.age = next_age()
        # The pair says where without keeping the frame alive, at a tenth of a microsecond.
        while frame is not None and _is_internal[frame.f_code.co_filename]:
            frame = frame.f_back
        if frame is None:
            self.code, self.instruction = None, 0
        else:
            self.code, self.instruction = frame.f_code, frame.f_lasti

    def release(self) -> None:
        """Let go of the saved arrays; scalars take no room and stay for those who look."""
        self.args = None
        if type(self.ans) is np.ndarray:
            self.ans = ArraySpec(self.ans.shape, self.ans.dtype)

    @property
    def source(self) -> SourceLine | None:
        """The user's line that recorded this operation."""
        return source_line(self.code, self.instruction)

    def __repr__(self) -> str:
        name = self.primitive.name if self.primitive else "leaf"
        where = f" in {self.scope.path}" if self.scope else ""
        return f"<Node {name}{where}>"


class Leaf(Node):
    """The vertex of a variable: it has no parents and collects a gradient.

    Attributes:
        name: what messages, pictures and derivations call it.
        is_parameter: whether a module owns it.
        tensor: a weak reference to the Tensor that has the values.
        written: when its values were last changed in place, on the clock of ``age``; what was
            recorded before cannot be differentiated any more.
    """

    __slots__ = ("is_parameter", "name", "tensor", "written")

    def __init__(self, data: Any, name: str | None, tensor: ref[Tensor]) -> None:
        super().__init__(None, (), {}, ArraySpec(data.shape, data.dtype), (), None, None)
        self.name = name
        self.tensor = tensor
        self.is_parameter = False
        self.grad = None
        self.written = -1

    def touch(self) -> None:
        """Note that the values were changed in place."""
        self.written = next_age()


def source_line(code: CodeType | None, instruction: int) -> SourceLine | None:
    """The file, line and function of an instruction."""
    if code is None:
        return None
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= instruction < end and number is not None:
            line = number
    return SourceLine(code.co_filename, line, code.co_name)
