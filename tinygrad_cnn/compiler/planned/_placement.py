"""Where the batch lies in each value of a program, so that it can be cut into blocks of images.

An operation is *mapped* if it does to a block of images what it does to all of them: its result
for some images needs only their share of the operands. It is a *sum* if the results of the blocks
add up to the whole. All else is done *whole*, once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...typing import Array, Shape
from .._infer import ELEMENTWISE
from .._symbols import Operation, Symbol

MAPPED, SUM, WHOLE = "mapped", "sum", "whole"


class Place(NamedTuple):
    """The batch within an axis: its length is ``outer * N * inner``, the batch in the middle."""

    axis: int
    outer: int = 1
    inner: int = 1

    def moved(self, axis: int) -> Place:
        """The same on another axis."""
        return self._replace(axis=axis)

    def local(self, shape: Shape, images: int) -> Shape:
        """A shape, for so many images."""
        length = self.outer * images * self.inner
        return (*shape[: self.axis], length, *shape[self.axis + 1 :])

    def cut(self, array: Array, start: int, stop: int, images: int) -> Array:
        """The share of some of all ``images``, with outer, batch and inner as axes: a view."""
        before, after = array.shape[: self.axis], array.shape[self.axis + 1 :]
        split = array.reshape(*before, self.outer, images, self.inner, *after)
        return split[(slice(None),) * (self.axis + 1) + (slice(start, stop),)]


class Rule(NamedTuple):
    """What becomes of an operation.

    Attributes:
        kind: MAPPED, SUM or WHOLE.
        place: of the batch in the result of a mapped operation.
        wants: for each operand of which it needs a share, where the batch lies in it.
    """

    kind: str
    place: Place | None
    wants: dict[Symbol, Place]


_DONE_WHOLE = Rule(WHOLE, None, {})
Places = Mapping[Symbol, Place]


class Batch(NamedTuple):
    """What the rules know.

    Attributes:
        images: how many there are.
        places: of the operands that are there in blocks.
        constants: arrays that the program holds.
    """

    images: int
    places: Places
    constants: Mapping[Symbol, Array]


def rule_of(operation: Operation, batch: Batch) -> Rule:
    """How an operation is carried out."""
    if not any(operand in batch.places for operand in operation.operands()):
        return _DONE_WHOLE
    rule = _elementwise if operation.name in ELEMENTWISE else _RULES.get(operation.name)
    found = None if rule is None else rule(operation, batch)
    if found is None or any(p.outer > 1 and x not in batch.places for x, p in found.wants.items()):
        return _DONE_WHOLE  # the share of a whole value would be no view
    return found


def _elementwise(operation: Operation, batch: Batch) -> Rule | None:
    ndim = operation.result.ndim
    arrays = [x for x in operation.args if isinstance(x, Symbol)]
    found = {
        batch.places[x].moved(batch.places[x].axis + ndim - x.ndim)
        for x in arrays
        if x in batch.places
    }
    if len(found) != 1:
        return None
    place = found.pop()
    wants = {}
    for x in arrays:
        own = place.moved(place.axis - ndim + x.ndim)
        if own.axis >= 0 and x.shape[own.axis] != 1:
            wants[x] = own
    return Rule(MAPPED, place, wants)


def _like_operand(operation: Operation, batch: Batch) -> Rule:
    [x] = operation.args
    return Rule(MAPPED, batch.places[x], {x: batch.places[x]})


def _reshape(operation: Operation, batch: Batch) -> Rule | None:
    [x] = operation.args
    given, shape = batch.places[x], operation.result.shape
    before = math.prod(x.shape[: given.axis]) * given.outer
    passed = 1
    for axis, length in enumerate(shape):
        if before % passed:
            return None
        outer = before // passed
        if length > outer and length % (outer * batch.images) == 0:
            place = Place(axis, outer, length // (outer * batch.images))
            return Rule(MAPPED, place, {x: given})
        passed *= length
    return None


def _transpose(operation: Operation, batch: Batch) -> Rule:
    [x] = operation.args
    given = batch.places[x]
    place = given.moved(operation.params["axes"].index(given.axis))
    return Rule(MAPPED, place, {x: given})


def _broadcast_to(operation: Operation, batch: Batch) -> Rule:
    [x] = operation.args
    given = batch.places[x]
    place = given.moved(given.axis + operation.result.ndim - x.ndim)
    return Rule(MAPPED, place, {x: given})


def _sum_to(operation: Operation, batch: Batch) -> Rule:
    [x] = operation.args
    given, shape = batch.places[x], operation.result.shape
    axis = given.axis - x.ndim + len(shape)
    if axis >= 0 and shape[axis] == x.shape[given.axis]:
        return Rule(MAPPED, given.moved(axis), {x: given})
    return Rule(SUM, None, {x: given})


def _reduction(operation: Operation, batch: Batch) -> Rule | None:
    [x] = operation.args
    given, axes = batch.places[x], operation.params["axis"]
    axes = {i % x.ndim for i in (axes if isinstance(axes, tuple) else (axes,))}
    if given.axis in axes:
        return Rule(SUM, None, {x: given}) if operation.name == "sum" else None
    gone = 0 if operation.params["keepdims"] else sum(i < given.axis for i in axes)
    return Rule(MAPPED, given.moved(given.axis - gone), {x: given})


def _matmul(operation: Operation, batch: Batch) -> Rule | None:
    x, y = operation.args
    ndim = operation.result.ndim
    if not isinstance(x, Symbol) or not isinstance(y, Symbol) or x.ndim < 2 or y.ndim < 2:
        return None
    left, right = batch.places.get(x), batch.places.get(y)
    if left and right and left.axis == x.ndim - 1 and right.axis == y.ndim - 2:
        same = left[1:] == right[1:]
        return Rule(SUM, None, {x: left, y: right}) if same else None
    if left and left.axis == x.ndim - 2 and not right:
        return Rule(MAPPED, left.moved(ndim - 2), {x: left})
    if right and right.axis == y.ndim - 1 and not left:
        return Rule(MAPPED, right.moved(ndim - 1), {y: right})
    return _stacked_matmul(operation, batch, left or right)


def _stacked_matmul(operation: Operation, batch: Batch, place: Place | None) -> Rule | None:
    """One product for each image: the batch lies in front of the matrices."""
    wants = {}
    ndim = operation.result.ndim
    for x in operation.args:
        given = batch.places.get(x)
        if given and given.axis < x.ndim - 2:
            place = given.moved(given.axis + ndim - x.ndim)
    assert place is not None
    if place.axis >= ndim - 2:
        return None
    for x in operation.args:
        own = place.moved(place.axis - ndim + x.ndim)
        if own.axis >= 0 and x.shape[own.axis] != 1:
            if batch.places.get(x, own) != own:
                return None
            wants[x] = own
        elif x in batch.places:
            return None
    return Rule(MAPPED, place, wants)


def _pad(operation: Operation, batch: Batch) -> Rule | None:
    [x] = operation.args
    given = batch.places[x]
    return None if any(operation.params["widths"][given.axis]) else _like_operand(operation, batch)


def _along(operation: Operation, batch: Batch) -> Rule | None:
    [x] = operation.args
    axes = operation.params["axis"]
    axes = axes if isinstance(axes, tuple) else (axes,)
    hit = batch.places[x].axis in {i % x.ndim for i in axes}
    return None if hit else _like_operand(operation, batch)


def _im2col(operation: Operation, batch: Batch) -> Rule | None:
    [x] = operation.args
    windows = operation.result.shape[1] // batch.images
    fits = batch.places[x] == Place(0)
    return Rule(MAPPED, Place(1, windows), {x: Place(0)}) if fits else None


def _col2im(operation: Operation, batch: Batch) -> Rule | None:
    [x] = operation.args
    given = Place(1, x.shape[1] // batch.images)
    fits = batch.places[x] == given and operation.params["shape"][0] == batch.images
    return Rule(MAPPED, Place(0), {x: given}) if fits else None


def _convolve(operation: Operation, batch: Batch) -> Rule | None:
    weight, x = operation.args
    windows = operation.result.shape[1] // batch.images
    fits = batch.places.get(x) == Place(0) and weight not in batch.places
    return Rule(MAPPED, Place(1, windows), {x: Place(0)}) if fits else None


def _correlate(operation: Operation, batch: Batch) -> Rule | None:
    g, x = operation.args
    given = Place(1, g.shape[1] // batch.images)
    fits = batch.places.get(x) == Place(0) and batch.places.get(g) == given
    return Rule(SUM, None, {x: Place(0), g: given}) if fits else None


def _convolve_back(operation: Operation, batch: Batch) -> Rule | None:
    weight, g = operation.args
    given = Place(1, g.shape[1] // batch.images)
    fits = batch.places.get(g) == given and weight not in batch.places
    return Rule(MAPPED, Place(0), {g: given}) if fits else None


def _windows(operation: Operation, batch: Batch) -> Rule | None:
    operands = set(operation.operands())
    fits = all(batch.places.get(x, Place(0)) == Place(0) for x in operands)
    return Rule(MAPPED, Place(0), dict.fromkeys(operands, Place(0))) if fits else None


def _joined(operation: Operation, batch: Batch) -> Rule | None:
    arrays = [x for x in operation.args if isinstance(x, Symbol)]
    found = {batch.places[x] for x in arrays if x in batch.places}
    if len(found) != 1 or len(arrays) < len(operation.args):
        return None
    place, axis = found.pop(), operation.params["axis"] % operation.result.ndim
    wants = dict.fromkeys(arrays, place)
    if operation.name == "stack":
        return Rule(MAPPED, place.moved(place.axis + (axis <= place.axis)), wants)
    return None if axis == place.axis else Rule(MAPPED, place, wants)


def _getitem(operation: Operation, batch: Batch) -> Rule | None:
    """Slices beside the batch, or for each image the elements that it names."""
    [x] = operation.args
    index = operation.params["index"]
    index = index if isinstance(index, tuple) else (index,)
    given = batch.places.get(x)
    if given is None:
        return None
    if (picked := _picked(index, batch)) is not None:
        return Rule(MAPPED, Place(0), {x: given, **picked}) if given == Place(0) else None
    if any(not isinstance(part, (slice, int)) or isinstance(part, bool) for part in index):
        return None
    if given.axis < len(index) and index[given.axis] != slice(None):
        return None
    gone = sum(isinstance(part, int) for part in index[: given.axis])
    return Rule(MAPPED, given.moved(given.axis - gone), {x: given})


def _scatter_add(operation: Operation, batch: Batch) -> Rule | None:
    [x] = operation.args
    picked = _picked(operation.params["index"], batch)
    if picked is None or not isinstance(x, Symbol) or batch.places.get(x, Place(0)) != Place(0):
        return None
    if operation.params["shape"][0] != batch.images:
        return None
    return Rule(MAPPED, Place(0), {x: Place(0), **picked})


def _picked(index: Any, batch: Batch) -> dict[Symbol, Place] | None:
    """The operands of an index whose first part counts the images, as losses have it."""
    if not isinstance(index, tuple) or not all(isinstance(part, Symbol) for part in index):
        return None
    counting = batch.constants.get(index[0])
    ndim = max(part.ndim for part in index)
    if counting is None or counting.ndim != ndim or counting.shape[0] != batch.images:
        return None
    if counting.size != batch.images or (counting.ravel() != np.arange(batch.images)).any():
        return None
    wants = {index[0]: Place(0)}
    for part in index[1:]:
        if part.ndim == ndim and part.shape[0] == batch.images:
            if batch.places.get(part, Place(0)) != Place(0):
                return None
            wants[part] = Place(0)
        elif part in batch.places:
            return None
    return wants


_RULES: dict[str, Callable[[Operation, Batch], Rule | None]] = {
    "astype": _like_operand,
    "reshape": _reshape,
    "transpose": _transpose,
    "broadcast_to": _broadcast_to,
    "sum_to": _sum_to,
    **dict.fromkeys(("all", "any", "max", "min", "prod", "sum"), _reduction),
    "matmul": _matmul,
    "pad": _pad,
    "crop": _pad,
    "flip": _along,
    "cumsum": _along,
    "im2col": _im2col,
    "col2im": _col2im,
    "convolve": _convolve,
    "correlate": _correlate,
    "convolve_back": _convolve_back,
    "convolve_turned": _convolve_back,
    "pool_switches": _windows,
    "gather_windows": _windows,
    "scatter_windows": _windows,
    "concatenate": _joined,
    "stack": _joined,
    "getitem": _getitem,
    "scatter_add": _scatter_add,
}
