"""Compiled functions as objects: modules, threads, memory, copies, errors, checks and texts."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Net, convnet, tensor, training_step, values
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.compiler import CompileWarning, _executors, explain
from tinygrad_cnn.compiler._signature import flatten
from tinygrad_cnn.compiler._symbols import UntraceableError
from tinygrad_cnn.compiler._trace import Trace
from tinygrad_cnn.errors import ArgumentError, GraphError

LABELS = np.arange(8) % 3


def images(n: int = 8) -> np.ndarray:
    return values(n, 2, 8, 8, dtype=np.float32)


def triple(x):
    return x * 3


@tc.compile
def quadruple(x):
    return x * 4


# -- modules -----------------------------------------------------------------------------------


def test_a_compiled_module_is_trained_as_the_module():
    model = Net()
    fast = tc.compile(model)
    assert all(p is q for p, q in zip(fast.parameters(), model.parameters(), strict=True))
    assert fast.state_dict().keys() == model.state_dict().keys()
    fast.eval()
    assert (model.training, fast.training) == (False, False)
    with pytest.raises(AttributeError):
        fast.no_such_attribute  # noqa: B018


# -- arguments that never come again -----------------------------------------------------------


class Pair:
    """Of arrays, which a signature does not look into."""

    def __init__(self, x: np.ndarray) -> None:
        self.x = x


@pytest.mark.parametrize(
    "given", [lambda i: Pair(tensor(3)), lambda i: 0.5**i], ids=["object", "number"]
)
def test_what_is_another_in_every_call_is_soon_run_as_it_is_written(given):
    fast = tc.compile(lambda x, other: x * getattr(other, "x", other))
    x = tensor(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for i in range(80):
            other = given(i)
            expected = x * getattr(other, "x", other)
            np.testing.assert_array_equal(fast(x, other).data, expected.data)
    [warning] = caught
    assert "another number or object in every call" in str(warning.message)
    assert len(fast.entries) == 32
    last = given(100)
    for _ in range(4):
        fast(x, last)
    assert next(reversed(fast.entries.values())).calls == 3  # from the second time on


# -- copies, threads, memory ---------------------------------------------------------------------


def test_copies_and_pickles_work():
    x = tensor(3)
    fast = tc.compile(triple)
    fast(x)
    assert pickle.loads(pickle.dumps(quadruple)) is quadruple
    for other in (pickle.loads(pickle.dumps(fast)), copy.copy(fast), copy.deepcopy(fast)):
        assert (other(x) == x * 3).all()


def test_a_copied_module_has_parameters_of_its_own():
    model = tc.compile(nn.Linear(3, 2))
    x = tensor(4, 3, dtype=np.float32)
    expected = model(x)
    other = copy.deepcopy(model)
    with tc.no_grad():
        for parameter in other.parameters():
            parameter *= 0.0
    assert (other(x) == 0).all()
    assert (model(x) == expected).all()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_threads_share_a_compiled_function(executor):
    model = convnet().eval()
    fast = tc.compile(model, executor=executor)
    given = [images(n) + n for n in (4, 3, 8, 4)]
    expected = [model(x) for x in given]
    wrong = []

    def work(first: int) -> None:
        for number in range(first, first + 12):
            one, other = fast(given[number % 4]), expected[number % 4]
            if not np.allclose(one.data, other.data, atol=1e-5):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_thread_sees_arrays_while_another_traces():
    w, tracing, seen = tensor(3, grad=True), threading.Event(), threading.Event()
    found = []

    def slow(x):
        tracing.set()
        seen.wait(10)
        return (x * w).sum()

    def look():
        tracing.wait(10)
        found.append(type(w.data))
        seen.set()

    thread = threading.Thread(target=look)
    thread.start()
    leaves: list = []
    structure = flatten(((tensor(3),), {}), leaves)
    with pytest.raises(UntraceableError, match="it changes"):
        Trace(slow, structure, leaves, listen=False)  # compile does not get beyond the event
    thread.join()
    assert found == [np.ndarray]


@pytest.mark.parametrize("executor", EXECUTORS)
def test_a_dropped_function_frees_its_model(executor):
    def run() -> list[weakref.ref]:
        model = convnet()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        step = training_step(lambda x, y: F.cross_entropy(model(x), y), optimizer, item=True)
        fast, whole = tc.compile(step, executor=executor), tc.compile(model, executor=executor)
        for _ in range(3):
            fast(images(), LABELS)
            whole(images()).sum().backward()
        return [weakref.ref(thing) for thing in (model, model[0].weight, fast, whole)]

    dropped = run()
    gc.collect()
    assert [reference() for reference in dropped] == [None] * 4


# -- errors --------------------------------------------------------------------------------------


def test_the_functions_own_error_appears_and_the_next_call_compiles():
    def divide(x, y):
        if x.shape != y.shape:
            raise KeyError("shapes")
        return x / y

    fast = tc.compile(divide, executor="numpy")
    for _ in range(3):
        with pytest.raises(KeyError, match="shapes"):
            fast(tensor(3), tensor(2))
        assert (fast(tensor(3), tensor(3)) == 1).all()


def test_an_interrupt_leaves_nothing_behind():
    interrupts = iter([True, False, False])

    class Switch:
        def __bool__(self) -> bool:
            if next(interrupts, False):
                raise KeyboardInterrupt
            return False

    switch = Switch()

    def double(x):
        return x if switch else x * 2

    fast = tc.compile(double, executor="plain")
    x = tensor(3)
    with pytest.raises(KeyboardInterrupt):
        fast(x)
    assert isinstance(x.data, np.ndarray)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompileWarning)
        assert (fast(x) == x * 2).all()


def test_settings_that_vary_all_the_time_are_given_up_with_a_warning():
    setting = {"scale": 1.0}
    fast = tc.compile(lambda x: x * setting["scale"], executor="plain")
    found = []

    def run() -> None:
        for number in range(40):
            setting["scale"] = float(number)
            found.append(fast(tc.ones(2))[0].item())

    with pytest.warns(CompileWarning, match="varies all the time") as caught:
        run()
    assert len(caught) == 1
    assert found == list(range(40))


def test_programs_for_switched_modes_are_kept():
    model = Net(p=0.0)
    fast = tc.compile(model, executor="plain")
    x, made = tensor(4, 4), set()
    for _ in range(4):
        for training in (True, False):
            model.train(training)
            fast(x)
            made.update(map(id, fast.entries.values()))
    assert len(made) == 2


# -- check, explain ------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [0, 1])
def test_check_finds_a_wrong_kernel(monkeypatch, wrong):
    real = _executors.EXECUTORS["numpy"]

    def build(trace, compiled):
        runner = real.build(trace, compiled)

        def run(arrays):
            made = runner(arrays)
            made[wrong] = made[wrong] * np.float32(1.1)
            return made

        return run

    monkeypatch.setitem(_executors.EXECUTORS, "numpy", real._replace(build=build))
    model = convnet()
    fast = tc.compile(lambda x, y: F.cross_entropy(model(x), y), executor="numpy", check=True)
    message = "result 0" if wrong == 0 else "the gradient of"
    with pytest.raises(GraphError, match=f"differs from eager mode: {message}"):
        fast(images(), LABELS)


@pytest.mark.parametrize("seed", range(4))
def test_check_passes_a_bias_before_batch_norm(seed):
    """Its gradient is zero but for rounding, which differs."""
    tc.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 3))
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step = training_step(lambda x, y: F.cross_entropy(model(x), y), optimizer)
    assert np.isfinite(tc.compile(step, check=True)(images(), LABELS).item())


@pytest.mark.parametrize("executor", EXECUTORS)
def test_check_passes_what_is_right_and_changes_nothing(executor):
    def losses(**options):
        model = convnet()
        optimizer = optim.Adam(model.parameters())
        step = training_step(lambda x, y: F.cross_entropy(model(x), y), optimizer, item=True)
        tc.manual_seed(3)
        fast = tc.compile(step, **options) if options else step
        return [fast(images(), LABELS) for _ in range(4)]

    np.testing.assert_allclose(losses(executor=executor, check=True), losses(), 1e-5)


def test_explain_says_what_runs_where_and_why():
    fast = tc.compile(lambda x, k: x * k if k else print(x), executor="plain")
    fast(tc.ones(2, 3), 2.0)
    with pytest.warns(CompileWarning):
        fast(tc.ones(2), 0.0)
    with tc.no_grad():
        fast(tc.ones(2, 3), 2.0)
    text = explain(fast)
    assert "with float64 (2, 3):\n  plain: 1 operations" in text
    assert "with float64 (2, 3), under no_grad:" in text
    assert "with float64 (2,):\n  as it is written, in eager mode: it prints" in text
    with pytest.raises(ArgumentError, match="call the function first"):
        explain(tc.compile(triple))
    with pytest.raises(ArgumentError, match="no function that"):
        explain(triple)
