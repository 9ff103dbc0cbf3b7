"""Activation functions: PyTorch as their oracle, loops and formulas, kinks and extremes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from arrays import LAYOUTS, normal
from oracle import compare

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, ShapeError, TinygradCnnError

Function = Callable[..., Any]

# Ours, and how PyTorch calls the same. Of its hardsigmoid only the value is compared, below: in the
# derivative it has 1/6 in single precision.
ELEMENTWISE: dict[str, tuple[Function, Function]] = {
    "relu": (F.relu, lambda T, x: T.relu(x)),
    "leaky_relu": (lambda x: F.leaky_relu(x, 0.2), lambda T, x: T.leaky_relu(x, 0.2)),
    "elu": (F.elu, lambda T, x: T.elu(x)),
    "elu 2": (lambda x: F.elu(x, 2.0), lambda T, x: T.elu(x, 2.0)),
    "selu": (F.selu, lambda T, x: T.selu(x)),
    "gelu": (F.gelu, lambda T, x: T.gelu(x)),
    "gelu tanh": (lambda x: F.gelu(x, "tanh"), lambda T, x: T.gelu(x, approximate="tanh")),
    "silu": (F.silu, lambda T, x: T.silu(x)),
    "mish": (F.mish, lambda T, x: T.mish(x)),
    "softplus": (F.softplus, lambda T, x: T.softplus(x)),
    "softplus 3": (lambda x: F.softplus(x, 3.0), lambda T, x: T.softplus(x, 3.0)),
    "softplus 0.5": (lambda x: F.softplus(x, 0.5, 2.0), lambda T, x: T.softplus(x, 0.5, 2.0)),
    "log_sigmoid": (F.log_sigmoid, lambda T, x: T.logsigmoid(x)),
    "hardtanh": (F.hardtanh, lambda T, x: T.hardtanh(x)),
    "hardtanh 3": (lambda x: F.hardtanh(x, -0.5, 3.0), lambda T, x: T.hardtanh(x, -0.5, 3.0)),
    "relu6": (F.relu6, lambda T, x: T.relu6(x)),
    "hardsigmoid": (F.hardsigmoid, lambda T, x: T.relu6(x + 3) / 6),
    "hardswish": (F.hardswish, lambda T, x: T.hardswish(x)),
}
elementwise = pytest.mark.parametrize("name", ELEMENTWISE)


@elementwise
@pytest.mark.parametrize("scale", [1.0, 4.0, 30.0])
def test_values_and_gradients_against_torch(name: str, scale: float) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = ELEMENTWISE[name]
    for layout in LAYOUTS:
        compare(ours, lambda x: theirs(torch.nn.functional, x), layout(normal(3, 4, 5) * scale))


def test_the_value_of_hardsigmoid_is_torchs() -> None:
    torch = pytest.importorskip("torch")
    x = np.linspace(-4.0, 4.0, 33)
    expected = torch.nn.functional.hardsigmoid(torch.tensor(x)).numpy()
    np.testing.assert_allclose(F.hardsigmoid(x), expected, rtol=1e-14)


# Where pieces meet: 0, the limits of hardtanh and relu6 and hardsigmoid.
KINKS = np.array([0.0, -0.0, -1.0, 1.0, -0.5, 3.0, -3.0, 6.0])


@elementwise
def test_the_derivative_at_kinks_is_torchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = ELEMENTWISE[name]
    x, t = tc.tensor(KINKS, requires_grad=True), torch.tensor(KINKS, requires_grad=True)
    ours(x).sum().backward()
    theirs(torch.nn.functional, t).sum().backward()
    np.testing.assert_allclose(x.grad, t.grad.numpy(), rtol=1e-14, atol=1e-15)


EXTREMES = [1000.0, -1000.0, 1e4, -1e4, 40.0, -40.0, 20.0, 0.0]


@elementwise
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_are_finite_and_keep_their_dtype(name: str, dtype: Any) -> None:
    """A warning, of an overflow for example, is an error here."""
    ours, _ = ELEMENTWISE[name]
    x = tc.tensor(np.array(EXTREMES, dtype), requires_grad=True)
    y = ours(x)
    (y * np.array(-3.0, dtype)).sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    assert np.isfinite(y.data).all()
    assert np.isfinite(x.grad.data).all()


@elementwise
def test_what_becomes_of_large_numbers(name: str) -> None:
    """Far above 0 most are x, far below most are bounded; the derivative is that of the limit."""
    high = {"selu": 1050.7009873554805, "hardtanh": 1.0, "hardtanh 3": 3.0, "relu6": 6.0,
            "hardsigmoid": 1.0, "log_sigmoid": 0.0}.get(name, 1000.0)  # fmt: skip
    low = {"leaky_relu": -200.0, "elu": -1.0, "elu 2": -2.0, "selu": -1.7580993408473766,
           "hardtanh": -1.0, "hardtanh 3": -0.5, "log_sigmoid": -1000.0}.get(name, 0.0)  # fmt: skip
    value, slope = tc.value_and_grad(lambda x: ELEMENTWISE[name][0](x).sum())(
        tc.tensor([1000.0, -1000.0])
    )
    assert value.item() == pytest.approx(high + low, rel=1e-14)
    slopes = [high / 1000 if high >= 1000 else 0.0, low / -1000 if low <= -200 else 0.0]
    np.testing.assert_allclose(slope, np.abs(slopes), atol=1e-200)


@pytest.mark.parametrize(
    "name", [n for n in ELEMENTWISE if not n.startswith(("hard", "relu", "leaky", "elu", "selu"))]
)
def test_smooth_functions_to_order_two(name: str) -> None:
    x = np.array([-30.0, -2.3, -0.4, 0.3, 1.7, 30.0])
    assert tc.check.gradcheck(ELEMENTWISE[name][0], [x], order=2)


@pytest.mark.parametrize("name", ["elu", "selu", "hardtanh", "relu6", "hardsigmoid", "hardswish"])
def test_pieces_to_order_two(name: str) -> None:
    x = np.array([-7.0, -2.3, -0.4, 0.3, 0.7, 1.7, 2.3, 7.0])  # away from where they meet
    assert tc.check.gradcheck(ELEMENTWISE[name][0], [x], order=2)


# -- formulas, number by number ---------------------------------------------------------------

FORMULAS: dict[str, Callable[[float], float]] = {
    "elu 2": lambda x: x if x > 0 else 2.0 * math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "gelu": lambda x: x * (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0,
    "silu": lambda x: x / (1.0 + math.exp(-x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "softplus 3": lambda x: math.log1p(math.exp(3.0 * x)) / 3.0,
    "log_sigmoid": lambda x: -math.log1p(math.exp(-x)),
    "hardtanh 3": lambda x: min(max(x, -0.5), 3.0),
    "relu6": lambda x: min(max(x, 0.0), 6.0),
    "hardsigmoid": lambda x: min(max(x / 6.0 + 0.5, 0.0), 1.0),
    "hardswish": lambda x: x * min(max(x / 6.0 + 0.5, 0.0), 1.0),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_formulas(name: str) -> None:
    x = np.array([-6.5, -2.0, -0.1, 0.0, 0.3, 2.5, 6.5])
    expected = [FORMULAS[name](float(v)) for v in x]
    np.testing.assert_allclose(ELEMENTWISE[name][0](x), expected, rtol=1e-13, atol=1e-15)


def test_selu_keeps_mean_and_variance() -> None:
    """What its two constants were chosen for (Klambauer et al. 2017)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(180)
    y = F.selu(nodes).numpy()
    mean = (weights * y).sum() / weights.sum()
    assert mean == pytest.approx(0.0, abs=5e-3)
    assert (weights * y * y).sum() / weights.sum() == pytest.approx(1.0, abs=5e-3)


def test_the_derivative_of_softplus_is_sigmoid() -> None:
    x = tc.tensor(np.linspace(-800.0, 15.0, 50), requires_grad=True)
    F.softplus(x).sum().backward()
    np.testing.assert_allclose(x.grad, F.sigmoid(x).numpy(), rtol=1e-13, atol=0)


# -- prelu ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "slopes"),
    [((3, 4), 4), ((3, 4), 1), ((2, 3, 5), 3), ((2, 3, 2, 4), 3), ((2, 3, 2, 4), 1), ((5,), 1)],
)
def test_prelu_against_torch(shape: tuple[int, ...], slopes: int) -> None:
    torch = pytest.importorskip("torch")

    x, weight = normal(*shape), normal(slopes, seed=1)
    compare(F.prelu, torch.nn.functional.prelu, x, weight)
    x.flat[:2] = 0.0, -0.0
    compare(F.prelu, torch.nn.functional.prelu, x, weight, second_order=False)


def test_prelu_of_a_number() -> None:
    assert F.prelu(tc.tensor(-2.0), [0.25]).shape == ()
    assert F.prelu(tc.tensor([-2.0, 2.0]), 0.25).tolist() == [-0.5, 2.0]


# -- maxout -----------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
@pytest.mark.parametrize("pieces", [1, 2, 3, 6])
def test_maxout_by_loops(axis: int, pieces: int) -> None:
    x = normal(6, 6, 6)
    t = tc.tensor(x, requires_grad=True)
    y = F.maxout(t, pieces, axis)
    (y * y).sum().backward()
    moved, slope = np.moveaxis(x, axis, 0), np.zeros((6, 6, 6))
    rows = []
    for unit in range(6 // pieces):
        group = moved[unit * pieces : (unit + 1) * pieces]
        rows.append(group.max(0))
        for place in np.ndindex(group.shape[1:]):
            winner = max(range(pieces), key=lambda i, p=place, g=group: g[(i, *p)])
            slope[(unit * pieces + winner, *place)] = 2 * group[(winner, *place)]
    np.testing.assert_array_equal(y.numpy(), np.moveaxis(np.stack(rows), 0, axis))
    np.testing.assert_allclose(t.grad, np.moveaxis(slope, 0, axis))


def test_maxout_makes_relu_and_the_absolute_value() -> None:
    """Two pieces are enough for both (Goodfellow et al. 2013, figure 1)."""
    x = normal(5, 1)
    np.testing.assert_array_equal(F.maxout(np.hstack([x, 0 * x]), 2), F.relu(x).numpy())
    np.testing.assert_array_equal(F.maxout(np.hstack([x, -x]), 2), np.abs(x))


def test_maxout_gives_ties_to_the_first_piece() -> None:
    x = tc.tensor([[1.0, 1.0, 2.0, 1.0]], requires_grad=True)
    F.maxout(x, 2).sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0, 1.0, 0.0]]


# -- mistakes ---------------------------------------------------------------------------------

SCORES = np.zeros((2, 6))
MISTAKES: list[tuple[Callable[[], Any], type[TinygradCnnError], str]] = [
    (lambda: F.softplus(SCORES, 0.0), ArgumentError, "softplus: beta=0.0, expected a number above"),
    (lambda: F.softplus(SCORES, -1), ArgumentError, "softplus: beta=-1"),
    (
        lambda: F.hardtanh(SCORES, 1.0, -1.0),
        ArgumentError,
        "hardtanh: min_val=1.0, max_val=-1.0: expected min_val < max_val",
    ),
    (
        lambda: F.prelu(SCORES, [0.1, 0.2]),
        ShapeError,
        "prelu: weight has shape (2,), expected (1,) or one slope for each of the 6 channels",
    ),
    (lambda: F.prelu(SCORES, [[0.1]]), ShapeError, "prelu: weight has shape (1, 1)"),
    (
        lambda: F.maxout(SCORES, 4),
        ArgumentError,
        "maxout: pieces=4 does not divide the 6 channels of (2, 6)",
    ),
    (lambda: F.maxout(SCORES, 0), ArgumentError, "maxout: pieces=0, expected an integer"),
    (lambda: F.maxout(SCORES, 1.5), ArgumentError, "maxout: pieces=1.5"),  # type: ignore[arg-type]
    (lambda: F.maxout(SCORES[0], 2), ShapeError, "maxout: axis 1 does not exist in an array of 1"),
    (lambda: nn.Softplus(0.0), ArgumentError, "Softplus: beta=0.0"),
    (lambda: nn.Hardtanh(2.0, 1.0), ArgumentError, "Hardtanh: min_val=2.0, max_val=1.0"),
    (lambda: nn.PReLU(0), ArgumentError, "PReLU: num_parameters=0"),
    (lambda: nn.Maxout(0), ArgumentError, "Maxout: pieces=0"),
]


@pytest.mark.parametrize(("act", "error", "message"), MISTAKES, ids=[m for *_, m in MISTAKES])
def test_mistakes(act: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        act()
    assert message in str(raised.value)
