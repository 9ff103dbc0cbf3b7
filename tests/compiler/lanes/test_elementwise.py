"""Operations on elements against NumPy: wide random numbers, special values, masks, types."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from tinygrad_cnn._core.primitive import registry
from tinygrad_cnn._kernels import special
from tinygrad_cnn.compiler.lanes.elementwise import OPERATIONS
from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
from tinygrad_cnn.compiler.lanes.library import build

TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
HERE = Place((1,))

EXACT = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "negative": np.negative,
    "reciprocal": np.reciprocal,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "clip": np.clip,
    "where": np.where,
    "abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.round,
    "sqrt": np.sqrt,
    "floor_divide": np.floor_divide,
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "equal": np.equal,
    "not_equal": np.not_equal,
    "isnan": np.isnan,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_not": np.logical_not,
    "number": lambda x: x,
}
OPERANDS = {
    1: [
        *("negative", "reciprocal", "abs", "sign", "floor", "ceil", "round", "sqrt", "isnan"),
        *("logical_not", "number"),
    ],
    3: ["clip", "where"],
}


def _erf(x):
    return np.array([math.erf(v) for v in x])


# What is rounded, from NumPy's extended numbers where those are longer than float64.
ROUNDED = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "erf": _erf,
    "sin": np.sin,
    "cos": np.cos,
    "logaddexp": np.logaddexp,
    "power": np.power,
}


@dataclass(frozen=True)
class Flat:
    """An expression over 1-dimensional arrays, by vectors or number by number."""

    count: int
    expression: Expression
    vectors: bool = True

    @property
    def pointers(self):
        return ("array",) * self.expression.pointers

    def emit(self, module, name):
        def body(b, *pointers):
            def each(i, carry):
                self.expression.emit(b, [i], pointers, vectors=self.vectors, aligned=False)

            b.loop(0, self.count, each, step=module.lanes if self.vectors else 1)

        module.kernel(name, len(self.pointers), body)


def step(name, count, inputs, vectors=True):
    """One operation and, since a mask is no number, ``number``."""
    steps = (Step(name, tuple(range(inputs))), Step("number", (inputs,)))
    return Flat(count, Expression(0, (HERE,) * inputs, steps, ((inputs + 1, HERE),)), vectors)


def inputs_of(name):
    return next((count for count, names in OPERANDS.items() if name in names), 2)


def special_values(dtype):
    f = np.finfo(dtype)
    ends = [0.0, np.inf, np.nan, f.tiny, f.smallest_subnormal, f.tiny / 3, f.max, f.eps, 1.0]
    ends += [0.5, 1.5, 2.0, 2.5, 3.0, 1 / 3, 20.0, 88.5, 89.0, 104.0, 709.5, 710.0, 745.5, 1e5]
    ends += [np.nextafter(dtype(1), dtype(2)), np.nextafter(dtype(1), dtype(0)), np.log(2) / 2]
    return np.array([*ends, *np.negative(ends)], dtype)


def pairs(dtype):
    """Every special value with every other, and with random numbers of all sizes."""
    rng = np.random.default_rng(3)
    ends = special_values(dtype)
    x, y = (a.ravel() for a in np.meshgrid(ends, ends))
    scale = 10.0 ** rng.integers(-6, 7, (2, 2000))
    more_x, more_y = (rng.normal(size=(2, 2000)) * scale).astype(dtype)
    x, y = np.concatenate([x, more_x, more_x]), np.concatenate([y, more_y, more_x])
    return x[: len(x) // 16 * 16], y[: len(x) // 16 * 16]


def numbers(dtype):
    """Numbers of every exponent, and closer ones where the functions have their bends."""
    rng = np.random.default_rng(4)
    size = np.dtype(dtype).itemsize
    any_bits = rng.integers(0, 2 ** (8 * size) - 1, 20000, np.uint32 if size == 4 else np.uint64)
    largest = 110.0 if size == 4 else 760.0
    parts = [
        special_values(dtype),
        any_bits.view(dtype),
        rng.normal(size=20000),
        rng.uniform(-largest, largest, 20000),
        1 + rng.normal(size=10000) * 0.3,
        rng.normal(size=10000) * 1e-3,
    ]
    x = np.concatenate([part.astype(dtype) for part in parts])
    return x[: len(x) // 16 * 16]


def run(kernels, dtype, *arrays):
    """The result of each kernel."""
    library = build(kernels, np.dtype(dtype).itemsize)
    results = []
    for kernel in kernels:
        results.append(np.empty_like(arrays[0]))
        library.call(kernel, *arrays[: len(kernel.pointers) - 1], results[-1])
    return results


def test_names_are_those_of_the_primitives():
    elementwise = {"add", "clip", "cos", "erf", "exp", "floor_divide", "log", "maximum", "negative"}
    elementwise |= {"minimum", "multiply", "power", "round", "sigmoid", "sign", "sin", "sqrt"}
    elementwise |= {"subtract", "tanh", "where", "abs", "divide", "floor"}
    assert elementwise <= set(registry)
    assert elementwise <= set(OPERATIONS)
    assert set(OPERATIONS) == set(EXACT) | set(ROUNDED)


@TYPES
@pytest.mark.parametrize("vectors", [True, False])
def test_exact_operations(dtype, vectors):
    x, y = pairs(dtype)
    z = np.roll(x, 7)
    kernels = [step(name, len(x), inputs_of(name), vectors) for name in EXACT]
    with np.errstate(all="ignore"):
        for name, result in zip(EXACT, run(kernels, dtype, x, y, z), strict=True):
            wanted = EXACT[name](*(x, y, z)[: inputs_of(name)]).astype(dtype)
            np.testing.assert_array_equal(result, wanted, err_msg=name)
            if name not in ("maximum", "minimum", "clip"):  # NumPy's choice of ±0 varies
                zero = wanted == 0
                np.testing.assert_array_equal(np.signbit(result)[zero], np.signbit(wanted)[zero])


def units(result, exact, dtype):
    """The error in units of the last place, where both are finite."""
    wanted = exact.astype(dtype)
    np.testing.assert_array_equal(np.isnan(result), np.isnan(wanted))
    np.testing.assert_array_equal(result[np.isinf(wanted)], wanted[np.isinf(wanted)])
    zero = wanted == 0
    np.testing.assert_array_equal(np.signbit(result)[zero], np.signbit(wanted)[zero])
    finite = np.isfinite(wanted)
    return np.abs(result[finite] - exact[finite]) / np.spacing(np.abs(wanted[finite]))


def accuracy(name, dtype, target=""):
    """The units of the last place that a result may be wrong by."""
    if dtype == np.float64:
        return 4
    return 3 if target == "sse2" else 2


@TYPES
@pytest.mark.parametrize(
    ("vectors", "target"), [(True, ""), (False, ""), (True, "avx2"), (True, "sse2")]
)
def test_rounded_functions_of_one_number(monkeypatch, dtype, vectors, target):
    monkeypatch.setenv("TINYGRAD_CNN_TARGET", target)
    x = numbers(dtype)
    names = [name for name in ROUNDED if name not in ("logaddexp", "power")]
    kernels = [step(name, len(x), 1, vectors) for name in names]
    with np.errstate(all="ignore"):
        for name, result in zip(names, run(kernels, dtype, x), strict=True):
            exact = ROUNDED[name](x.astype(np.longdouble))
            error = units(result, exact, dtype)
            assert error.max() <= accuracy(name, dtype, target), name


@TYPES
@pytest.mark.parametrize("vectors", [True, False])
def test_rounded_functions_of_two_numbers(dtype, vectors):
    x, y = pairs(dtype)
    kernels = [step(name, len(x), 2, vectors) for name in ("power", "logaddexp")]
    with np.errstate(all="ignore"):
        power, log_sum = run(kernels, dtype, x, y)
        assert units(power, np.power(x.astype(np.longdouble), y), dtype).max() <= 1
        exact = np.logaddexp(x.astype(np.longdouble), y)
        units(log_sum, exact, dtype)  # what is not finite
        # max(x, y) and the logarithm may cancel, and the rounding of x - y is that of an exponent.
        larger = np.maximum(x, y)
        largest = np.maximum(np.abs(larger), np.abs(exact - larger) * (1 + np.abs(x - y)))
        finite = np.isfinite(largest)
        error = np.abs(log_sum - exact)[finite]
        smallest = np.finfo(dtype).tiny
        assert (error <= 2 * np.finfo(dtype).eps * largest[finite] + smallest).all()


def test_tanh_stays_within_its_bounds():
    x = np.linspace(-25, 25, 2**16, dtype=np.float32)
    (result,) = run([step("tanh", len(x), 1)], np.float32, x)
    assert np.abs(result).max() == 1
    assert (np.diff(result) >= -np.spacing(np.float32(1))).all()


@TYPES
@pytest.mark.parametrize(
    "exponent", [-4.0, -3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 0.3]
)
def test_constant_exponents(dtype, exponent):
    x, _ = pairs(dtype)
    kernels = [
        Flat(len(x), Expression(0, (HERE,), (Step("power", (0, exponent)),), ((1, HERE),)), vectors)
        for vectors in (True, False)
    ]
    with np.errstate(all="ignore"):
        # NumPy's way with 0.5: a root, of which -inf has none
        exact = x.astype(np.longdouble)
        exact = np.sqrt(exact) if exponent == 0.5 else np.power(exact, dtype(exponent))
        for result in run(kernels, dtype, x):
            assert units(result, exact, dtype).max() <= 2


def test_a_constant_in_each_operand():
    """Where LLVM knows one operand, the extremum has other code; the first of equals wins."""
    x = special_values(np.float32)[:32]
    functions = {"maximum": np.maximum, "minimum": np.minimum}
    orders = ((0, 0.5), (0.5, 0), (0, 0.0), (0.0, 0), (0, -0.0), (-0.0, 0))
    steps = [Step(name, order) for name in functions for order in orders]
    kernels = [Flat(32, Expression(0, (HERE,), (s,), ((1, HERE),))) for s in steps]
    for s, result in zip(steps, run(kernels, np.float32, x), strict=True):
        first, second = (x if isinstance(o, int) else np.full_like(x, o) for o in s.operands)
        np.testing.assert_array_equal(result, functions[s.operation](first, second))
        tie = first == second
        np.testing.assert_array_equal(np.signbit(result)[tie], np.signbit(first)[tie])


@TYPES
def test_the_first_of_equals_wins(dtype):
    x = np.array([0.0, -0.0] * 8, dtype)
    for result in run([step("maximum", 16, 2), step("minimum", 16, 2)], dtype, x, -x):
        np.testing.assert_array_equal(np.signbit(result), np.signbit(x))


@TYPES
@pytest.mark.parametrize("vectors", [True, False])
def test_masks_in_arithmetic(dtype, vectors):
    """As relu's gradient: g * (x > 0), where NaN times 0 is NaN; and masks of masks."""
    x, y = pairs(dtype)
    steps = (
        Step("greater", (0, 0.0)),  # 2
        Step("multiply", (1, 2)),  # 3
        Step("less", (1, 1.0)),  # 4
        Step("logical_and", (2, 4)),  # 5
        Step("logical_not", (5,)),  # 6
        Step("where", (6, 2, 1)),  # 7
        Step("add", (2, 4)),  # 8
        Step("equal", (2, 4)),  # 9
        Step("logical_or", (9, 0)),  # 10
        Step("where", (10, 3, 8)),  # 11
    )
    stores = ((3, HERE), (7, HERE), (11, HERE))
    kernel = Flat(len(x), Expression(0, (HERE, HERE), steps, stores), vectors)
    out = [np.empty_like(x) for _ in stores]
    build([kernel], x.itemsize).call(kernel, x, y, *out)
    with np.errstate(all="ignore"):
        positive, below = x > 0, y < 1
        gated = y * positive
        chosen = np.where(~(positive & below), positive, y)
        both = np.where((positive == below) | (x != 0), gated, positive + below.astype(dtype))
    for result, wanted in zip(out, (gated, chosen, both), strict=True):
        np.testing.assert_array_equal(result, wanted)


@TYPES
def test_the_sigmoid_of_eager_mode(dtype):
    x = numbers(dtype)
    (result,) = run([step("sigmoid", len(x), 1)], dtype, x)
    with np.errstate(all="ignore"):
        wanted = special.sigmoid(x)
    assert units(result, wanted, dtype).max() <= 4
