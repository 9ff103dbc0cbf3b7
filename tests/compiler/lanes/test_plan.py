"""Whole programs on lane kernels against the same programs as NumPy: values and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.compiler import set_num_threads
from tinygrad_cnn.compiler._executors import EXECUTORS, UnsupportedError
from tinygrad_cnn.compiler._signature import flatten
from tinygrad_cnn.compiler._trace import Trace

pytest.importorskip("llvmlite")

TOLERANCE = {np.float64: 1e-11, np.float32: 3e-5}
F = tc.functional


class Residual(nn.Module):
    """Two convolutions, batch norm and a shortcut with another stride."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 8, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.shortcut = nn.Conv2d(4, 8, 1, 2, bias=False)

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


def _head(channels: int, size: int) -> list[nn.Module]:
    return [nn.Flatten(), nn.Linear(channels * size * size, 5)]


MODELS: dict[str, Callable[[], nn.Module]] = {
    "relu and max-pool": lambda: nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *_head(6, 4)
    ),
    "overlapping pools": lambda: nn.Sequential(
        nn.Conv2d(4, 5, 5, padding=2), nn.Tanh(), nn.MaxPool2d(3, 2, padding=1),
        nn.AvgPool2d(3, 1, padding=1), *_head(5, 4),
    ),
    "batch norm and a residual": lambda: nn.Sequential(Residual(), *_head(8, 4)),
    "winograd": lambda: nn.Sequential(
        nn.Conv2d(4, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(),
        nn.Conv2d(16, 16, 3), nn.MaxPool2d(2), *_head(16, 3),
    ),
    "groups, dilation and stride": lambda: nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, padding=2, dilation=2, groups=2), nn.Sigmoid(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.GELU(), *_head(8, 4),
    ),
    "norms of each image": lambda: nn.Sequential(
        nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.InstanceNorm2d(4), nn.LeakyReLU(0.1),
        nn.Flatten(), nn.LayerNorm(4 * 36), nn.Linear(4 * 36, 5),
    ),
    "global mean and an MLP": lambda: nn.Sequential(
        nn.Conv2d(4, 7, 1), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(7, 9), nn.ELU(), nn.Linear(9, 5), nn.LogSoftmax(1),
    ),
    "dropout": lambda: nn.Sequential(
        nn.Conv2d(4, 4, 3), nn.Dropout2d(0.3), nn.ReLU(), nn.Dropout(0.5), *_head(4, 6)
    ),
}  # fmt: skip


def _step(model: nn.Module, penalty: float = 0.0) -> Callable[..., Any]:
    def step(x: Any, labels: Any) -> Any:
        scores = model(x)
        loss = F.cross_entropy(scores, labels)
        if penalty:
            loss = loss + penalty * sum(((p * p).sum() for p in model.parameters()), start=0.0)
        loss.backward()
        return loss, scores

    return step


def _agree(step: Callable[..., Any], arguments: tuple[Any, ...], dtype: Any) -> None:
    """One run on lane kernels, and one as NumPy, of the same numbers."""
    leaves: list[Any] = []
    structure = flatten((arguments, {}), leaves)
    executor = EXECUTORS["lanes"]
    trace = Trace(step, structure, leaves, executor.swaps)
    plain = Trace(step, structure, leaves)
    run = executor.build(trace, tc.compile(step))
    for _ in range(2):  # the second in memory that was used
        tc.manual_seed(1)
        arrays = trace.arrays(leaves)
        tc.manual_seed(1)
        expected = plain.program(*plain.arrays(leaves))
        found = run(arrays)
        assert len(found) == len(expected)
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            scale = max(float(np.max(np.abs(other), initial=0.0)), 1e-3)
            error = float(np.max(np.abs(np.asarray(one) - other), initial=0.0)) / scale
            assert np.shape(one) == np.shape(other)
            assert error < TOLERANCE[dtype], (number, trace.program.outputs[number], error)


def _data(images: int, dtype: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(images)
    x = rng.standard_normal((images, 4, 8, 8)).astype(dtype)
    return x, rng.integers(0, 5, images)


@pytest.fixture(autouse=True)
def _two_threads() -> Any:
    set_num_threads(2)
    yield
    set_num_threads(None)


@pytest.mark.parametrize("name", MODELS)
def test_models_agree_with_numpy(name: str) -> None:
    tc.manual_seed(0)
    model = MODELS[name]().double()
    for images in (1, 4, 5, 16, 19):  # also with one block, fewer blocks than threads, a rest
        if images > 1 or "norm" not in name:  # of one image the batch is not to be told apart
            _agree(_step(model), _data(images, np.float64), np.float64)


@pytest.mark.parametrize("name", ["relu and max-pool", "batch norm and a residual", "winograd"])
def test_models_agree_in_single_precision(name: str) -> None:
    tc.manual_seed(0)
    _agree(_step(MODELS[name]()), _data(17, np.float32), np.float32)


@pytest.mark.parametrize("threads", [1, 3])
def test_other_numbers_of_threads(threads: int) -> None:
    set_num_threads(threads)
    model = MODELS["batch norm and a residual"]().double()
    _agree(_step(model), _data(23, np.float64), np.float64)


def test_a_penalty_on_the_parameters() -> None:
    model = MODELS["relu and max-pool"]().double()
    _agree(_step(model, 0.1), _data(6, np.float64), np.float64)


def test_evaluation_without_recording() -> None:
    model = nn.Sequential(Residual(), *_head(8, 4)).double().eval()
    with tc.no_grad():
        _agree(lambda x, _: F.softmax(model(x), 1), _data(6, np.float64), np.float64)


def test_images_that_lie_batch_innermost_in_memory() -> None:
    x, labels = _data(9, np.float64)
    x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)
    _agree(_step(MODELS["relu and max-pool"]().double()), (x, labels), np.float64)


def test_the_same_run_gives_the_same_bits() -> None:
    model = MODELS["winograd"]()
    step = tc.compile(_step(model), executor="lanes")
    x, labels = _data(40, np.float32)

    def run() -> list[bytes]:
        model.zero_grad()
        loss, _ = step(x, labels)
        return [loss.numpy().tobytes(), *(p.grad.numpy().tobytes() for p in model.parameters())]  # type: ignore[union-attr]

    assert run() == run() == run()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, _: tc.sum(x[::-1] * x),  # the images are mixed
        lambda x, _: tc.cumsum(x, 1),
        lambda x, _: tc.concatenate([x, x], 0),
        lambda x, _: x.astype(np.float32).sum() + x.sum(),
    ],
)
def test_what_there_is_no_kernel_for_is_left_to_numpy(function: Callable[..., Any]) -> None:
    leaves: list[Any] = []
    structure = flatten((_data(4, np.float64), {}), leaves)
    executor = EXECUTORS["lanes"]
    with pytest.raises(UnsupportedError):
        executor.build(Trace(function, structure, leaves, executor.swaps), tc.compile(function))
    compiled = tc.compile(function)
    arguments = tuple(map(tc.as_tensor, _data(4, np.float64)))
    assert np.allclose(compiled(*arguments).numpy(), function(*arguments).numpy())


@pytest.mark.parametrize(
    "function",
    [
        lambda y, again: F.relu(again) + y,  # the program and its gradients share operations
        lambda y, again: y * again + np.ones_like(y.data),
    ],
)
def test_a_result_of_many_numbers_is_differentiated(function: Callable[..., Any]) -> None:
    first, second = (nn.Conv2d(4, 4, 3, padding=1).double() for _ in range(2))

    def forward(x: Any) -> Any:
        y = first(x)
        return function(y, second(y))

    def gradients(compute: Callable[..., Any]) -> list[Any]:
        result = compute(x)
        parameters = [*first.parameters(), *second.parameters()]
        return [result, *tc.gradients(result, parameters, np.cos(result.numpy()))]

    x, _ = _data(6, np.float64)
    compiled = gradients(tc.compile(forward, executor="lanes"))
    for actual, expected in zip(compiled, gradients(forward), strict=True):
        np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=0, atol=1e-11)


# -- weights that are views ------------------------------------------------------------------

WEIGHTS = {
    "turned rows": lambda w: w[:, :, ::-1],
    "some channels": lambda w: w[:, :1],
    "some taps": lambda w: w[..., :2],
    "every second filter": lambda w: w[::2],
    "the first filters": lambda w: w[:2],
    "rows and columns exchanged": lambda w: w.transpose(0, 1, 3, 2),
    "one filter, repeated": lambda w: tc.broadcast_to(w[:1], w.shape),
    "computed and turned": lambda w: (w * 2.0)[:, :, ::-1],
    "turned and computed": lambda w: tc.flip(w, (2, 3)) * 2.0,
}


@pytest.mark.parametrize("name", WEIGHTS)
@pytest.mark.parametrize("batch", [1, 11])
@pytest.mark.parametrize("channels", [4, 16])  # direct, and by Winograd's algorithm
def test_weights_may_be_views(name: str, batch: int, channels: int) -> None:
    rng = np.random.default_rng(channels)
    w = tc.tensor(rng.standard_normal((channels, channels, 3, 3)))
    inside = WEIGHTS[name](w).shape[1]
    x = tc.tensor(rng.standard_normal((batch, inside, 8, 7)), requires_grad=True)
    g = tc.tensor(rng.standard_normal(F.conv2d(x, WEIGHTS[name](w), padding=1).shape))

    def loss(x: Any, g: Any) -> Any:
        return (F.conv2d(x * 1.0, WEIGHTS[name](w), padding=1) * g).sum()

    compiled = tc.compile(loss, executor="lanes")
    found = []
    for function in (loss, compiled, compiled, compiled):
        x.grad = None
        y = function(x, g)
        y.backward()
        assert x.grad is not None
        found.append((y.item(), x.grad.numpy()))
    for value, gradient in found[1:]:
        assert value == pytest.approx(found[0][0], rel=1e-11)
        np.testing.assert_allclose(gradient, found[0][1], rtol=0, atol=1e-11)


def test_a_gradient_of_constants_is_left_to_numpy() -> None:
    x = tc.tensor(np.arange(4.0).reshape(1, 1, 2, 2), requires_grad=True)
    compiled = tc.compile(lambda x: F.max_pool2d(x, 2))
    for _ in range(3):
        x.grad = None
        compiled(x).sum().backward()
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.numpy().ravel(), [0, 0, 0, 1])


def test_a_long_chain_of_operations() -> None:
    x = tc.tensor(np.linspace(-1.0, 1.0, 24).reshape(8, 3), requires_grad=True)

    def chain(x: Any) -> Any:
        for _ in range(600):
            x = x * 1.001 + 0.001
        return x.sum()

    chain(x).backward()
    assert x.grad is not None
    expected = x.grad.numpy()
    compiled = tc.compile(chain, executor="lanes")
    for _ in range(3):
        x.grad = None
        assert compiled(x).item() == pytest.approx(chain(x).item())
        compiled(x).backward()
        np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-12)
