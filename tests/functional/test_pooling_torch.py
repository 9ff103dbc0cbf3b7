"""Pooling and unpooling against PyTorch: values, places and gradients of first and second order."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from arrays import LAYOUTS, normal
from oracle import close, compare

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.check import gradcheck

torch = pytest.importorskip("torch")
T = torch.nn.functional

DIMENSIONS = (1, 2, 3)
SIZES = {1: (7,), 2: (5, 8), 3: (4, 5, 3)}
MIXED = {1: (3,), 2: (3, 2), 3: (2, 3, 1)}  # a kernel with one number for each axis


def images(axes: int, *, ties: bool = False, batch: int = 2) -> np.ndarray:
    x = normal(batch, 3, *SIZES[axes])
    return np.round(x) if ties else x


def both(name: str) -> tuple[Any, Any]:
    return getattr(F, name), getattr(T, name)


def agree(name: str, x: np.ndarray, *args: Any, second_order: bool = True, **options: Any) -> None:
    """With ``second_order`` squared, as the second order is else 0 of itself."""
    ours, theirs = both(name)
    power = 2 if second_order else 1
    compare(
        lambda x: ours(x, *args, **options) ** power,
        lambda x: theirs(x, *args, **options) ** power,
        x,
        second_order=second_order,
    )


# kernel (None: a number for each axis), stride, padding, dilation
MAX_POOLS = [
    grid
    for grid in itertools.product((1, 2, 3, None), (None, 1, 2, 3), (0, 1), (1, 2))
    if 2 * grid[2] <= (grid[0] or 1) and not (grid[0] in (3, None) and grid[3] == 2)
]


@pytest.mark.parametrize("axes", DIMENSIONS)
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), MAX_POOLS)
def test_max_pool(
    axes: int, kernel: int | None, stride: int | None, padding: int, dilation: int, ceil_mode: bool
) -> None:
    name, window = f"max_pool{axes}d", kernel or MIXED[axes]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    for ties in (False, True):
        x = images(axes, ties=ties)
        agree(name, x, window, **options, second_order=not ties)
        ours, theirs = both(name)
        out, indices = ours(x, window, **options, return_indices=True)
        expected, places = theirs(torch.tensor(x), window, **options, return_indices=True)
        close(out, expected)
        np.testing.assert_array_equal(indices, places.numpy())
        assert indices.dtype == np.int64


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axes", DIMENSIONS)
def test_the_order_in_memory_does_not_matter(axes: int, layout: Any) -> None:
    x = layout(images(axes))
    agree(f"max_pool{axes}d", x, 2, 1, 1, ceil_mode=True)
    agree(f"avg_pool{axes}d", x, 2, 2, 1, True, False)
    agree(f"lp_pool{axes}d", x, 2, 2)
    agree(f"adaptive_max_pool{axes}d", x, 3)
    agree(f"adaptive_avg_pool{axes}d", x, 3)


@pytest.mark.parametrize("axes", DIMENSIONS)
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [
        grid
        for grid in itertools.product((1, 2, 3, None), (None, 1, 2, 3, 4), (0, 1))
        if 2 * grid[2] <= (grid[0] or 1)
    ],
)
def test_avg_pool(
    axes: int, kernel: Any, stride: Any, padding: int, ceil_mode: bool, count_include_pad: bool
) -> None:
    settings = (kernel or MIXED[axes], stride, padding, ceil_mode, count_include_pad)
    agree(f"avg_pool{axes}d", images(axes), *settings)
    if axes > 1:
        agree(f"avg_pool{axes}d", images(axes), *settings, divisor_override=3, second_order=False)


@pytest.mark.parametrize("axes", [1, 2])  # in three dimensions PyTorch refuses
def test_windows_larger_than_the_images_in_ceil_mode(axes: int) -> None:
    """The one window that may reach beyond what is smaller than itself."""
    x = normal(2, 1, *[2] * axes)
    agree(f"max_pool{axes}d", x, 3, 2, ceil_mode=True)
    agree(f"avg_pool{axes}d", x, 3, 2, ceil_mode=True)


@pytest.mark.parametrize("axes", DIMENSIONS)
@pytest.mark.parametrize("p", [1, 2, 3, 4.0, 0.5, 1.7, -1, np.inf, -np.inf])
@pytest.mark.parametrize(("kernel", "stride"), [(2, None), (3, 2), (None, 1)])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_lp_pool(axes: int, p: float, kernel: Any, stride: Any, ceil_mode: bool) -> None:
    if axes == 1:
        kernel = kernel or 3  # PyTorch's pool in one dimension takes a number alone
    x = np.abs(images(axes)) if p in (3, 0.5, 1.7) else images(axes)
    agree(f"lp_pool{axes}d", x, p, kernel or MIXED[axes], stride, ceil_mode)


@pytest.mark.parametrize("p", [1, 2, 3, 2.5])
def test_the_gradient_where_the_sum_of_powers_is_0(p: float) -> None:
    x = np.array([[[0.0, 0.0, 1.0, 2.0]]])
    agree("lp_pool1d", x, p, 2, second_order=False)
    ours = tc.tensor(x, requires_grad=True)
    F.lp_pool1d(ours, p, 2).sum().backward()
    np.testing.assert_array_equal(ours.grad.numpy()[0, 0, :2], 0.0)  # type: ignore[union-attr]
    theirs = torch.tensor(x, requires_grad=True)
    T.lp_pool1d(theirs, p, 2).sum().backward()
    close(ours.grad, theirs.grad)


def test_odd_powers_of_negative_numbers() -> None:
    """It is x that is raised, not |x|: the root of a negative sum is no number."""
    x = normal(2, 3, 6, 6)
    with np.errstate(invalid="ignore"):
        ours = F.lp_pool2d(x, 3, 2)
    expected = T.lp_pool2d(torch.tensor(x), 3, 2)
    assert np.isnan(expected.numpy()).any()
    close(ours, expected)


OUTPUTS = {
    1: [1, 2, 3, 5, 7, 9, (4,), (None,)],
    2: [1, 2, 3, 7, (1, 4), (None, 3), (5, None), (None, None), (8, 13)],
    3: [1, 2, 3, 5, (2, None, 1), (None, 3, 2), (7, 5, 4)],
}


@pytest.mark.parametrize(
    ("axes", "output_size"), [(axes, size) for axes, sizes in OUTPUTS.items() for size in sizes]
)
@pytest.mark.parametrize("ties", [False, True])
def test_adaptive_pools(axes: int, output_size: Any, ties: bool) -> None:
    x = images(axes, ties=ties)
    if output_size == (None,):  # PyTorch's pool in one dimension knows no None
        np.testing.assert_array_equal(F.adaptive_avg_pool1d(x, output_size), x)
        return
    agree(f"adaptive_avg_pool{axes}d", x, output_size, second_order=not ties)
    agree(f"adaptive_max_pool{axes}d", x, output_size, second_order=not ties)
    ours, theirs = both(f"adaptive_max_pool{axes}d")
    _, indices = ours(x, output_size, return_indices=True)
    _, places = theirs(torch.tensor(x), output_size, return_indices=True)
    np.testing.assert_array_equal(indices, places.numpy())


def test_more_bins_than_elements() -> None:
    for x in (normal(2, 3, 1, 5), normal(2, 3, 2, 1)):
        for size in (3, (1, 4), 7):
            agree("adaptive_avg_pool2d", x, size)
            agree("adaptive_max_pool2d", x, size)


@pytest.mark.parametrize("axes", DIMENSIONS)
def test_global_pools_are_adaptive_ones_of_size_1(axes: int) -> None:
    for pool in ("avg", "max"):
        ours = getattr(F, f"global_{pool}_pool{axes}d")
        theirs = getattr(T, f"adaptive_{pool}_pool{axes}d")
        compare(
            lambda x, f=ours: f(x) ** 2, lambda x, f=theirs: f(x, 1).flatten(1) ** 2, images(axes)
        )
        compare(
            lambda x, f=ours: f(x, keepdims=True), lambda x, f=theirs: f(x, 1),
            images(axes, ties=True), second_order=False,
        )  # fmt: skip


@pytest.mark.parametrize("axes", DIMENSIONS)
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(2, None, 0), (3, None, 0), (1, 2, 0), (2, 3, 0), (3, 3, 1), (None, None, 0)],
)
def test_max_unpool(axes: int, kernel: Any, stride: Any, padding: int) -> None:
    x, window = images(axes), kernel or MIXED[axes]
    options = {"stride": stride, "padding": padding}
    _, indices = getattr(F, f"max_pool{axes}d")(x, window, **options, return_indices=True)
    ours, theirs = both(f"max_unpool{axes}d")
    size = list(x.shape)
    values = normal(*indices.shape, seed=3)
    compare(
        lambda v: ours(v, indices, window, **options, output_size=size) ** 2,
        lambda v: (
            theirs(v, torch.tensor(indices.numpy()), window, **options, output_size=size) ** 2
        ),
        values,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pool_and_unpool_together(layout: Any) -> None:
    """The size by default, and through both functions."""

    def there_and_back(f: Any, x: Any) -> Any:
        pooled, indices = f.max_pool2d(x, 2, return_indices=True)
        return f.max_unpool2d(pooled**2, indices, 2, output_size=(7, 5)) * x

    compare(
        lambda x: there_and_back(F, x), lambda x: there_and_back(T, x), layout(normal(3, 2, 7, 5))
    )
    pooled, indices = F.max_pool2d(normal(3, 2, 8, 6), 2, return_indices=True)
    close(
        F.max_unpool2d(pooled, indices, 2),
        T.max_unpool2d(torch.tensor(pooled.numpy()), torch.tensor(indices.numpy()), 2),
    )


@pytest.mark.parametrize("axes", DIMENSIONS)
def test_elements_that_go_to_one_place(axes: int) -> None:
    """The values are PyTorch's after overlapping windows; the gradient is that of the winner.

    PyTorch gives all of them the gradient, which is not the derivative.
    """
    x = images(axes)
    name, size = f"max_pool{axes}d", list(SIZES[axes])
    pooled, indices = getattr(F, name)(x, 2, 1, return_indices=True)
    assert any(np.unique(row).size < row.size for row in indices.numpy().reshape(6, -1))
    ours, theirs = both(f"max_unpool{axes}d")
    unpooled = ours(pooled, indices, 2, 1, output_size=size)
    places = torch.tensor(indices.numpy())
    close(unpooled, theirs(torch.tensor(pooled.numpy()), places, 2, 1, output_size=size))
    assert gradcheck(lambda v: ours(v, indices, 2, 1, output_size=size) ** 2, [pooled.numpy()]).ok


@pytest.mark.parametrize("axes", DIMENSIONS)
def test_nan_and_infinities(axes: int) -> None:
    x = images(axes)
    flat = x.reshape(2, 3, -1)
    flat[0, 0, 3], flat[0, 1, 2], flat[1, 2, 5], flat[1, 1] = np.nan, np.inf, -np.inf, -np.inf
    for args in ((2, 2, 1), (3, 2, 1), (2, 1)):
        agree(f"max_pool{axes}d", x, *args, ceil_mode=True, second_order=False)
        _, indices = getattr(F, f"max_pool{axes}d")(x, *args, return_indices=True)
        _, places = getattr(T, f"max_pool{axes}d")(torch.tensor(x), *args, return_indices=True)
        np.testing.assert_array_equal(indices, places.numpy())
    agree(f"adaptive_max_pool{axes}d", x, 2, second_order=False)
    with np.errstate(invalid="ignore"):
        agree(f"adaptive_avg_pool{axes}d", x, 2, second_order=False)
        agree(f"avg_pool{axes}d", x, 2, 2, 1, second_order=False)


@pytest.mark.parametrize("axes", DIMENSIONS)
def test_integers_and_float32(axes: int) -> None:
    whole = np.round(images(axes) * 3).astype(np.int64)
    for dtype in (np.int64, np.int32, np.float32):
        x = whole.astype(dtype)
        for name, args in ((f"max_pool{axes}d", (2, 2, 1)), (f"adaptive_max_pool{axes}d", (3,))):
            ours, theirs = both(name)
            out = ours(x, *args)
            assert out.dtype == dtype
            close(out, theirs(torch.tensor(x).double(), *args))
    for name, args in (
        (f"avg_pool{axes}d", (2, 2, 1, True, False)),
        (f"lp_pool{axes}d", (2, 2, None, True)),
        (f"adaptive_avg_pool{axes}d", (3,)),
        (f"global_avg_pool{axes}d", ()),
    ):
        assert getattr(F, name)(whole.astype(np.float32), *args).dtype == np.float32
