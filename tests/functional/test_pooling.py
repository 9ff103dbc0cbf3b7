# ruff: noqa: E501  (the table of errors has one line for each)
"""Pooling by naive loops, the numbers of the course, what is recorded, and what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from arrays import close, normal

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn._core.backprop import consumers_first
from tinygrad_cnn.check import gradcheck
from tinygrad_cnn.errors import ArgumentError, DtypeError, OutOfBoundsError, ShapeError

DIMENSIONS = (1, 2, 3)


def by_loops(
    x: np.ndarray, reduce: Callable[[list[float]], float], bounds: list[list[tuple[int, int]]]
) -> np.ndarray:
    """One number of the elements between the bounds of each window, which lie in the images.

    Args:
        bounds: for each axis (first, beyond the last) of each window.
    """
    out = np.empty((*x.shape[:2], *map(len, bounds)))
    for n, c in np.ndindex(x.shape[:2]):
        for place in np.ndindex(out.shape[2:]):
            ranges = [range(*axis[i]) for axis, i in zip(bounds, place, strict=True)]
            elements = [x[n, c][index] for index in itertools.product(*ranges)]
            out[(n, c, *place)] = reduce(elements)
    return out


# -- where the stride does not fit ----------------------------------------------------------

POOLS: dict[str, tuple[Callable[..., Any], Callable[..., float]]] = {
    "max": (lambda x, *a, **k: getattr(F, f"max_pool{x.ndim - 2}d")(x, *a, **k), max),
    "avg": (
        lambda x, *a, **k: getattr(F, f"avg_pool{x.ndim - 2}d")(x, *a, **k),
        lambda elements: sum(elements) / len(elements),
    ),
}


@pytest.mark.parametrize("axes", DIMENSIONS)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("fit", ["floor", "crop", "pad"])
def test_fits_by_loops(axes: int, pool: str, fit: Any) -> None:
    """11 elements, windows of 3 at stride 3: three fit, of the fourth two elements are there."""
    x = normal(2, 3, *[11] * axes)
    ours, reduce = POOLS[pool]
    windows = [(0, 3), (3, 6), (6, 9)] + ([(9, 11)] if fit == "pad" else [])
    close(ours(x, 3, fit=fit), by_loops(x, reduce, [windows] * axes))
    if fit == "pad":
        close(ours(x, 3, ceil_mode=True), ours(x, 3, fit=fit).numpy())
    report = gradcheck(lambda x: ours(x, 3, fit=fit) ** 2, [x[:1, :1]], sample=40)
    assert report.ok, report


def test_exact_shows_the_formula_of_the_course() -> None:
    x = np.zeros((1, 1, 10, 10))
    for pool in (F.max_pool2d, F.avg_pool2d):
        with pytest.raises(ShapeError, match=r"\(10 - 3 \+ 2\*0\)/2 \+ 1 = 4\.5"):
            pool(x, 3, 2, fit="exact")
        assert pool(x, 2, 2, fit="exact").shape == (1, 1, 5, 5)
        assert pool(x, 3, 2, fit="pad").shape == (1, 1, 5, 5)
        assert pool(x, 3, 2).shape == pool(x, 3, 2, fit="crop").shape == (1, 1, 4, 4)
    with pytest.raises(ShapeError, match=r"lp_pool2d: axis 2: .* = 4\.5"):
        F.lp_pool2d(x, 2, 3, 2, fit="exact")


def test_no_window_starts_in_the_padding_at_the_end() -> None:
    """PyTorch's rule: 1 element and padding 1, windows of 2 at stride 2 would start at 1."""
    x = np.ones((1, 1, 3))
    assert F.max_pool1d(x, 2, 2, 1, ceil_mode=True).shape == (1, 1, 2)
    assert F.max_pool1d(np.ones((1, 1, 4)), 2, 2, 1, ceil_mode=True).shape == (1, 1, 3)
    assert F.avg_pool1d(x, 1, 3, ceil_mode=True).shape == (1, 1, 1)


def test_what_counts_in_a_window_at_the_border() -> None:
    """Five ones, padding 1, windows of 3 at stride 3: P11, 111, and 1P with one place beyond."""
    x = np.ones((1, 1, 6))

    def averages(**settings: Any) -> Any:
        return F.avg_pool1d(x, 3, 3, 1, **settings).numpy()[0, 0]

    close(averages(), [2 / 3, 1])
    close(averages(ceil_mode=True), [2 / 3, 1, 1 / 2])
    close(averages(ceil_mode=True, count_include_pad=False), [1, 1, 1])
    close(averages(ceil_mode=True, divisor_override=2), [1, 3 / 2, 1 / 2])


# -- padding --------------------------------------------------------------------------------


def test_padding_by_name_and_on_one_side() -> None:
    x = normal(2, 3, 5, 6)
    assert F.max_pool2d(x, 2, 2, "same").shape == (2, 3, 3, 3)
    around = ((0, 0), (0, 0), (0, 1), (1, 1))
    for pool, value in ((F.max_pool2d, -np.inf), (F.avg_pool2d, 0.0)):
        padded = np.pad(x, around, constant_values=value)
        close(pool(x, (2, 3), 1, ((0, 1), 1)), pool(padded, (2, 3), 1).numpy())
    inside = F.avg_pool2d(x, (2, 3), 1, ((0, 1), 1), count_include_pad=False)
    bounds = [
        [(i, min(i + 2, 5)) for i in range(5)],
        [(max(i - 1, 0), min(i + 2, 6)) for i in range(6)],
    ]
    close(inside, by_loops(x, lambda elements: sum(elements) / len(elements), bounds))


@pytest.mark.parametrize("lowest", [-np.inf, np.iinfo(np.int32).min])
def test_the_padding_loses_ties(lowest: float) -> None:
    """Where all elements are as low as the padding, the first of them wins."""
    dtype = np.float64 if lowest == -np.inf else np.int32
    x = np.full((1, 1, 3, 3), lowest, dtype)
    out, indices = F.max_pool2d(x, 2, 2, 1, return_indices=True)
    np.testing.assert_array_equal(out, np.full((1, 1, 2, 2), lowest))
    np.testing.assert_array_equal(indices, [[[[0, 1], [3, 4]]]])
    x = tc.tensor(np.full((1, 1, 3, 3), -np.inf), requires_grad=True)
    F.max_pool2d(x, 2, 2, 1).backward(np.ones((1, 1, 2, 2)))
    np.testing.assert_array_equal(x.grad, [[[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]])


# -- the course -----------------------------------------------------------------------------


def test_the_volume_of_the_course() -> None:
    """[224 x 224 x 64] becomes [112 x 112 x 64]: 75 % of the activations are discarded."""
    volume = np.zeros((1, 64, 224, 224), np.float32)
    pooled = F.max_pool2d(volume, 2, fit="exact")
    assert pooled.shape == (1, 64, 112, 112)
    assert 1 - pooled.size / volume.size == 0.75
    overlapping = F.max_pool2d(np.zeros((1, 96, 55, 55), np.float32), 3, 2, fit="exact")
    assert overlapping.shape == (1, 96, 27, 27)  # AlexNet's first


def test_l2_norm_pooling() -> None:
    x = normal(2, 3, 6, 6)
    blocks = x.reshape(2, 3, 3, 2, 3, 2)
    close(F.lp_pool2d(x, 2, 2), np.sqrt((blocks**2).sum((3, 5))))
    close(F.lp_pool2d(x, np.inf, 2), np.abs(blocks).max((3, 5)))
    close(F.lp_pool2d(x, -np.inf, 2), np.abs(blocks).min((3, 5)))


@pytest.mark.parametrize("axes", DIMENSIONS)
@pytest.mark.parametrize("p", [1.5, 3, 5])
def test_lp_pools_by_loops(axes: int, p: float) -> None:
    x = np.abs(normal(2, 2, *[5] * axes))
    bounds = [[(0, 3), (2, 5)]] * axes
    expected = by_loops(x, lambda elements: math.fsum(e**p for e in elements) ** (1 / p), bounds)
    close(getattr(F, f"lp_pool{axes}d")(x, p, 3, 2), expected)


def test_switches_and_indices_name_the_same_winner() -> None:
    x = normal(2, 3, 6, 8)
    switches = tc.pool_switches(x, (2, 4), (2, 4))
    _, indices = F.max_pool2d(x, (2, 4), return_indices=True)
    rows, columns = np.divmod(switches.astype(int), 4)
    top, left = 2 * np.arange(3)[:, None], 4 * np.arange(2)
    np.testing.assert_array_equal(indices, (top + rows) * 8 + left + columns)
    winners = np.take_along_axis(x.reshape(2, 3, -1), indices.numpy().reshape(2, 3, -1), -1)
    close(F.max_pool2d(x, (2, 4)), winners.reshape(indices.shape))


# -- adaptive and global --------------------------------------------------------------------


@pytest.mark.parametrize("axes", DIMENSIONS)
@pytest.mark.parametrize("bins", [1, 2, 4, 5, 7, 11])
def test_adaptive_pools_by_loops(axes: int, bins: int) -> None:
    x = normal(2, 2, *[7, 5, 4][:axes])
    bounds = [
        [(math.floor(i * n / bins), math.ceil((i + 1) * n / bins)) for i in range(bins)]
        for n in x.shape[2:]
    ]
    close(getattr(F, f"adaptive_max_pool{axes}d")(x, bins), by_loops(x, max, bounds))
    averages = by_loops(x, lambda elements: sum(elements) / len(elements), bounds)
    close(getattr(F, f"adaptive_avg_pool{axes}d")(x, bins), averages)


def test_bins_at_equal_distances_are_plain_windows() -> None:
    """No element is copied where the windows are all alike."""
    x = tc.tensor(normal(2, 3, 6, 8), requires_grad=True)
    operations = [
        {node.primitive.name for node in consumers_first([y.node]) if node.primitive is not None}  # type: ignore[list-item]
        for y in (
            F.adaptive_max_pool2d(x, (3, 2)), F.adaptive_avg_pool2d(x, (None, 4)),
            F.adaptive_max_pool2d(x, (5, 7)), F.adaptive_max_pool2d(x, (4, 8)),
            F.adaptive_max_pool2d(x, (2, 3)), F.adaptive_avg_pool2d(x, 1),
        )
    ]  # fmt: skip
    assert operations[0] == {"gather_windows"}
    assert operations[1] == {"im2col", "reshape", "transpose", "sum", "divide"}
    assert operations[2] == {"gather_windows"}  # overlapping, at stride 1
    assert operations[3] == {"gather_windows", "getitem"}  # 2 elements each, from 0, 1, 3, 4
    assert operations[4] == {"gather_windows", "getitem", "pad"}  # 3, 4, 3 elements
    assert operations[5] == {"sum", "divide"}


def test_global_pools() -> None:
    x = normal(2, 3, 4, 5)
    close(F.global_avg_pool2d(x), x.mean((2, 3)))
    close(F.global_max_pool2d(x), x.max((2, 3)))
    assert F.global_avg_pool2d(x, keepdims=True).shape == (2, 3, 1, 1)


# -- conventions, what is recorded, batches ---------------------------------------------------


def test_ties_are_split_by_convention() -> None:
    x = tc.tensor(np.ones((1, 1, 2, 3)), requires_grad=True)
    pools: list[Callable[[Any], Any]] = [
        lambda x: F.max_pool2d(x, 2, ceil_mode=True), lambda x: F.adaptive_max_pool2d(x, (1, 2)),
        F.global_max_pool2d, lambda x: F.lp_pool2d(x, np.inf, 2),
    ]  # fmt: skip
    expected: list[Any] = [
        [[0.25, 0.25, 0.5], [0.25, 0.25, 0.5]], [[0.25, 0.5, 0.25], [0.25, 0.5, 0.25]],
        [[1 / 6] * 3] * 2, [[0.25, 0.25, 0.0], [0.25, 0.25, 0.0]],
    ]  # fmt: skip
    for pool, gradient in zip(pools, expected, strict=True):
        x.grad = None
        with tc.conventions(ties="split"):
            pool(x).sum().backward()
        close(x.grad, [[gradient]])
        x.grad = None
        pool(x).sum().backward()
        assert set(np.unique(x.grad.numpy())) <= {0.0, 1.0, 2.0}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda x: F.max_pool2d(x, 2), ["gather_windows"]),
        (lambda x: F.max_pool2d(x, 3, 2, 1), ["gather_windows", "pad"]),
        (lambda x: F.max_pool2d(x, 2, fit="crop"), ["gather_windows", "crop"]),
        (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], ["gather_windows"]),
        (lambda x: F.avg_pool2d(x, 2), ["divide", "sum", "transpose", "reshape", "im2col"]),
        (lambda x: F.global_avg_pool2d(x), ["divide", "sum"]),
    ],
)
def test_what_is_recorded(call: Callable[[tc.Tensor], tc.Tensor], names: list[str]) -> None:
    y = call(tc.tensor(normal(2, 3, 5, 5), requires_grad=True))
    nodes = [node for node in consumers_first([y.node]) if node.primitive is not None]  # type: ignore[list-item]
    assert [node.primitive.name for node in nodes] == names  # type: ignore[union-attr]


@pytest.mark.parametrize("axes", DIMENSIONS)
def test_empty_batches(axes: int) -> None:
    shape = (0, 3, *[5] * axes)
    calls: dict[str, tuple[Any, ...]] = {
        "max_pool": (2, 2, 1), "avg_pool": (2, 2, 1, True), "lp_pool": (2, 2),
        "adaptive_max_pool": (3,), "adaptive_avg_pool": (3,), "global_max_pool": (),
        "global_avg_pool": (),
    }  # fmt: skip
    for name, args in calls.items():
        x = tc.zeros(*shape, requires_grad=True)
        out = getattr(F, f"{name}{axes}d")(x, *args)
        assert out.shape[:2] == (0, 3)
        out.sum().backward()
        assert x.grad is not None
        assert x.grad.shape == shape
    out, indices = getattr(F, f"max_pool{axes}d")(np.zeros(shape), 2, return_indices=True)
    assert out.shape == indices.shape
    assert getattr(F, f"max_unpool{axes}d")(out, indices, 2).shape == (0, 3, *[4] * axes)


# -- errors ---------------------------------------------------------------------------------

X, SIGNAL, VOLUME = np.zeros((2, 3, 4, 4)), np.zeros((2, 3, 8)), np.zeros((2, 3, 4, 4, 4))
INDICES = np.zeros(X.shape, int)
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: F.max_pool2d(SIGNAL, 2), ShapeError, "max_pool2d: expected images of shape (N, C, H, W), got (2, 3, 8)"),
    (lambda: F.max_pool1d(X, 2), ShapeError, "max_pool1d: expected signals of shape (N, C, L), got (2, 3, 4, 4)"),
    (lambda: F.avg_pool3d(X, 2), ShapeError, "avg_pool3d: expected volumes of shape (N, C, D, H, W), got (2, 3, 4, 4)"),
    (lambda: F.lp_pool2d(X[0], 2, 2), ShapeError, "lp_pool2d: expected images of shape (N, C, H, W), got (3, 4, 4)"),
    (lambda: F.global_avg_pool2d(X[0, 0]), ShapeError, "global_avg_pool2d: expected images of shape (N, C, H, W), got (4, 4)"),
    (lambda: F.adaptive_avg_pool2d(SIGNAL, 1), ShapeError, "adaptive_avg_pool2d: expected images"),
    (lambda: F.max_unpool2d(SIGNAL, SIGNAL, 2), ShapeError, "max_unpool2d: expected images"),
    (lambda: F.max_pool2d(X[:, :, :0], 2, padding=1), ShapeError, "max_pool2d: an input of shape (2, 3, 0, 4) has no elements to pool"),
    (lambda: F.global_max_pool2d(X[..., :0]), ShapeError, "global_max_pool2d: an input of shape (2, 3, 4, 0) has no elements to pool"),
    (lambda: F.max_pool1d(SIGNAL > 0, 2), DtypeError, "max_pool1d: images of booleans have no largest element: use .astype(float)"),
    (lambda: F.adaptive_max_pool2d(X > 0, 2), DtypeError, "adaptive_max_pool2d: images of booleans"),
    (lambda: F.global_max_pool3d(VOLUME > 0), DtypeError, "global_max_pool3d: images of booleans"),
    (lambda: F.max_pool2d(X, 0), ShapeError, "max_pool2d: kernel_size=0: expected an integer >= 1 or a pair of them"),
    (lambda: F.max_pool2d(X, 2.0), ShapeError, "max_pool2d: kernel_size=2.0: expected an integer"),
    (lambda: F.max_pool2d(X, (2, 2, 2)), ShapeError, "max_pool2d: kernel_size=(2, 2, 2): expected"),
    (lambda: F.max_pool2d(X, 2, 0), ShapeError, "max_pool2d: stride=0: expected an integer >= 1"),
    (lambda: F.max_pool2d(X, 2, padding=-1), ShapeError, "max_pool2d: padding=-1: expected an integer >= 0"),
    (lambda: F.max_pool2d(X, 2, padding="some"), ArgumentError, "max_pool2d: padding='some'"),
    (lambda: F.max_pool2d(X, 3, padding="full"), ShapeError, "max_pool2d: padding (2, 2) is more than half of the window (3, 3)"),
    (lambda: F.max_pool2d(X, 3, padding=((0, 2), 0)), ShapeError, "max_pool2d: padding ((0, 2), (0, 0)) is more than half of the window (3, 3)"),
    (lambda: F.max_pool2d(X, 2, dilation=0), ShapeError, "max_pool2d: dilation=0"),
    (lambda: F.max_pool1d(SIGNAL, 9), ShapeError, "max_pool1d: a window of (9,) with dilation (1,) does not fit into images of 8"),
    (lambda: F.max_pool2d(X, 9, 2, ceil_mode=True), ShapeError, "max_pool2d: a window of (9, 9)"),
    (lambda: F.max_pool2d(X, 2, ceil_mode=True, fit="exact"), ArgumentError, "max_pool2d: ceil_mode=True is fit='pad', not fit='exact': give one"),
    (lambda: F.avg_pool1d(SIGNAL, 2, ceil_mode=True, fit="floor"), ArgumentError, "avg_pool1d: ceil_mode=True is fit='pad', not fit='floor': give one"),
    (lambda: F.max_pool2d(X, 2, fit="ceil"), ArgumentError, "max_pool2d: fit='ceil', expected one of floor, exact, pad, crop"),
    (lambda: F.avg_pool2d(X, 2, divisor_override=0), ArgumentError, "avg_pool2d: divisor_override=0, expected an integer of at least 1"),
    (lambda: F.avg_pool2d(X, 2, divisor_override=True), ArgumentError, "avg_pool2d: divisor_override=True"),
    (lambda: F.lp_pool2d(X, 0, 2), ArgumentError, "lp_pool2d: norm_type=0: expected a number other than 0, or inf"),
    (lambda: F.lp_pool1d(SIGNAL, "2", 2), ArgumentError, "lp_pool1d: norm_type='2'"),
    (lambda: F.lp_pool1d(SIGNAL, math.nan, 2), ArgumentError, "lp_pool1d: norm_type=nan"),
    (lambda: F.adaptive_avg_pool2d(X, 0), ShapeError, "adaptive_avg_pool2d: output_size=0: expected an integer >= 1, or for each of the 2 axes in space one or None"),
    (lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)), ShapeError, "adaptive_avg_pool2d: output_size=(1, 2, 3)"),
    (lambda: F.adaptive_max_pool1d(SIGNAL, 1.5), ShapeError, "adaptive_max_pool1d: output_size=1.5"),
    (lambda: F.adaptive_max_pool1d(SIGNAL, "7"), ShapeError, "adaptive_max_pool1d: output_size='7'"),
    (lambda: F.max_unpool2d(X, INDICES[:1], 2), ShapeError, "max_unpool2d: indices of shape (1, 3, 4, 4) for an input of shape (2, 3, 4, 4)"),
    (lambda: F.max_unpool2d(X, X, 2), DtypeError, "max_unpool2d: indices are integers, got float64"),
    (lambda: F.max_unpool2d(X, INDICES + 64, 2), OutOfBoundsError, "max_unpool2d: indices from 64 to 64, an output of 8x8 has the places 0 to 63: give output_size"),
    (lambda: F.max_unpool2d(X, INDICES - 1, 2), OutOfBoundsError, "max_unpool2d: indices from -1 to -1"),
    (lambda: F.max_unpool2d(X, INDICES, 2, output_size=(10, 8)), ShapeError, "max_unpool2d: output_size=(10, 8): an input of shape (2, 3, 4, 4) was pooled from 7 to 9 x 7 to 9"),
    (lambda: F.max_unpool2d(X, INDICES, 2, output_size=(2, 3, 8)), ShapeError, "max_unpool2d: output_size=(2, 3, 8): expected"),
    (lambda: F.max_unpool1d(SIGNAL[..., :1], INDICES[..., 0, :1], 2, padding=1), ShapeError, "max_unpool1d: padding (1,) leaves nothing of an input of (2, 3, 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors(act: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        act()
    assert message in str(raised.value)
    assert type(raised.value) is error
