"""The planned executor: what it computes is what eager mode does, in memory that it keeps."""

from __future__ import annotations

import operator
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import fresh_gradients, training_step
from tinygrad_cnn import nn
from tinygrad_cnn.compiler import CompileWarning, compile
from tinygrad_cnn.compiler.planned import _runner
from tinygrad_cnn.compiler.planned._memory import Buffers, arena
from tinygrad_cnn.compiler.planned._pool import Pool
from tinygrad_cnn.compiler.threads import set_num_threads

F = tc.functional
Array = np.ndarray[Any, np.dtype[Any]]
RELATIVE = {"float32": 1e-5, "float64": 1e-12}


@pytest.fixture(autouse=True, params=[1, 3], ids=["one-thread", "three-threads"])
def in_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Cut even the smallest batch into blocks."""
    monkeypatch.setattr(_runner, "_WORK", 0)
    monkeypatch.setattr(_runner, "_WORK_OF_A_CALL", 0)
    monkeypatch.setattr(_runner, "_SPLIT", 0)
    set_num_threads(request.param)
    yield
    set_num_threads(None)


class Residual(nn.Module):
    """Batch normalisation, a shortcut with stride, shared parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(4)
        self.shortcut = nn.Conv2d(2, 4, 1, stride=2)

    def forward(self, x: tc.Tensor) -> tc.Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(self.conv2(y))) + self.shortcut(x)
        return F.relu(y)


NETS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2, stride=1),
        nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3),
    ),
    "groups": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, groups=2, dilation=2, padding=2), nn.Tanh(), nn.AvgPool2d(3, 2),
        nn.Conv2d(4, 4, 2, stride=2, groups=4), nn.Sigmoid(), nn.Flatten(), nn.Linear(4, 3),
    ),
    "residual": lambda: nn.Sequential(Residual(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 3)),
    "dropout": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(128, 7), nn.ReLU(), nn.Dropout(0.3), nn.Linear(7, 3)
    ),
    "layer norm": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.LeakyReLU(), nn.Flatten(),
        nn.Linear(144, 6), nn.LayerNorm(6), nn.Linear(6, 3),
    ),
}  # fmt: skip


def images(count: int, dtype: str = "float64") -> tuple[Array, Array]:
    """Noise, and labels."""
    generator = np.random.default_rng(count)
    noise = generator.standard_normal((count, 2, 8, 8)).astype(dtype)
    return noise, generator.integers(0, 3, count)


def network(name: str, dtype: str) -> nn.Module:
    """The network from a fixed seed, and random numbers from another."""
    tc.manual_seed(1)
    made = NETS[name]()
    for tensor in (*made.parameters(), *made.buffers()):
        if tensor.dtype.kind == "f":
            tensor.data = tensor.data.astype(dtype)
    return made


def trained(model: nn.Module, batches: list[tuple[Array, Array]], planned: bool) -> list[float]:
    """The losses of training steps, and after them the state of the model."""
    optimizer = tc.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    step = training_step(lambda x, y: F.cross_entropy(model(x), y), optimizer, item=True)
    run = compile(step, executor="numpy") if planned else step
    tc.manual_seed(2)
    return [run(x, y) for x, y in batches]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("name", NETS)
def test_twenty_steps_are_those_of_eager_mode(name: str, count: int, dtype: str) -> None:
    batches = [images(count, dtype)] * 20
    eager, planned = network(name, dtype), network(name, dtype)
    np.testing.assert_allclose(
        trained(planned, batches, True), trained(eager, batches, False), rtol=RELATIVE[dtype]
    )
    for key, value in eager.state_dict().items():
        found, expected = np.asarray(planned.state_dict()[key]), np.asarray(value)
        scale = np.abs(expected).max() or 1.0
        np.testing.assert_allclose(found, expected, rtol=0, atol=RELATIVE[dtype] * scale)


def compared(function: Callable[..., Any], *args: Any) -> None:
    """Run twice what a function returns, eagerly and planned."""
    planned = compile(function, executor="numpy")
    for _ in range(3):
        expected, found = function(*args), planned(*args)
        expected, found = ([v] if isinstance(v, tc.Tensor) else v for v in (expected, found))
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-12, atol=1e-14)
            assert b.dtype == a.dtype
            assert b.shape == a.shape
    [entry] = planned.entries.values()
    assert not isinstance(entry, str)
    assert entry.executor == "numpy"


MATRIX = tc.tensor(np.ones((4, 2)))
PICKED = np.array([0, 0, 3])
ROWS = np.random.default_rng(0).standard_normal((6, 4))
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "arithmetic": lambda x: (x * 2 - 1) / (x * x + 1) + x**2 + abs(x) ** 0.5,
    "comparisons": lambda x: tc.where(x > 0, x, -x * 0.1) * (x < 1),
    "extrema": lambda x: [tc.maximum(x, 0.0), tc.minimum(0.1, x), tc.clip(x, -0.5, 0.5)],
    "sums": lambda x: [x.sum(), x.sum(0), x.sum(1), x.mean(), tc.max(x, 0), tc.max(x, 1)],
    "over the batch": lambda x: x - x.mean(0) + x.sum(0, keepdims=True) * tc.max(x),
    "special": lambda x: [tc.exp(x), tc.sigmoid(x), tc.erf(x), tc.tanh(x), tc.cos(x)],
    "products": lambda x: [x @ x.T, x.T @ x, x @ MATRIX],
    "stacked products": lambda x: x.reshape(6, 2, 2) @ x.reshape(6, 2, 2),
    "slices": lambda x: [x[:, 1], x[2], x[1:4], x[:, ::2], x[..., None], x[PICKED]],
    "joined": lambda x: [tc.stack([x, x]), tc.concatenate([x, x]), tc.concatenate([x, x], 1)],
    "order": lambda x: [tc.flip(x, 1), tc.flip(x, 0), tc.cumsum(x, 0), tc.cumsum(x, 1)],
    "shapes": lambda x: [x.reshape(3, 8), x.reshape(24), x.T, x.reshape(2, 3, 4).sum(1)],
    "padded": lambda x: tc.pad(tc.pad(x, [(0, 0), (1, 2)], 3.0), [(1, 0), (0, 0)]),
    "unchanged": lambda x: [x * 1.0, x * 1.0],
    "softmax": lambda x: F.softmax(x, 1) * F.log_softmax(x, 0),
}


# What they use beside the rows.
OTHERS = {"products": (MATRIX.numpy(),), "slices": (PICKED,)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_rows(name: str) -> None:
    compared(FUNCTIONS[name], tc.tensor(ROWS))


def test_gradients_flow_through_a_planned_function() -> None:
    weight = tc.tensor(np.ones((4, 2)), requires_grad=True)
    energy = compile(lambda x: ((x @ weight) ** 2).sum(), executor="numpy")
    x = tc.tensor(ROWS, requires_grad=True)
    energy(x).backward()
    product = ROWS @ np.ones((4, 2))
    assert x.grad is not None
    assert weight.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), 2 * product @ np.ones((2, 4)), rtol=1e-12)
    np.testing.assert_allclose(weight.grad.numpy(), 2 * ROWS.T @ product, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
def test_a_negation_in_place_where_numbers_lie_apart(dtype: str) -> None:
    apart = np.dtype(dtype).itemsize  # numbers: np.negative is wrong at this distance
    x = tc.tensor(np.arange(18 * apart).reshape(1, 18, apart).astype(dtype))
    compared(lambda x: -(x + 1)[..., 1], x)
    compared(lambda x: -tc.flip(x + 1, 2)[..., 0], x)


def test_a_negation_keeps_the_signs_of_zeros_and_infinities() -> None:
    x = tc.tensor(np.array([[0.0, -0.0, np.inf, -np.inf, np.nan, 1.0]] * 4))
    planned = compile(lambda x: -x, executor="numpy")
    np.testing.assert_array_equal(np.signbit(planned(x).numpy()[:, :4]), [[1, 0, 1, 0]] * 4)
    compared(lambda x: -x, x)


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize("length", [1, 2])
def test_the_gradient_of_a_padded_softmax(length: int, count: int) -> None:
    generator = np.random.default_rng(0)
    weight = tc.tensor(generator.standard_normal((10, 32), np.float32))

    def energy(x: tc.Tensor) -> Any:
        y = tc.pad(F.softmax(x), [(0, 0), (0, 0), (1, 3 - length)])
        return (F.linear(y.reshape(len(x), -1), weight) ** 2).mean()

    rows = generator.standard_normal((count, 8, length), np.float32)
    found = []
    for function in (energy, compile(energy, executor="numpy")):
        x = tc.tensor(rows, requires_grad=True)
        function(x).backward()
        assert x.grad is not None
        found.append(x.grad.numpy())
    np.testing.assert_allclose(found[1], found[0], rtol=1e-4, atol=1e-6)


def test_integers_and_arrays_as_arguments() -> None:
    labels = np.arange(6) % 4
    compared(lambda x, y: F.cross_entropy(x, y, reduction="none"), tc.tensor(ROWS), labels)
    compared(lambda n: n * 2 + 1, tc.tensor(np.arange(6)))


def test_nan_and_infinity_pass_through() -> None:
    x = np.random.default_rng(3).standard_normal((4, 1, 4, 4))
    x[0, 0, 1, 1], x[1, 0, 2, 2], x[2, 0, 0, 0] = np.nan, np.inf, -np.inf
    compared(lambda x: F.max_pool2d(F.relu(x), 2), tc.tensor(x))


def test_a_result_is_the_callers() -> None:
    double = compile(lambda x: x * 2.0, executor="numpy")
    first = double(tc.tensor(ROWS)).numpy()
    second = double(tc.tensor(-ROWS)).numpy()
    np.testing.assert_array_equal(first, 2 * ROWS)
    np.testing.assert_array_equal(second, -2 * ROWS)


def test_a_parameter_that_is_replaced_is_read_anew() -> None:
    weight = tc.tensor(np.ones(4), requires_grad=True)
    scaled = compile(lambda x: x * weight, executor="numpy")
    np.testing.assert_array_equal(scaled(tc.tensor(ROWS)).numpy(), ROWS)
    with tc.no_grad():
        weight.data = np.full(8, 3.0)[::2]  # other strides too
    np.testing.assert_array_equal(scaled(tc.tensor(ROWS)).numpy(), 3 * ROWS)


def test_parameters_are_written_in_place_and_nothing_is_kept_for_them() -> None:
    model = network("convolutions", "float64")
    optimizer = tc.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    x, y = images(7)

    def step(x: Array, y: Array) -> Any:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    planned = compile(step, executor="numpy")
    planned(x, y)  # makes the velocities
    before = [p.data for p in model.parameters()]
    values = [np.array(array) for array in before]
    planned(x, y)
    for parameter, array, value in zip(model.parameters(), before, values, strict=True):
        assert parameter.data is array
        assert (array != value).any()
    for entry in planned.entries.values():
        assert not isinstance(entry, str)
        for number in entry.trace.aliases:
            assert not entry.runner._outputs[number]  # type: ignore[attr-defined]


def test_values_that_replace_one_another_are_all_read_before() -> None:
    first = tc.tensor(np.arange(4.0), requires_grad=True)
    second = tc.tensor(np.ones(4), requires_grad=True)

    def exchanged(x: tc.Tensor) -> tc.Tensor:
        with tc.no_grad():
            operator.iadd(first, second)  # type: ignore[no-untyped-call]
            operator.isub(second, first)  # type: ignore[no-untyped-call]
        return x * 2.0

    planned = compile(exchanged, executor="numpy")
    expected = np.arange(4.0), np.ones(4)
    for _ in range(3):
        planned(tc.tensor(ROWS))
        expected = expected[0] + expected[1], -expected[0]
        np.testing.assert_array_equal(first.numpy(), expected[0])
        np.testing.assert_array_equal(second.numpy(), expected[1])
    assert len(planned.entries) == 1


def test_the_same_run_gives_the_same_bits() -> None:
    runs = []
    for _ in range(2):
        model = network("convolutions", "float32")
        trained(model, [images(7, "float32")] * 3, True)
        runs.append([p.numpy().tobytes() for p in model.parameters()])
    assert runs[0] == runs[1]


def test_an_error_of_arithmetic_is_raised_in_the_caller() -> None:
    inverse = compile(lambda x: 1.0 / x, executor="numpy")
    x = tc.tensor(np.zeros((6, 4)))
    with np.errstate(all="ignore"):
        assert np.isinf(inverse(x).numpy()).all()
    with np.errstate(all="raise"), pytest.raises(FloatingPointError):
        inverse(x)


def test_an_empty_batch_is_left_to_the_next_executor() -> None:
    double = compile(lambda x: x * 2.0)
    assert double(tc.tensor(np.ones((0, 4)))).shape == (0, 4)
    with pytest.warns(CompileWarning, match="without elements"):
        compile(lambda x: x * 2.0, executor="numpy")(tc.tensor(np.ones((0, 4))))


def test_later_steps_allocate_next_to_nothing() -> None:
    tc.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 5), nn.ReLU(), nn.Flatten(), nn.Linear(1600, 64), nn.Linear(64, 10),
    )  # fmt: skip
    x = np.random.default_rng(0).standard_normal((64, 1, 28, 28), np.float32)
    y = np.arange(64) % 10
    step = fresh_gradients(lambda x, y: F.cross_entropy(model(x), y), model)
    planned = compile(step, executor="numpy")
    for _ in range(3):
        planned(x, y)
    tracemalloc.start()
    try:
        planned(x, y)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    columns = 64 * 25 * 28 * 28 * x.itemsize  # of the first layer alone
    assert peak < columns / 20


def test_the_source_computes_the_same() -> None:
    model = network("residual", "float64")
    x, y = images(4)

    def step(x: Array, y: Array) -> Any:
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss.item()

    planned = compile(step, executor="numpy")
    source = planned.numpy_source(x, y)
    assert "layer0_bn1_running_mean,  # float64 (4,)" in source
    assert "# the gradient by layer3_weight" in source
    assert "# 0.conv1/conv2d: line" in source
    planned(x, y)
    [entry] = planned.entries.values()
    assert not isinstance(entry, str)
    arrays = entry.trace.arrays([x, y])
    space: dict[str, Any] = {}
    exec(source, space)
    expected = entry.trace.program(*arrays)
    for found, value in zip(space["step"](*arrays), expected, strict=True):
        np.testing.assert_array_equal(found, value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_source_of_functions(name: str) -> None:
    x = tc.tensor(ROWS)
    expected = FUNCTIONS[name](x)
    source = compile(FUNCTIONS[name]).numpy_source(x)
    space: dict[str, Any] = {}
    exec(source, space)
    found = space["program"](ROWS, *OTHERS.get(name, ()))
    results = [expected] if isinstance(expected, tc.Tensor) else expected
    for a, b in zip(results, found, strict=True):
        np.testing.assert_allclose(b, a.numpy(), rtol=1e-12)


def test_buffers_that_live_at_the_same_time_do_not_overlap() -> None:
    generator = np.random.default_rng(5)
    lives = [(int(s), int(b), int(b + d)) for s, b, d in generator.integers(1, 90, (60, 3))]
    buffers = Buffers()
    for life in lives:
        buffers.request(*life)
    buffers.lay_out()
    memory = arena(buffers.size)
    buffers.use(memory)
    assert buffers.size < sum(size for size, _, _ in lives)
    given = [(buffers.request(*life)[0], life) for life in lives]
    for i, (one, (_, birth, death)) in enumerate(given):
        assert one.ctypes.data % 64 == 0
        for other, (_, born, died) in given[:i]:
            if birth <= died and born <= death:
                assert not np.may_share_memory(one, other)


def test_a_task_that_fails_is_heard_of_after_all_have_ended() -> None:
    ended = []

    def fail() -> None:
        raise KeyError("here")

    with pytest.raises(KeyError):
        Pool().run([lambda: ended.append(1), fail, lambda: ended.append(2)])
    assert sorted(ended) == [1, 2]
