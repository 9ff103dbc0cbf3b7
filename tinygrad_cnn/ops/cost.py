"""How many floating-point operations a primitive takes, from shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._arguments import listed, sizes
from ..errors import ArgumentError
from ..typing import Shape

__all__ = ["flops"]

_Formula = Callable[[Sequence[Shape], Shape, Mapping[str, Any]], int]


def _each(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """One for each element of the result."""
    return math.prod(out)


def _clip(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """Each element is compared with two limits."""
    return 2 * math.prod(out)


def _reduction(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """n elements become one by n - 1 operations."""
    return max(0, math.prod(shapes[0]) - math.prod(out))


def _cumsum(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """n - 1 additions along each line of n elements."""
    n = out[params["axis"]]
    return math.prod(out) // n * (n - 1) if n else 0


def _added(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """Each element of the argument is added to one of the result."""
    return math.prod(shapes[0])


def _matmul(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """A multiplication and an addition for each element of the result and inner index."""
    return 2 * math.prod(out) * shapes[0][-1]


def _einsum(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """For each value of all indices the factors multiplied, and added if an index is summed.

    As if there were one loop over all indices: NumPy may find a cheaper order for three operands
    or more.
    """
    inputs = params["inputs"]
    lengths: dict[str, int] = {}
    for subscripts, shape in zip(inputs, shapes, strict=True):
        for index, n in zip(subscripts, shape, strict=True):
            lengths[index] = max(n, lengths.get(index, 0))
    summed = len(lengths) > len(set(params["output"]))
    return math.prod(lengths.values()) * (len(inputs) - 1 + summed)


def _none(shapes: Sequence[Shape], out: Shape, params: Mapping[str, Any]) -> int:
    """Elements are moved, repeated, chosen (a pool's winners were found before) or converted."""
    return 0


_FORMULAS: dict[_Formula, str] = {
    _each: "abs add cos divide erf exp floor floor_divide log maximum minimum multiply negative"
    " power round sigmoid sign sin sqrt subtract tanh",
    _clip: "clip",
    _reduction: "max min prod sum sum_to",
    _cumsum: "cumsum",
    _added: "col2im scatter_add scatter_windows",
    _matmul: "matmul",
    _einsum: "einsum",
    _none: "astype broadcast_to concatenate crop flip gather_windows getitem im2col pad reshape"
    " stack transpose where",
}
_BY_NAME = {name: formula for formula, names in _FORMULAS.items() for name in names.split()}


def flops(
    name: str, arg_shapes: Sequence[Shape], out_shape: Shape, params: Mapping[str, Any]
) -> int:
    """The floating-point operations of one call of a primitive.

    A multiplication with an addition counts as two, as does each multiply-add of
    ``models.summary``. An addition, comparison, division or elementary function such as ``exp``
    counts as one for each element; moves, copies and conversions count as none.

    Args:
        name: the primitive, such as "matmul".
        arg_shapes: the shapes of its array arguments.
        out_shape: the shape of its result.
        params: its settings; ``cumsum`` and ``einsum`` read them.

    Raises:
        ArgumentError: the primitive is not one of this package.

    >>> from tinygrad_cnn.ops import flops
    >>> flops("matmul", [(32, 400), (400, 120)], (32, 120), {})
    3072000
    >>> flops("reshape", [(32, 400)], (400, 32), {"shape": (400, 32)})
    0
    """
    for shape in (*listed("flops", "arg_shapes", arg_shapes), out_shape):
        sizes("flops", shape)
    if name not in _BY_NAME:
        raise ArgumentError(f"flops: no formula for the primitive {name!r}")
    return int(_BY_NAME[name](arg_shapes, out_shape, params))
