"""Hypotheses about what a hand-written rule was given: other values, masks and positions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..._core.backprop import local_gradients
from ..._core.node import Node
from ...typing import Array
from .._compare import same
from .._edits.edit import said
from .._facts import DECISIONS
from .claims import Claim, claim
from .view import View

_SMALL = 256  # outputs, for which every row of the Jacobian is affordable


def last_only(view: View, name: str) -> Iterator[Claim]:
    """Only the last (or first) example or position counts: each overwrote the one before."""
    upstream, right = view.trace.upstream, view.right[name]
    for count in range(1, min(upstream.ndim, 4) + 1):
        for axes in itertools.combinations(range(upstream.ndim), count):
            for place, word in ((-1, "last"), (0, "first")):
                kept = np.zeros_like(upstream)
                index = tuple(place if i in axes else slice(None) for i in range(upstream.ndim))
                kept[index] = upstream[index]
                part = view.at_upstream(kept)[name]
                if same(view.hand[name], part, view.tolerance[name]) and not same(part, right):
                    evidence = f"it is the contribution of the {word} along axis {axes} alone"
                    yield claim("overwritten", evidence)
                    return


def _flips(x: Array) -> Iterator[tuple[str, str, Array]]:
    """Variants of an operand that code mixes up, with the cause each would be."""
    if x.ndim == 4:
        for axes in ((2, 3), (2,), (3,)):
            yield "unflipped_kernel", f"flipped along the axes {axes}", np.flip(x, axes)
        if x.shape[2] == x.shape[3]:
            yield "rows_columns_swapped", "with rows and columns exchanged", x.swapaxes(2, 3)
        for shift in (1, -1, 2, -2):
            for axes in ((2, 3), (2,), (3,)):
                moved = _shift(x, shift, axes)
                yield "padding_offset", f"moved by {shift} pixels along the axes {axes}", moved
    if x.ndim == 2 and x.shape[0] == x.shape[1]:
        yield "transposed", "transposed", x.T
    for shift in (1, -1):
        yield "wrong_index", f"with the rows moved by {shift}", np.roll(x, shift, 0)


def _shift(x: Array, by: int, axes: tuple[int, ...]) -> Array:
    """Moved along axes, with zeros where nothing is left."""
    moved = x
    for axis in axes:
        moved = np.roll(moved, by, axis)
        gone = [slice(None)] * x.ndim
        gone[axis] = slice(0, by) if by > 0 else slice(by, None)
        moved = moved.copy()
        moved[tuple(gone)] = 0.0
    return moved


def other_operand(view: View, name: str) -> Iterator[Claim]:
    """The right gradient for another operand: a flipped kernel, moved pixels, other rows."""
    for other, array in view.situation.arrays.items():
        if other == name or array.dtype.kind != "f" or not array.ndim or view.clock.over:
            continue
        for cause, what, variant in _flips(array):
            gradient = view.with_input(other, variant)
            if gradient is None or same(gradient[name], view.right[name]):
                continue
            if same(view.hand[name], gradient[name], view.tolerance[name]):
                yield claim(cause, f"autograd gives your numbers for {other} {what}", what)
                return


def other_mask(view: View, name: str) -> Iterator[Claim]:
    """The unmasked gradient times a mask of zeros and ones that is not the right one."""
    hand, right = view.hand[name], view.right[name]
    if hand.shape != right.shape or not np.isfinite(hand).all():
        return
    yield from _inverted_conditions(view, name)
    for edit, gradients in view.edited:
        full = gradients[name]
        if edit.cause != "missing_mask" or same(full, right) or np.any(hand[full == 0]):
            continue
        shares = hand[full != 0] / full[full != 0]
        for what, value in view.values_like(full):
            if not same(full * (value != 0), hand) and same(hand, full * value):
                yield claim("wrong_saved_value", f"it is multiplied by {what} instead of a mask")
                return
        kept = shares[np.abs(shares) > 1e-9]
        expected = right[(right != 0) & (full != 0)] / full[(right != 0) & (full != 0)]
        if not kept.size or kept.size == hand.size or not expected.size:
            continue
        if np.allclose(kept, expected[0], rtol=1e-6) and np.allclose(expected, expected[0], 1e-6):
            evidence = f"it is masked in {hand.size - kept.size} places, not where it should be"
            yield claim("wrong_mask", evidence, edit.key)
            return


def _inverted_conditions(view: View, name: str) -> Iterator[Claim]:
    """The branches of a ``where`` exchanged."""
    for node in view.trace.nodes:
        if node.primitive is not None and node.primitive.name == "where" and node.args:
            gradients = view.walk(_Substituted(node, 0, ~np.asarray(node.args[0], bool)))
            if gradients is None or same(gradients[name], view.right[name]):
                continue
            if same(view.hand[name], gradients[name], view.tolerance[name]):
                yield claim("wrong_mask", "it is the gradient with the branches exchanged")


def diagonal(view: View, name: str) -> Iterator[Claim]:
    """Each output times its own slope: the rest of the Jacobian is missing."""
    upstream, hand = view.trace.upstream, view.hand[name]
    same_shape = hand.shape == upstream.shape == view.right[name].shape
    if not same_shape or not 1 < upstream.size <= _SMALL:
        return
    slopes = np.empty(upstream.size)
    for place in range(upstream.size):
        unit = np.zeros(upstream.size)
        unit[place] = 1.0
        slopes[place] = view.at_upstream(unit.reshape(upstream.shape))[name].reshape(-1)[place]
    wrong = upstream * slopes.reshape(upstream.shape)
    if same(hand, wrong, view.tolerance[name]) and not same(wrong, view.right[name]):
        yield claim("diagonal_only", "it is the upstream gradient times the Jacobian's diagonal")


def shifted(view: View, name: str) -> Iterator[Claim]:
    """The right numbers, one place further."""
    hand, right = view.hand[name], view.right[name]
    if hand.shape != right.shape or right.size < 3:
        return
    for axis in range(hand.ndim):
        for by in (1, -1):
            if same(np.roll(hand, by, axis), right, view.tolerance[name]):
                yield claim("wrong_index", f"moved by {by} along axis {axis}, it agrees")
                return


def _normalized(x: Array, axis: Any) -> Array:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(e / e.sum(axis=axis, keepdims=True))


# The rule of a function in one line, with a value ``v`` that it saves and an axis to sum over.
_FORMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "log_softmax": lambda g, v, axis: g - v * g.sum(axis=axis, keepdims=True),
    "cumsum": lambda g, v, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis),
    "logsumexp": lambda g, v, axis: g * v,
    "sigmoid": lambda g, v, axis: g * v * (1 - v),
    "softmax": lambda g, v, axis: v * (g - (g * v).sum(axis=axis, keepdims=True)),
    "tanh": lambda g, v, axis: g * (1 - v * v),
}


def _fitting(wide: Array, x: Array) -> tuple[tuple[int, ...], ...]:
    """Shapes to broadcast: that of ``x``, and of ``wide`` where it fits."""
    fits = all(n in (1, m) for n, m in zip(wide.shape, x.shape, strict=False))
    return (x.shape, wide.shape) if fits else ((0,),)


def closed_form(view: View, name: str) -> Iterator[Claim]:
    """The textbook rule of a function, with another value or another axis in it."""
    x, hand, g = view.array(name), view.hand[name], view.trace.upstream
    functions = view.functions & set(_FORMS)
    if hand.shape != x.shape or len(functions) != 1:
        return
    form_name = functions.pop()
    form = _FORMS[form_name]
    out = np.asarray(view.trace.output.numpy())
    sums = [_normalized(x, axis) for axis in range(x.ndim)]
    right_values = sums if "softmax" in form_name or form_name == "logsumexp" else [out]
    others = [x, g, np.exp(x), out]
    for axis in range(x.ndim):
        wide = g if g.shape == x.shape or not g.ndim else np.expand_dims(g, axis)
        if wide.ndim not in (0, x.ndim) or np.broadcast_shapes(*_fitting(wide, x)) != x.shape:
            continue
        for value in right_values:
            if value.shape == x.shape and same(hand, np.asarray(form(wide, value, axis))):
                yield claim("wrong_axis", f"it is the rule with the sum over axis {axis}")
                return
        for value in others:
            if value.shape == x.shape and same(hand, np.asarray(form(wide, value, axis))):
                yield claim("wrong_saved_value", "it is the rule with another value saved")
                return


_ONLY_MOVE = {"concatenate", "crop", "getitem", "pad", "reshape", "stack", "transpose"}


def misplaced(view: View, name: str) -> Iterator[Claim]:
    """A function that only moves elements, whose gradient was moved to the wrong places."""
    used = {node.primitive.name for node in view.trace.nodes if node.primitive is not None}
    hand, right, upstream = view.hand[name], view.right[name], view.trace.upstream
    if not used <= _ONLY_MOVE or hand.shape != right.shape or upstream.size < 2:
        return
    if not np.isin(hand, np.append(upstream, 0.0)).all() or not hand.any():
        return
    if np.count_nonzero(hand) > np.count_nonzero(right):
        if same(hand * (right != 0), right):
            yield claim("missing_mask", "elements that were not used have a gradient too")
        return
    moved = used & {"concatenate", "getitem", "stack"} or not used & {"crop", "pad"}
    cause = "wrong_index" if moved else "padding_offset"
    yield claim(cause, "its numbers are those of the upstream gradient, at other places")


def other_labels(view: View, name: str) -> Iterator[Claim]:
    """The softmax loss with other labels, or with other values than the probabilities."""
    if view.functions != {"cross_entropy"} or view.hand[name].shape != view.right[name].shape:
        return
    hand, right, x = view.hand[name], view.right[name], view.array(name)
    if x.ndim != 2:
        return
    probabilities = _normalized(x, 1)
    integers = [a for a in view.situation.arrays.values() if a.dtype.kind in "iu"]
    if len(integers) != 1 or integers[0].shape != x.shape[:1]:
        return
    [label] = integers
    hot = np.arange(x.shape[1]) == label[:, None]
    factors = right / (probabilities - hot)
    factor = factors.reshape(-1)[0]
    if not np.allclose(factors, factor, rtol=1e-6):
        return  # weights or smoothing
    marks = probabilities - hand / factor
    if np.allclose(marks, np.round(marks), atol=1e-7) and set(np.unique(np.round(marks))) <= {0, 1}:
        yield claim("wrong_index", f"1 is subtracted in {int(np.round(marks).sum())} places")
        return
    for what, value in (
        ("the scores", x),
        ("exp(scores)", np.exp(x)),
        ("log p", np.log(probabilities)),
    ):
        if same(hand, (value - hot) * factor):
            yield claim("wrong_saved_value", f"it has {what} in the place of the probabilities")
            return


def other_value(view: View, name: str) -> Iterator[Claim]:
    """A rule of the reference, given another array of the same shape for one that it saved."""
    for node in reversed(view.trace.nodes):
        if node.primitive is None or node.args is None:
            continue
        for place in range(-1, len(node.args)):
            saved = node.ans if place < 0 else node.args[place]
            for what, value in view.values_like(saved):
                if view.clock.over:
                    return
                gradients = view.walk(_Substituted(node, place, value))
                if gradients is None or same(gradients[name], view.right[name]):
                    continue
                if same(view.hand[name], gradients[name], view.tolerance[name]):
                    evidence = f"autograd gives your numbers if {said(node)} uses {what}"
                    cause = (
                        "wrong_mask" if node.primitive.name in DECISIONS else "wrong_saved_value"
                    )
                    yield claim(cause, evidence, what)
                    return


class _Substituted:
    """Local gradients in which one operation remembers another value."""

    def __init__(self, node: Node, place: int, value: Any) -> None:
        self.node, self.place, self.value = node, place, value

    def __call__(self, node: Node, g: Any, needed: Any, create_graph: bool) -> Any:
        if node is not self.node:
            return local_gradients(node, g, needed, create_graph)
        args, ans = node.args, node.ans
        try:
            if self.place < 0:
                node.ans = self.value
            else:
                old = args[self.place]  # type: ignore[index]
                node.args = tuple(self.value if a is old else a for a in args)  # type: ignore[union-attr]
            return local_gradients(node, g, needed, create_graph)
        finally:
            node.args, node.ans = args, ans
