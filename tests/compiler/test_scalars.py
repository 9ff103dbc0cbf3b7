"""Programs of single numbers as straight-line Python: the bits of eager mode."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.compiler import CompileWarning, compile, scalars

# What Python computes by the rules of IEEE 754, or by the function of C that NumPy calls too.
EXACT = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x * y,
    "divide": lambda x, y: x / y,
    "power": lambda x, y: abs(x) ** y,
    "square": lambda x, y: x**2,
    "remainder": lambda x, y: x % y,
    "negative": lambda x, y: -x,
    "abs": lambda x, y: abs(x),
    "sqrt": lambda x, y: tc.sqrt(abs(x)),
    "maximum": tc.maximum,
    "minimum": tc.minimum,
    "relu": lambda x, y: F.relu(x),
    "capped": lambda x, y: tc.minimum(1.5, x),
    "leaky": lambda x, y: F.leaky_relu(x),
    "where": lambda x, y: tc.where(x > y, x, y * 0.5),
    "clip": lambda x, y: tc.clip(x, -1.0, 1.0),
    "floor": lambda x, y: tc.floor(x) + y,
    "weak": lambda x, y: 2 * x - y / 3,
    "constant": lambda x, y: x * np.float64(-0.3) + np.float32(0.1) * y,
}
# NumPy has versions of its own for some processors, which round otherwise now and then.
ROUNDED = {
    "exp": lambda x, y: tc.exp(-(x * x)),
    "log": lambda x, y: tc.log(abs(x) + 1.0),
    "tanh": lambda x, y: tc.tanh(x),
    "sigmoid": lambda x, y: tc.sigmoid(x),
    "sin": lambda x, y: tc.sin(x) * tc.cos(y),
    "erf": lambda x, y: tc.erf(x),
    "softplus": lambda x, y: F.softplus(x),
}
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 1e200, -1e-200, math.inf, -math.inf, math.nan]),
    st.floats(-4, 4, width=32),
)


def expressions(names):
    """Recipes: each step applies a function to two of the values so far."""
    step = st.tuples(st.sampled_from(sorted(names)), st.integers(0, 99), st.integers(0, 99))
    return st.lists(step, min_size=1, max_size=25)


def evaluated(steps, xs):
    values = list(xs)
    for name, i, j in steps:
        values.append({**EXACT, **ROUNDED}[name](values[i % len(values)], values[j % len(values)]))
    return values[-1] * 1.0 + values[len(values) // 2]


def both(steps, numbers):
    """The value and the gradients by eager mode and by the executor, twice."""
    made = []
    for compiled in (False, True):
        xs = [tc.tensor(number, requires_grad=True) for number in numbers]

        def step(xs=xs):
            y = evaluated(steps, xs)
            y.backward()
            return y

        function = compile(step, executor="scalars") if compiled else step
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            for _ in range(2):
                for x in xs:
                    x.grad = None
                y = function()
        grads = [0.0 if x.grad is None else x.grad.item() for x in xs]
        made.append(np.array([y.item(), *grads]))
    return made


@settings(max_examples=150, deadline=None)
@given(expressions(EXACT), st.lists(VALUES, min_size=3, max_size=3))
def test_same_bits_as_eager(steps, numbers):
    eager, compiled = both(steps, numbers)
    assert np.array_equal(eager, compiled, equal_nan=True)
    assert np.array_equal(np.signbit(eager)[eager == 0], np.signbit(compiled)[eager == 0])


@settings(max_examples=60, deadline=None)
@given(expressions({**EXACT, **ROUNDED}), st.lists(st.floats(0.1, 2), min_size=3, max_size=3))
def test_last_digits_where_numpy_has_functions_of_its_own(steps, numbers):
    steps = [step for step in steps if step[0] not in ("floor", "remainder")] or [("exp", 0, 0)]
    with np.errstate(all="ignore"):
        eager, compiled = both(steps[:8], numbers)
    finite = np.isfinite(eager)
    assert np.array_equal(finite, np.isfinite(compiled))
    np.testing.assert_allclose(compiled[finite], eager[finite], rtol=1e-10, atol=1e-290)


def test_exceptions_of_python_become_numpys_numbers():
    @compile(executor="scalars")
    def values(x):
        return 1.0 / x, tc.log(x), tc.exp(711.0 - x), x**-1.0

    with np.errstate(all="ignore"):
        inverse, log, exp, power = values(tc.tensor(0.0))
    assert [v.item() for v in (inverse, log, exp, power)] == [np.inf, -np.inf, np.inf, np.inf]
    assert values(tc.tensor(2.0))[0].item() == 0.5


def moons_like(samples):
    """A small network of scalars and its step, as a user of lists of Tensors writes it."""
    generator = np.random.default_rng(0)
    w = [[tc.tensor(v, requires_grad=True) for v in row] for row in generator.normal(size=(9, 3))]
    data = [tuple(map(tc.tensor, row)) for row in generator.normal(size=(samples, 2))]
    parameters = [p for row in w for p in row]

    def loss():
        total = tc.tensor(0.0)
        for k, (a, b) in enumerate(data):
            hidden = [F.relu(u * a + v * b + c) for u, v, c in w[:8]]
            score = sum(h * v for h, (v, _, _) in zip(hidden, w[1:], strict=True))
            total = total + F.relu(1 + (-1) ** k * score)
        return total * (1.0 / samples) + 1e-3 * sum(p * p for p in parameters)

    return loss, parameters


@pytest.mark.parametrize("form", ["manual", "optimiser"])
def test_training_step(form):
    made = []
    for compiled in (False, True):
        loss_of, parameters = moons_like(samples=20)
        optimizer = tc.optim.SGD(parameters, lr=0.1)

        def manual(loss_of=loss_of, parameters=parameters):
            loss = loss_of()
            for p in parameters:
                p.grad = None
            loss.backward()
            with tc.no_grad():
                for p in parameters:
                    p -= 0.1 * p.grad
            return loss.item()

        def optimiser(loss_of=loss_of, optimizer=optimizer):
            optimizer.zero_grad()
            loss = loss_of()
            loss.backward()
            optimizer.step()
            return loss.item()

        step = {"manual": manual, "optimiser": optimiser}[form]
        step = compile(step, executor="scalars") if compiled else step
        losses = [step() for _ in range(5)]
        made.append((losses, [p.item() for p in parameters], [p.grad.item() for p in parameters]))
    assert made[0] == made[1]
    assert made[0][0][-1] < made[0][0][0]


def test_gradients_that_are_kept_are_added_to():
    w = tc.tensor(2.0, requires_grad=True)

    @compile
    def backward(x):
        (w * x).backward()

    for _ in range(3):
        backward(tc.tensor(3.0))
    assert w.grad.item() == 9.0


def test_gradient_that_is_read_but_kept_from_before_runs_eagerly():
    w = tc.tensor(2.0, requires_grad=True)

    @compile
    def step(x):
        (w * x).backward()
        return w.grad * 1.0

    assert step(tc.tensor(3.0)).item() == 3.0
    with pytest.warns(CompileWarning, match="kept from before"):
        assert step(tc.tensor(3.0)).item() == 6.0


def test_gradient_that_is_dropped_after_the_step():
    w = tc.tensor(2.0, requires_grad=True)
    optimizer = tc.optim.SGD([w], lr=1.0)

    @compile
    def step(x):
        (w * x).backward()
        optimizer.step()
        w.grad = None

    for _ in range(3):
        step(tc.tensor(0.25))
    assert w.grad is None
    assert w.item() == 1.25


def test_long_program_is_written_in_parts(monkeypatch):
    monkeypatch.setattr(scalars, "_PART", 300)
    loss_of, parameters = moons_like(samples=10)
    compiled = compile(loss_of, executor="scalars")
    loss = compiled()
    loss.backward()
    got = [p.grad.item() for p in parameters]
    for p in parameters:
        p.grad = None
    eager = loss_of()
    eager.backward()
    assert loss.item() == eager.item()
    assert got == [p.grad.item() for p in parameters]
    [entry] = compiled.entries.values()
    texts = entry.runner.functions
    assert len(texts) > 3
    assert texts[0].startswith("def part0(v):\n    ")


def test_source_is_readable():
    w = tc.tensor(2.0, requires_grad=True)
    compiled = compile(lambda x: F.relu(w * x + 1.0), executor="scalars")
    compiled(tc.tensor(3.0))
    [entry] = compiled.entries.values()
    [text] = entry.runner.functions
    assert text == (
        "def program(x0, x1):\n"
        "    t0 = x1 * x0 + 1.0\n"
        "    t0 = 0.0 if t0 < 0.0 else t0\n"
        "    t1 = (1.0 if t0 > 0.0 else 0.0) * x0\n"
        "    return (t0, t1)\n"
    )


def test_deep_graph():
    x = tc.tensor(1.0, requires_grad=True)

    @compile(executor="scalars")
    def chain():
        y = x
        for _ in range(5000):
            y = y * 1.0001
        return y

    y = chain()
    y.backward()
    assert y.item() == pytest.approx(1.0001**5000)
    assert x.grad.item() == pytest.approx(y.item())


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        (tc.tensor(1.0, dtype=np.float32), "an argument is float32"),
        (tc.tensor([1.0, 2.0]), r"an argument is float64 \(2,\)"),
    ],
)
def test_what_it_cannot_run(argument, reason):
    compiled = compile(lambda x: x * 2.0, executor="scalars")
    with pytest.warns(CompileWarning, match=f"scalars: {reason}"):
        np.testing.assert_array_equal(compiled(argument).data, argument.data * 2)
