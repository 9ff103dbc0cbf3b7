"""Whole programs of one image, whose channels are lanes, against the same programs as NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from channel_programs import PRECISIONS, Program, values

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.compiler import explain, set_num_threads

pytest.importorskip("llvmlite")

from tinygrad_cnn.compiler.lanes.channels import jobs
from tinygrad_cnn.compiler.lanes.channels.runner import ChannelRunner
from tinygrad_cnn.compiler.lanes.plan.runner import LaneRunner

F = tc.functional


class Residual(nn.Module):
    """Two convolutions, batch norm and a shortcut with another stride."""

    def __init__(self, inside: int = 4, outside: int = 12) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.shortcut = nn.Conv2d(inside, outside, 1, 2, bias=False)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class Gate(nn.Module):
    """Channels weighted by what their means say (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, 3), nn.Linear(3, channels)

    def forward(self, x: Any) -> Any:
        gate = F.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3))))))
        return x * gate.reshape(*gate.shape, 1, 1)


class Call(nn.Module):
    """A function of the images."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(x)


def _head(features: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(features, 5)]


MODELS: dict[str, Callable[[], nn.Module]] = {
    "relu and max-pool": lambda: nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *_head(96)
    ),
    "overlapping pools": lambda: nn.Sequential(
        nn.Conv2d(4, 9, 5, padding=2), nn.Tanh(), nn.MaxPool2d(3, 2, padding=1),
        nn.AvgPool2d(3, 1, padding=1), *_head(144),
    ),
    "batch norm and residuals": lambda: nn.Sequential(
        Residual(4, 12), nn.Conv2d(12, 7, 3, padding=2), nn.BatchNorm2d(7), *_head(252)
    ),
    "depthwise convolutions": lambda: nn.Sequential(
        nn.Conv2d(4, 11, 1), nn.Conv2d(11, 11, 3, 2, padding=1, groups=11), nn.Hardswish(),
        nn.Conv2d(11, 20, 1), nn.Conv2d(20, 20, 5, padding=2, groups=20), nn.GELU(), *_head(320),
    ),
    "groups, dilation and stride": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, padding=2, dilation=2, groups=2), nn.LeakyReLU(0.1),
        nn.Conv2d(8, 24, 3, padding=1, groups=4), nn.GELU(), nn.Conv2d(24, 12, 1, groups=3),
        nn.Conv2d(12, 32, 2, groups=2), *_head(288),
    ),
    "norms of the image": lambda: nn.Sequential(
        nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4), nn.LeakyReLU(0.1),
        nn.Conv2d(4, 10, 3), nn.GroupNorm(5, 10), nn.Flatten(), nn.LayerNorm(160),
        nn.Linear(160, 5),
    ),
    "a global mean and an MLP": lambda: nn.Sequential(
        nn.Conv2d(4, 7, 1), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(7, 19), nn.ELU(), nn.Linear(19, 11), nn.LogSoftmax(1),
    ),
    "a global maximum and softmax": lambda: nn.Sequential(
        nn.Conv2d(4, 18, 3), Call(lambda x: x.max((2, 3))), nn.Softmax(1)
    ),
    "a gate for each channel": lambda: nn.Sequential(
        nn.Conv2d(4, 10, 3), Gate(10), nn.ReLU(), nn.Conv2d(10, 3, 3, padding=1), *_head(108)
    ),
    "a softmax over channels": lambda: nn.Sequential(
        nn.Conv2d(4, 10, 3, padding=1), nn.Softmax(1), nn.Conv2d(10, 1, 1),
    ),
    "a map for all channels": lambda: nn.Sequential(
        nn.Conv2d(4, 9, 3), Call(lambda x: x * F.sigmoid(x[:, :1])),
        Call(lambda x: x - x.mean((1, 2, 3), keepdims=True)), nn.Conv2d(9, 4, 2),
    ),
    "views": lambda: nn.Sequential(
        Call(lambda x: x / 3.0 - 0.5), nn.Conv2d(4, 10, 3, padding=1),
        Call(lambda x: x[:, :, 1:, ::2] + 1.0), Call(lambda x: x.transpose(0, 1, 3, 2)),
        nn.Conv2d(10, 8, 2, padding=1), Call(lambda x: x.reshape(1, 4, 2, -1)),
        nn.Conv2d(4, 9, (2, 1), padding=1), Call(lambda x: x.sum(2).max(-1)),
    ),
    "one axis in space": lambda: nn.Sequential(
        Call(lambda x: x.reshape(1, 4, 64)), nn.Conv1d(4, 12, 5, 2, padding=2), nn.ReLU(),
        nn.Conv1d(12, 3, 3), nn.Flatten(),
    ),
    "winograd": lambda: nn.Sequential(
        nn.Conv2d(4, 18, 1), nn.Conv2d(18, 20, 3, padding=1), nn.ReLU(),
        nn.Conv2d(20, 18, 5, padding=2), nn.ReLU(), nn.Conv2d(18, 24, 3), *_head(864),
    ),
    "dropout that is off": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 3), nn.Dropout2d(0.3), nn.ReLU(), nn.Dropout(0.5), *_head(144)
    ),
}  # fmt: skip


def _inference(function: Callable[..., Any]) -> Callable[..., Any]:
    def inference(*arrays: Any) -> Any:
        with tc.no_grad():
            return function(*arrays)

    return inference


def _warm(name: str, dtype: Any) -> nn.Module:
    """A model in evaluation, with statistics that are no longer zeros and ones."""
    tc.manual_seed(0)
    model = MODELS[name]().astype(dtype)
    for seed in range(2):
        model(tc.tensor(values(1, 4, 8, 8, dtype=dtype, seed=seed)))
    return model.eval()


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    set_num_threads(1)
    yield
    set_num_threads(None)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_models_agree_with_numpy(name: str, dtype: Any) -> None:
    program = Program(_inference(_warm(name, dtype)), values(1, 4, 8, 8, dtype=dtype))
    assert isinstance(program.run, ChannelRunner)
    program.check_twice()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_divide_the_work(name: str, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "WORTH", 1)
    set_num_threads(threads)
    program = Program(_inference(_warm(name, np.float64)), values(1, 4, 8, 8))
    assert program.run.threads == threads
    program.check_twice()


@pytest.mark.parametrize("target", ["sse2", "avx2"])
@pytest.mark.parametrize("name", ["relu and max-pool", "winograd", "groups, dilation and stride"])
def test_other_targets(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_CNN_TARGET", target)
    for dtype in PRECISIONS:
        Program(_inference(_warm(name, dtype)), values(1, 4, 8, 8, dtype=dtype)).check_twice()


def test_several_results_of_any_form() -> None:
    conv = nn.Conv2d(4, 9, 3).double()

    def several(x: Any) -> Any:
        y = conv(x)
        return y, x, F.relu(y), y > 0, y.sum((2, 3)), y.mean(), x[:, 1:3] * 2.0, y[:, 3], y

    Program(_inference(several), values(1, 4, 8, 8)).check_twice()


def test_arrays_beside_the_image_and_constants() -> None:
    scale, table = values(9, 1, 6), values(6, 6, seed=1)
    conv, across = nn.Conv2d(4, 9, 3).double(), nn.Conv2d(9, 4, 3, padding=2).double()

    def mixed(x: Any, shift: Any, skip: Any) -> Any:
        y = conv(x) * scale + table
        return across(y * shift + skip) + x

    others = values(1, 9, 1, 1), values(1, 1, 6, 6)
    Program(_inference(mixed), values(1, 4, 8, 8), *others).check_twice()


def test_weights_that_are_computed() -> None:
    weight = tc.tensor(values(9, 4, 3, 3))

    def standardised(x: Any) -> Any:
        axes = (1, 2, 3)
        w = (weight - weight.mean(axes, keepdims=True)) / weight.std(axes, keepdims=True)
        return F.conv2d(x, w) + F.conv2d(x, weight, flip=True)

    Program(_inference(standardised), values(1, 4, 8, 8)).check_twice()


def test_random_numbers_are_those_of_eager_mode() -> None:
    model = nn.Sequential(nn.Conv2d(4, 9, 3), nn.Dropout2d(0.5), nn.ReLU(), nn.Dropout(0.3))
    Program(_inference(model.double()), values(1, 4, 8, 8)).check()


def test_nan_and_infinity_stay_in_their_channels() -> None:
    x = values(1, 4, 8, 8)
    x[0, 1, 2, 3], x[0, 2, 5, 5] = np.nan, np.inf
    depthwise = nn.Conv2d(4, 4, 3, groups=4).double()
    with np.errstate(invalid="ignore"):
        Program(_inference(depthwise), x).check()


def test_a_dense_network_of_one_row() -> None:
    model = nn.Sequential(
        nn.Linear(13, 20), nn.LayerNorm(20), nn.GELU(), nn.Linear(20, 3), nn.Softmax(1)
    )
    program = Program(_inference(model.double()), values(1, 13))
    assert isinstance(program.run, ChannelRunner)
    program.check_twice()


def test_parameters_that_change_in_place_are_seen() -> None:
    model = _warm("batch norm and residuals", np.float32)
    compiled = tc.compile(_inference(model))
    x = tc.tensor(values(1, 4, 8, 8, dtype=np.float32))
    first = compiled(x).numpy().copy()
    for p in model.parameters():
        p.numpy()[...] *= 1.25
    with tc.no_grad():
        expected = model(x).numpy()
    assert not np.allclose(first, expected)
    np.testing.assert_allclose(compiled(x).numpy(), expected, atol=1e-5 * np.abs(expected).max())
    assert np.array_equal(compiled(x).numpy(), compiled(x).numpy())


def test_explain_says_that_lanes_are_channels() -> None:
    compiled = tc.compile(_inference(_warm("relu and max-pool", np.float32)))
    compiled(tc.tensor(values(1, 4, 8, 8, dtype=np.float32)))
    assert "lanes of a vector are its channels" in explain(compiled)


def test_larger_tiles_where_they_are_allowed() -> None:
    inference = _inference(_warm("winograd", np.float64))
    exact, fast = (
        Program(inference, values(1, 4, 8, 8), accuracy=how).check_twice()[0]
        for how in ("default", "fast")
    )
    assert not np.array_equal(exact, fast)


def test_what_stays_with_lanes_of_images() -> None:
    model = MODELS["relu and max-pool"]().double()

    def step(x: Any) -> Any:
        (model(x) ** 2).sum().backward()

    assert type(Program(step, values(1, 4, 8, 8)).run) is LaneRunner
    two = Program(_inference(model), values(2, 4, 8, 8))
    assert type(two.run) is LaneRunner


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 4, 4)])
def test_a_long_chain_of_operations(shape: tuple[int, ...]) -> None:
    def chain(x: Any) -> Any:
        for _ in range(600):
            x = x * 1.001 + 0.001
        return x

    program = Program(chain, values(*shape))
    assert isinstance(program.run, ChannelRunner)
    program.check_twice()
