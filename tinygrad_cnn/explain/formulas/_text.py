"""What the texts of several operations share."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...typing import Shape
from .._formula import Operation, Rule, axes_text

_LETTERS = "ijkl"


def dot(*shapes: Shape) -> str:
    """The sign of an elementwise product; of numbers, or with one, it is a dot."""
    return r"\odot" if all(shapes) else r"\cdot"


def elementwise(local: str, numpy: str) -> Rule:
    """The rule of an elementwise operation: upstream times a local factor."""
    shown = rf"\left( {local} \right)" if re.search(r" [+-] ", local) else local
    return Rule(lambda op: f"$g {dot(op.shape)} {shown}", f"$g * ({numpy})", local)


def indicator(condition: str, numpy: str) -> Rule:
    """Upstream where a condition holds, 0 elsewhere."""
    return elementwise(rf"\mathbf{{1}}[{condition}]", numpy)


def index_text(parts: Sequence[str]) -> str:
    """``[:, 1:3]``, without what would select everything behind; empty for no selection."""
    kept = list(parts)
    while kept and kept[-1] == ":":
        kept.pop()
    return f"[{', '.join(kept)}]" if kept else ""


def span(start: int, stop: int, step: int = 1) -> str:
    """A slice as it is written; 0 at the start and -0 at the end are left out.

    >>> span(1, 3), span(2, -1), span(0, 0)
    ('1:3', '2:-1', ':')
    """
    return f"{start or ''}:{stop or ''}" + (f":{step}" if step != 1 else "")


def over(sign: str, axis: Sequence[int], shape: Shape) -> str:
    """A sum, product or maximum of operand 0 over axes: by indices where it is over all."""
    if not axis:
        return "$0"
    if len(axis) == len(shape) <= len(_LETTERS):
        indices = ",".join(_LETTERS[: len(shape)])
        return rf"{sign}_{{{indices}}} {{$0}}_{{{indices}}}"
    return rf"{sign}_{{\text{{{axes_text(sorted(axis))}}}}} $0"


def reduced(name: str, op: Operation) -> str:
    """The call of a reduction, with the arguments that matter: ``$0.sum(axis=0)``."""
    axis, arguments = op.params["axis"], []
    if len(axis) < len(op.shapes[0]):
        arguments.append(f"axis={axis[0] if len(axis) == 1 else axis}")
    if op.params["keepdims"]:
        arguments.append("keepdims=True")
    return f"$0.{name}({', '.join(arguments)})"


def aligned(text: str, op: Operation) -> str:
    """A result of a reduction with new axes where it needs them to broadcast to the operand."""
    axis, ndim = op.params["axis"], len(op.shapes[0])
    if op.params["keepdims"] or not op.shape:
        return text
    parts = ["None" if i in axis else ":" for i in range(ndim)]
    while parts[0] == "None":  # broadcasting adds axes in front by itself
        del parts[0]
    if "None" not in parts:
        return text
    return (text if re.fullmatch(r"\$\w+", text) else f"({text})") + f"[{', '.join(parts)}]"
