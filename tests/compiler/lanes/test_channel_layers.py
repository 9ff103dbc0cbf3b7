"""Layers of one image, whose channels are lanes, against the compositions that they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pytest
from channel_programs import PRECISIONS, Program, values

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.compiler import set_num_threads

pytest.importorskip("llvmlite")

from tinygrad_cnn.compiler.lanes.channels import jobs
from tinygrad_cnn.compiler.lanes.channels.runner import ChannelRunner

Layer: TypeAlias = Callable[[Any], Any]

CHANNELS = (1, 3, 7, 8, 9, 16, 20)


class Conv(NamedTuple):
    """The arguments of a convolution."""

    channels: int
    filters: int
    size: tuple[int, int] = (6, 7)
    kernel: tuple[int, int] = (3, 3)
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1
    flip: bool = False

    def layer(self, dtype: Any) -> Layer:
        """The convolution with numbers of its own, and a ReLU."""
        shape = self.filters, self.channels // self.groups, *self.kernel
        w, b = (tc.tensor(values(*s, dtype=dtype)) for s in (shape, shape[:1]))
        settings = self.stride, self.padding, self.dilation, self.groups
        return lambda x: F.relu(F.conv2d(x, w, b, *settings, flip=self.flip))


CONVOLUTIONS = [
    *(Conv(c, k, padding=1) for c in CHANNELS for k in (7, 16)),
    *(Conv(9, k) for k in CHANNELS),
    *(Conv(c, c, padding=1, groups=c) for c in CHANNELS),  # depthwise
    Conv(5, 4, (5, 6), (1, 1)),
    Conv(20, 33, (1, 1), (1, 1)),
    Conv(3, 2, (1, 1), padding=1),
    Conv(2, 3, (2, 3), padding=4),  # rows of the output see padding only
    Conv(9, 12, (7, 8), (1, 1), stride=2),
    Conv(12, 9, (7, 8), stride=2, padding=1),
    Conv(12, 12, (7, 8), stride=(1, 2), padding=(1, 2), groups=12),
    Conv(7, 10, (10, 9), (2, 2), stride=(4, 3)),  # pixels that no tap meets
    Conv(3, 9, (12, 11), (7, 7), stride=2, padding=3),
    Conv(9, 9, (11, 12), dilation=2, padding=2),
    Conv(10, 10, (11, 12), (3, 2), stride=(2, 3), dilation=2, padding=((2, 0), (1, 3)), groups=10),
    Conv(9, 4, (2, 20), (1, 13), padding=((0, 0), (3, 3))),  # too many taps to write them out
    Conv(9, 4, (13, 6), (11, 2), padding=((5, 5), (1, 1))),
    Conv(8, 16, padding=1, groups=2),  # groups that are whole vectors
    Conv(6, 9, padding=1, groups=3),  # vectors of filters of several groups
    Conv(10, 15, padding=1, groups=5, stride=2),
    Conv(8, 16, padding=1, groups=8),  # two filters for each channel
    Conv(20, 20, padding=1, groups=4, flip=True),
    Conv(3, 20, padding=1, flip=True),
]
# Where Winograd's algorithm pays, in tiles that fit and in tiles that overlap.
WINOGRAD = [
    *(Conv(c, 16, (16, 16), padding=1) for c in (7, 8, 9, 20)),
    *(Conv(16, k, (13, 15), padding=1) for k in (7, 9, 20)),
    Conv(20, 20, (14, 11), (5, 5), padding=2),
    Conv(17, 20, (9, 12), (5, 5), padding=(3, 2)),
    Conv(20, 18, (12, 12)),
]


def _program(layers: Sequence[Layer], *arrays: Any) -> Program:
    """All layers, each of its own array, and of one whose channels are lanes already."""

    def every(*arrays: Any) -> Any:
        with tc.no_grad():
            pairs = list(zip(layers, arrays, strict=True))
            plain = [layer(x) for layer, x in pairs]
            return plain, [layer(F.max_pool2d(x, 1)) for layer, x in pairs if x.ndim == 4]

    program = Program(every, *arrays)
    assert isinstance(program.run, ChannelRunner)
    return program


def _convolutions(convolutions: Sequence[Conv], dtype: Any) -> Program:
    images = [values(1, conv.channels, *conv.size, dtype=dtype) for conv in convolutions]
    return _program([conv.layer(dtype) for conv in convolutions], *images)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    set_num_threads(1)
    yield
    set_num_threads(None)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("target", ["", "sse2", "avx2"])
def test_convolutions(dtype: Any, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_TARGET", target)
    _convolutions(CONVOLUTIONS[:: 4 if target else 1], dtype).check_twice()


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("target", ["", "sse2", "avx2"])
def test_winograd(dtype: Any, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_TARGET", target)
    convolutions = WINOGRAD[:: 4 if target else 1]
    program = _convolutions(convolutions, dtype)
    program.check_twice()
    kinds = [job.what for job in program.run.plan.jobs]
    assert kinds.count("winograd") == len(convolutions)


@pytest.mark.parametrize("threads", [2, 3])
def test_threads_divide_convolutions(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WORTH", 1)
    set_num_threads(threads)
    _convolutions([*CONVOLUTIONS[::5], *WINOGRAD[::5]], np.float64).check_twice()


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("target", ["", "sse2", "avx2"])
def test_products(dtype: Any, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_TARGET", target)

    def product(*shape: int) -> Layer:
        w, b = (tc.tensor(values(*s, dtype=dtype)) for s in (shape, shape[:1]))
        return lambda x: F.leaky_relu(F.linear(x, w, b), 0.1)

    sizes = [(k, d) for k in (*CHANNELS, 33) for d in (1, 5, 8, 20, 67)]
    layers = [product(k, d) for k, d in sizes]
    arrays = [values(1 + 2 * (k == 9), d, dtype=dtype) for k, d in sizes]
    _program(layers, *arrays).check_twice()


def test_products_of_views() -> None:
    w, one = tc.tensor(values(9, 12)), tc.tensor(values(1, 1))

    def products(x: Any) -> Any:
        with tc.no_grad():
            return F.linear(x[:, ::2], w[:, :6]) * F.linear(x[:, ::-1], w) + one

    Program(products, values(1, 12)).check_twice()


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_pools(dtype: Any) -> None:
    pools: list[Layer] = [
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 2, count_include_pad=False, ceil_mode=True),
        lambda x: F.softmax(x.mean((2, 3)), 1),
        lambda x: F.log_softmax(F.avg_pool2d(x, (6, 7)).reshape(1, -1), 1),
        lambda x: x.max(3),
        lambda x: x.sum((1, 2)),
        lambda x: x.min(2, keepdims=True) * x,
    ]
    layers = [pool for pool in pools for _ in CHANNELS]
    arrays = [values(1, c, 6, 7, dtype=dtype) for _ in pools for c in CHANNELS]
    _program(layers, *arrays).check_twice()
