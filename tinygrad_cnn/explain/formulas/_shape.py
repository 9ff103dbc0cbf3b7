"""Operations that rearrange, repeat or join elements without changing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import numpy as np

from ...typing import Shape
from .._formula import Formula, Operation, Rule, axes_text, broadcast_sum, every
from .._typeset import shape_text
from ._text import index_text, span

# -- the same elements in another order ------------------------------------------------------------


def _reshaped_latex(name: str, shape: Shape) -> str:
    if len(shape) == 1:
        return rf"\operatorname{{vec}}({name})"
    return rf"\operatorname{{reshape}}_{{{shape_text(shape)}}}({name})"


def _reshaped(name: str, before: Shape, shape: Shape) -> str:
    if not before:  # perhaps a number, which has no methods
        return f"np.reshape({name}, {shape})"
    return f"{name}.reshape({', '.join(map(str, shape)) or '()'})"


def _transposed_latex(name: str, axes: Sequence[int]) -> str:
    if tuple(axes) == tuple(range(len(axes))):
        return name
    if len(axes) == 2:
        return rf"{{{name}}}^{{\top}}"
    return rf"\operatorname{{transpose}}_{{{','.join(map(str, axes))}}}({name})"


def _transposed(name: str, axes: Sequence[int]) -> str:
    if tuple(axes) == tuple(range(len(axes))):
        return name
    return f"{name}.T" if len(axes) == 2 else f"{name}.transpose({', '.join(map(str, axes))})"


def _inverse(op: Operation) -> list[int]:
    return [int(i) for i in np.argsort(op.params["axes"])]


def _flipped(name: str, op: Operation) -> str:
    return name + index_text(
        ["::-1" if i in op.params["axis"] else ":" for i in range(len(op.shape))]
    )


def _flipped_latex(name: str, op: Operation) -> str:
    if not op.params["axis"]:
        return name
    below = axes_text(sorted(op.params["axis"]))
    return rf"\operatorname{{flip}}_{{\text{{{below}}}}}({name})"


# -- repeated and summed ---------------------------------------------------------------------------


def _repeated_latex(name: str, shape: Shape) -> str:
    return rf"\operatorname{{broadcast}}_{{{shape_text(shape)}}}({name})" if shape else name


def _repeated(name: str, shape: Shape) -> str:
    return f"np.broadcast_to({name}, {shape})" if shape else name


def _summed_latex(name: str, before: Shape, shape: Shape) -> str:
    return broadcast_sum(before, shape)[0] + name


def _summed(name: str, before: Shape, shape: Shape) -> str:
    return name + broadcast_sum(before, shape)[1]


# -- joined ----------------------------------------------------------------------------------------


def _listed(op: Operation) -> str:
    return ", ".join(f"${i}" for i in range(len(op.shapes)))


def _joined_latex(name: str, op: Operation) -> str:
    return rf"\operatorname{{{name}}}_{{\text{{axis {op.params['axis']}}}}}({_listed(op)})"


def _joined(name: str, op: Operation) -> str:
    axis = f", axis={op.params['axis']}" if op.params["axis"] else ""
    return f"np.{name}([{_listed(op)}]{axis})"


def _part(index: int, op: Operation) -> str:
    """The index of what an operand became in the joined array."""
    axis = op.params["axis"]
    ends = list(accumulate(shape[axis] for shape in op.shapes))
    start = ends[index - 1] if index else 0
    return index_text([":"] * axis + [span(start, ends[index])])


def _slot(index: int, op: Operation) -> str:
    return index_text([":"] * op.params["axis"] + [str(index)])


def _cut_out(index: int, where: Callable[[int, Operation], str]) -> Rule:
    return Rule(
        lambda op: rf"$g\left[ \text{{{where(index, op)[1:-1]}}} \right]",
        lambda op: f"$g{where(index, op)}",
        name="its own part of it",
    )


# -- padded ----------------------------------------------------------------------------------------


def _padded_latex(name: str, value: float = 0.0) -> str:
    below = f"_{{{value:g}}}".replace("inf", r"\infty") if value else ""
    return rf"\operatorname{{pad}}{below}({name})"


def _padded(name: str, op: Operation, value: float = 0.0) -> str:
    if not op.shape:
        return name
    constant = f", constant_values={value!r}".replace("inf", "np.inf") if value else ""
    return f"np.pad({name}, {op.params['widths']}{constant})"


def _cropped_latex(name: str, op: Operation) -> str:
    inner = _inner(op)[1:-1]
    return rf"{name}\left[ \text{{{inner}}} \right]" if inner else name


def _inner(op: Operation) -> str:
    return index_text([span(before, -after) for before, after in op.params["widths"]])


# -- the table -------------------------------------------------------------------------------------


def _dtype(op: Operation) -> str:
    dtype = op.params["dtype"]
    return f"np.{dtype.name}" if dtype.isnative else repr(dtype.str)


SHAPE = {
    "reshape": Formula(
        lambda op: _reshaped_latex("$0", op.shape),
        lambda op: _reshaped("$0", op.shapes[0], op.shape),
        (
            Rule(
                lambda op: _reshaped_latex("$g", op.shapes[0]),
                lambda op: _reshaped("$g", op.shape, op.shapes[0]),
                name="the same numbers in the shape of the operand",
            ),
        ),
    ),
    "transpose": Formula(
        lambda op: _transposed_latex("$0", op.params["axes"]),
        lambda op: _transposed("$0", op.params["axes"]),
        (
            Rule(
                lambda op: _transposed_latex("$g", _inverse(op)),
                lambda op: _transposed("$g", _inverse(op)),
                name="with the axes put back in order",
            ),
        ),
    ),
    "flip": Formula(
        lambda op: _flipped_latex("$0", op),
        lambda op: _flipped("$0", op),
        (
            Rule(
                lambda op: _flipped_latex("$g", op),
                lambda op: _flipped("$g", op),
                name="in reversed order",
            ),
        ),
    ),
    "broadcast_to": Formula(
        lambda op: _repeated_latex("$0", op.shape),
        lambda op: _repeated("$0", op.shape),
        (
            Rule(
                lambda op: _summed_latex("$g", op.shape, op.shapes[0]),
                lambda op: _summed("$g", op.shape, op.shapes[0]),
                name="summed over the axes along which the operand was repeated",
            ),
        ),
    ),
    "sum_to": Formula(
        lambda op: _summed_latex("$0", op.shapes[0], op.shape),
        lambda op: _summed("$0", op.shapes[0], op.shape),
        (
            Rule(
                lambda op: _repeated_latex("$g", op.shapes[0]),
                lambda op: _repeated("$g", op.shapes[0]),
                name="repeated along the summed axes",
            ),
        ),
    ),
    "concatenate": Formula(
        lambda op: _joined_latex("concatenate", op),
        lambda op: _joined("concatenate", op),
        every(lambda index: _cut_out(index, _part)),
    ),
    "stack": Formula(
        lambda op: _joined_latex("stack", op),
        lambda op: _joined("stack", op),
        every(lambda index: _cut_out(index, _slot)),
    ),
    "pad": Formula(
        lambda op: _padded_latex("$0", op.params["value"]),
        lambda op: _padded("$0", op, op.params["value"]),
        (
            Rule(
                lambda op: _cropped_latex("$g", op),
                lambda op: f"$g{_inner(op)}",
                name="without what was added around",
            ),
        ),
    ),
    "crop": Formula(
        lambda op: _cropped_latex("$0", op),
        lambda op: f"$0{_inner(op)}",
        (
            Rule(
                _padded_latex("$g"),
                lambda op: _padded("$g", op),
                name="padded with zeros to where it was cut from",
            ),
        ),
    ),
    "astype": Formula("$0", lambda op: f"$0.astype({_dtype(op)})", (Rule("$g", "$g", "1"),)),
}
