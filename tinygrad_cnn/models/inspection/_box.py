"""The exact region of the image that one unit can depend on.

A mask that marks the unit is carried through the recorded graph from every result to the operands
it was computed from, down to the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from ... import nn
from ..._arguments import is_whole
from ..._core.backprop import backpropagate
from ..._core.node import Node
from ..._core.tensor import Tensor
from ..._kernels.windows import col2im
from ...errors import ArgumentError, GraphError, OutOfBoundsError, ShapeError
from ...nn._volatile import untouched
from ...ops.reduce import sum_p
from ...ops.shape import sum_to
from ...typing import Array, Shape
from ._tracking import ELEMENTWISE

__all__ = ["Box", "Unit", "box_of", "check_unit", "marked", "receptive_field_box", "recorded_unit"]

Unit: TypeAlias = tuple[str | nn.Module, int | Sequence[int]]
Box: TypeAlias = tuple[int, int, int, int]

# They move, repeat or add up elements: their rules carry a mask as it is, once the other factors
# are replaced by ones.
_LINEAR = {
    "col2im", "concatenate", "crop", "cumsum", "einsum", "flip",
    "getitem", "im2col", "matmul", "pad", "reshape", "scatter_add", "stack", "sum", "sum_to",
    "transpose",
}  # fmt: skip
_REDUCTIONS = {"max", "min", "prod"}


def receptive_field_box(model: nn.Module, unit: Unit, input_shape: Shape) -> Box:
    """The smallest rectangle of pixels that contains all that a unit can depend on.

    For a stack of convolutions and pools without padding its side is 1 + the sum over the layers
    of (F - 1) times the product of the strides before: three layers of 3x3 see 7x7.

    Args:
        model: any module that takes images; it is left as it was.
        unit: the layer, by name or as module, and the place in its output for one image, such
            as ``("conv2", (channel, row, column))``. A layer that runs several times is taken
            as it runs last.
        input_shape: of an image, (C, H, W) or (1, C, H, W).

    Returns:
        (top, left, bottom, right), the last two exclusive: ``image[:, top:bottom, left:right]``.
        Padding is no part of the image, so that the box ends at its border. Behind a primitive of
        your own it is the whole image. An index that the model computes from the values, as a
        sort does, is taken as it is for an image of zeros.

    Raises:
        ArgumentError: the model is no module, or has no such layer.
        ShapeError: ``input_shape`` or the index has another number of axes.
        OutOfBoundsError: the layer has no such unit.
        GraphError: the layer did not run, or does not depend on the image.

    Source: Dumoulin and Visin (2016), A guide to convolution arithmetic for deep learning; the
    CS231n notes on stacks of small filters.

    >>> import tinygrad_cnn as tc
    >>> stack = tc.nn.Sequential(*[tc.nn.Conv2d(1, 1, kernel_size=3) for _ in range(3)])
    >>> tc.models.receptive_field_box(stack, ("2", (0, 5, 5)), (1, 16, 16))
    (5, 5, 12, 12)
    """
    owner = "receptive_field_box"
    check_unit(owner, model, unit)
    lengths = tuple(input_shape) if isinstance(input_shape, (tuple, list)) else ()
    positive = all(is_whole(n) for n in lengths)
    if len(lengths) not in (3, 4) or not positive or lengths[:-3] not in ((), (1,)):
        raise ShapeError(
            f"{owner}: input_shape={input_shape!r:.60}, expected (C, H, W) of one image"
        )
    dtype = next((parameter.dtype for parameter in model.parameters()), np.float32)
    image = Tensor(np.zeros((1, *lengths[-3:]), dtype), requires_grad=True)
    # what an empty image makes of a logarithm does not matter
    with np.errstate(all="ignore"), untouched(model):
        output, index = recorded_unit(owner, model, unit, image)
    return box_of(owner, output, index, image)


def check_unit(owner: str, model: Any, unit: Any) -> None:
    """Refuse what is no model, or no layer with an index.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{owner}: expected a model (nn.Module), got {type(model).__name__}")
    if not isinstance(unit, tuple) or len(unit) != 2:
        given = repr(unit) if isinstance(unit, (str, tuple)) else type(unit).__name__
        raise ArgumentError(
            f"{owner}: unit={given:.60}, expected a layer and an index, such as"
            " ('conv2', (channel, row, column))"
        )


def recorded_unit(
    owner: str, model: nn.Module, unit: Unit, image: Tensor
) -> tuple[Tensor, tuple[int, ...]]:
    """The output of the unit's layer, recorded, and the unit's place in it.

    Raises:
        ArgumentError, GraphError, OutOfBoundsError, ShapeError: there is no such unit.
    """
    layer, index = unit
    module = _module(owner, model, layer)
    outputs: list[Any] = []
    handle = module.register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        model(image)
    finally:
        handle.remove()
    output = outputs[-1] if outputs else None
    if not isinstance(output, Tensor) or output.node is None:
        raise GraphError(f"{owner}: {layer!r:.60} made nothing that depends on the image")
    return output, _place(owner, index, output.shape[1:])


def _module(owner: str, model: nn.Module, layer: Any) -> nn.Module:
    named = dict(model.named_modules())
    if isinstance(layer, nn.Module) and layer in named.values():
        return layer
    if isinstance(layer, str) and layer in named:
        return named[layer]
    known = ", ".join(name for name in named if name)
    raise ArgumentError(f"{owner}: {layer!r:.60} is no layer of the model; it has {known}")


def _place(owner: str, index: Any, shape: Shape) -> tuple[int, ...]:
    """The index of one element of ``shape``, not negative."""
    place = tuple(index) if isinstance(index, (tuple, list)) else (index,)
    if len(place) != len(shape) or not all(isinstance(i, (int, np.integer)) for i in place):
        raise ShapeError(
            f"{owner}: index {index!r:.60} of a layer whose output for one image is {shape}:"
            f" expected {len(shape)} integers"
        )
    if not all(-n <= i < n for i, n in zip(place, shape, strict=True)):
        raise OutOfBoundsError(f"{owner}: index {index!r} of a layer whose output is {shape}")
    return tuple(int(i) % n for i, n in zip(place, shape, strict=True))


# -- the mask ------------------------------------------------------------------------------


def box_of(owner: str, output: Tensor, index: tuple[int, ...], image: Tensor) -> Box:
    """The pixels that can reach one element of what was recorded.

    Raises:
        GraphError: there are none.
    """
    start: Node = output.node  # type: ignore[assignment]  # the caller has checked
    seeds = {start: marked(output, index)}
    found = backpropagate(seeds, {image.node}, retain_graph=True, local=_operands_seen)  # type: ignore[arg-type]
    mask = np.asarray(found.get(image.node, np.zeros(image.shape)))  # type: ignore[arg-type]
    rows, columns = (np.flatnonzero(mask.any(axis=(0, 1, axis))) for axis in (3, 2))
    if not rows.size:
        raise GraphError(f"{owner}: the unit does not depend on the image")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def marked(output: Tensor, index: tuple[int, ...]) -> Array:
    """1 at the unit, 0 elsewhere."""
    mask = np.zeros(output.shape)
    mask[(0, *index)] = 1.0
    return mask


def _operands_seen(
    node: Node, mask: Any, needed: set[Node] | None, create_graph: bool
) -> list[tuple[int, Any]]:
    """In the place of gradients: which elements of each operand the marked results depend on."""
    marked = (np.asarray(mask) != 0).astype(np.float64)  # counts would overflow in deep networks
    return [
        (index, _seen(node, marked, index))
        for index, parent in enumerate(node.parents)
        if parent is not None and (needed is None or parent in needed)
    ]


def _seen(node: Node, mask: Array, index: int) -> Any:
    primitive, args, params = node.primitive, node.args, node.params
    name, shape = primitive.name, np.shape(args[index])  # type: ignore[union-attr,index]
    if name in ELEMENTWISE:
        return sum_to(mask, shape)
    if name in _LINEAR:
        ones = [np.ones(np.shape(arg)) for arg in args]  # type: ignore[union-attr]
        seen = primitive.rule(index)(mask, node.ans, *ones, **params)  # type: ignore[union-attr,misc]
        return sum_to(seen, shape)  # a matrix product broadcasts too
    if name in _REDUCTIONS:
        spread = sum_p.rule(0)
        return spread(mask, node.ans, args[0], axis=params["axis"], keepdims=params["keepdims"])  # type: ignore[index,misc]
    if name == "gather_windows":
        return _whole_windows(mask, shape, params["window"])
    return np.full(shape, float(mask.any()))  # who knows


def _whole_windows(mask: Array, shape: Any, window: Any) -> Array:
    """The elements that lie in a marked window, whichever of them won."""
    windows = np.moveaxis(mask, 0, -1)[:, np.newaxis]  # (C, 1, OH, OW, N)
    columns = np.repeat(windows, window.places, axis=1)  # (C, FH*FW, OH, OW, N)
    return col2im(columns, window=window, shape=shape)
