"""The planned executor's convolutions and poolings, in all their ways, are those of eager mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn._kernels import convolution, windows, winograd
from tinygrad_cnn._kernels.windows import Window
from tinygrad_cnn.compiler import compile
from tinygrad_cnn.compiler.planned import _runner
from tinygrad_cnn.compiler.threads import set_num_threads

F = tc.functional
Array = np.ndarray[Any, np.dtype[Any]]
RELATIVE = {"float32": 1e-5, "float64": 1e-12}
BATCHES = [1, 15, 16, 17]
IN_TILES = Window((3, 3), (1, 1), (1, 1))


@pytest.fixture(autouse=True, params=[1, 3], ids=["one-thread", "three-threads"])
def in_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Cut even the smallest batch into blocks."""
    monkeypatch.setattr(_runner, "_WORK", 0)
    monkeypatch.setattr(_runner, "_WORK_OF_A_CALL", 0)
    set_num_threads(request.param)
    yield
    set_num_threads(None)


def noise(*shape: int, dtype: str = "float64") -> Array:
    """Normal random numbers, the same for the same shape."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


def derived(
    function: Callable[..., Any], arrays: tuple[Array, ...], planned: bool
) -> tuple[list[Any], set[str]]:
    """A result and its gradients by all arrays; the names of planned operations."""
    x, *others = (tc.tensor(array, requires_grad=True) for array in arrays)

    shape, dtype = (y := function(x, *others)).shape, y.dtype.name
    seed = tc.tensor(np.flip(noise(*shape, dtype=dtype)))

    def step(x: tc.Tensor) -> tc.Tensor:
        y: tc.Tensor = function(x, *others)
        (y * seed).sum().backward()
        return y

    run = compile(step, executor="numpy") if planned else step
    found = [run(x), x.grad, *(tensor.grad for tensor in others)]
    if not planned:
        return found, set()
    [entry] = run.entries.values()  # type: ignore[attr-defined]
    assert not isinstance(entry, str), entry
    items = entry.runner.schedule.items
    return found, {item.operation.name for item in items if item.operation}


def compared(function: Callable[..., Any], *arrays: Array) -> set[str]:
    """Compare with eager mode; the names of the operations."""
    expected, _ = derived(function, arrays, False)
    found, names = derived(function, arrays, True)
    for one, other in zip(expected, found, strict=True):
        value, dtype = one.numpy(), one.numpy().dtype
        atol = RELATIVE[dtype.name] * np.abs(value).max()
        np.testing.assert_allclose(other.numpy(), value, rtol=0, atol=atol)
        assert other.numpy().dtype == dtype
    return names


# Channels, filters, size, kernel, stride, padding, dilation.
CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "same": (2, 3, (8, 8), 3, 1, 1, 1),
    "valid": (3, 2, (9, 7), 3, 1, 0, 1),
    "more than full": (2, 2, (5, 5), 3, 1, 3, 1),
    "one side": (2, 3, (6, 7), (2, 3), 1, ((1, 0), (0, 2)), 1),
    "dilated": (2, 3, (9, 9), 3, 1, 2, 2),
    "strided": (2, 3, (8, 9), 3, 2, 1, 1),
    "point": (3, 4, (4, 5), 1, 1, 0, 1),
    "five": (2, 4, (10, 10), 5, 1, 2, 1),
    "many filters": (2, 8, (6, 6), 3, 1, 1, 1),
}


@pytest.mark.parametrize("count", BATCHES)
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_their_gradients(name: str, count: int) -> None:
    c, k, size, kernel, stride, padding, dilation = CONVOLUTIONS[name]
    area = kernel if isinstance(kernel, tuple) else (kernel, kernel)

    def convolved(x: tc.Tensor, w: tc.Tensor) -> tc.Tensor:
        return F.conv2d(x, w, None, stride, padding, dilation)

    names = compared(convolved, noise(count, c, *size), noise(k, c, *area))
    is_turned = name not in ("strided", "more than full", "many filters")
    assert ("convolve_turned" in names) == is_turned
    assert ("convolve_back" in names) != is_turned


@pytest.mark.parametrize("dtype", RELATIVE)
@pytest.mark.parametrize("count", BATCHES)
@pytest.mark.parametrize("size", [(2, 2), (4, 8), (8, 6), (7, 8)])
def test_convolutions_in_tiles(
    size: tuple[int, int], count: int, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = []

    def noted(*args: Any, kernel: Any = winograd.convolve, **kwargs: Any) -> Any:
        used.append(args)
        return kernel(*args, **kwargs)

    monkeypatch.setattr(winograd, "_LEAST", 0)
    monkeypatch.setattr(winograd, "_RUN", 0)
    monkeypatch.setattr(winograd, "_CACHE", 2**15)  # in several bands
    monkeypatch.setattr(winograd, "convolve", noted)
    arrays = noise(count, 5, *size, dtype=dtype), noise(3, 5, 3, 3, dtype=dtype)
    compared(lambda x, w: F.conv2d(x, w, padding=1), *arrays)
    assert bool(used) == (size[0] % 2 == 0)


def test_weights_with_gaps_are_read_in_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "_LEAST", 0)
    monkeypatch.setattr(winograd, "_RUN", 0)
    weight = tc.tensor(noise(3, 5, 3, 3), requires_grad=True)
    with tc.no_grad():
        weight.data = noise(6, 5, 3, 3)[::2]
    step = compile(lambda x: F.conv2d(x, weight, padding=1), executor="numpy")
    x = tc.tensor(noise(5, 5, 4, 6))
    for _ in range(3):
        expected = F.conv2d(x, weight, padding=1).numpy()
        np.testing.assert_allclose(step(x).numpy(), expected, rtol=0, atol=1e-12)
        weight.data[...] *= -2.0
    [entry] = step.entries.values()
    assert not isinstance(entry, str)


def test_tiles_are_taken_where_they_pay() -> None:
    assert winograd.pays(64, 64, IN_TILES, (8, 8), 32)
    assert not winograd.pays(16, 256, IN_TILES, (8, 8), 32)
    assert not winograd.pays(64, 64, IN_TILES, (8, 8), 1)
    assert not winograd.pays(64, 64, IN_TILES, (8, 7), 32)
    assert not winograd.pays(64, 64, IN_TILES._replace(stride=(2, 2)), (8, 8), 32)
    assert not winograd.pays(64, 64, IN_TILES._replace(dilation=(2, 2)), (8, 8), 32)
    assert not winograd.pays(64, 64, Window((3,), (1,), (1,)), (8,), 32)


def test_bands_of_one_row_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "_CACHE", 1)
    arrays = noise(5, 3, 7, 6), noise(4, 3, 3, 3)
    names = compared(lambda x, w: F.conv2d(x, w, padding=1), *arrays)
    assert names >= {"convolve", "correlate", "convolve_turned"}
    assert "convolve_back" in compared(lambda x, w: F.conv2d(x, w, stride=2), *arrays)


def test_convolutions_of_signals_and_volumes() -> None:
    compared(lambda x, w: F.conv1d(x, w, padding=1), noise(5, 2, 9), noise(3, 2, 3))
    compared(lambda x, w: F.conv3d(x, w, padding=1), noise(5, 2, 4, 3, 5), noise(3, 2, 3, 3, 3))


# Size, kernel, stride, padding, dilation.
POOLINGS: dict[str, tuple[Any, ...]] = {
    "halves": ((8, 6), 2, 2, 0, 1),
    "a rest": ((9, 7), 2, 2, 0, 1),
    "overlapping": ((9, 9), 3, 2, 1, 1),
    "gaps": ((9, 9), 2, 3, 0, 1),
    "dilated": ((9, 9), 2, 2, 0, 2),
    "whole": ((4, 5), (4, 5), 1, 0, 1),
    "one": ((3, 3), 1, 1, 0, 1),
    "more places than a byte counts": ((18, 18), 17, 1, 0, 1),
}


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("count", BATCHES)
@pytest.mark.parametrize("name", POOLINGS)
def test_poolings_and_their_gradients(name: str, count: int, ties: bool) -> None:
    size, kernel, stride, padding, dilation = POOLINGS[name]
    x = noise(count, 3, *size)
    if ties:
        x = np.round(np.maximum(x, 0))
    compared(lambda x: F.max_pool2d(x, kernel, stride, padding, dilation), x)


def test_the_place_of_nan_is_the_largest() -> None:
    x = noise(3, 2, 4, 4)
    x[0, 0, 1, 0] = x[0, 0, 1, 1] = x[2, 1, 3, 3] = np.nan
    x[1, 0, 0, 0] = np.inf
    found = windows.switches(x, window=Window((2, 2), (2, 2), (1, 1)))
    assert found[0, 0, 0, 0] == 2
    assert found[2, 1, 1, 1] == 3
    assert found[1, 0, 0, 0] == 0


def test_batch_normalisation_of_a_batch() -> None:
    def normalised(x: tc.Tensor, weight: tc.Tensor, bias: tc.Tensor) -> tc.Tensor:
        return F.batch_norm(x, None, None, weight, bias, training=True)

    compared(normalised, noise(17, 3, 4, 5), noise(3), noise(3))
