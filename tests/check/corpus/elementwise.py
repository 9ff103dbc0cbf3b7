"""Mistakes in formulas of one line: arithmetic with broadcasting, powers, logarithms."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc

from .case import Function, apart, normal, positive, whole_numbers

add = Function("add", lambda x, y: x + y, {"x": normal(4, 3), "y": normal(3)})
multiply = Function("multiply", lambda x, y: x * y, {"x": normal(4, 3), "y": normal(4, 1)})
divide = Function("divide", lambda x, y: x / y, {"x": normal(4, 3), "y": positive(4, 3)})
subtract = Function("subtract", lambda x, y: x - y, {"x": normal(4, 3), "y": normal(4, 3, seed=1)})
power = Function("power", lambda x: x**3.0, {"x": normal(4, 3)})
log10 = Function("log10", lambda x: tc.log(x) / np.log(10.0), {"x": positive(4, 3)})
exp = Function("exp", lambda x: tc.exp(x), {"x": normal(4, 3)})
sqrt = Function("sqrt", lambda x: tc.sqrt(x), {"x": positive(4, 3)})
absolute = Function("abs", lambda x: tc.abs(x), {"x": whole_numbers(4, 3, low=-1)})
clip = Function("clip", lambda x: tc.clip(x, -0.5, 0.5), {"x": apart(4, 5)})
maximum = Function(
    "maximum",
    lambda x, y: tc.maximum(x, y),
    {"x": apart(4, 3), "y": apart(4, 3, seed=1) + 0.03},
)
neighbours = Function(
    "larger neighbour", lambda x: tc.maximum(x[:-1], x[1:]), {"x": whole_numbers(7, 2)}
)


@add.broken(y="missing_broadcast_sum")
def both_get_dout(dout, x, y):
    return dout, dout


@add.broken(y="mean_for_sum")
def mean_over_the_rows(dout, x, y):
    return dout, dout.mean(0)


@add.at(inputs={"x": normal(3, 3), "y": normal(3)}).broken(y="wrong_axis")
def sum_over_columns(dout, x, y):
    return dout, dout.sum(axis=1)


@multiply.broken(y="missing_broadcast_sum")
def product_not_summed(dout, x, y):
    return dout * y, dout * x


@multiply.broken(y="wrong_shape")
def axis_lost(dout, x, y):
    return dout * y, (dout * x).sum(axis=1)


@multiply.at(inputs={"x": normal(4, 3), "y": normal(4, 3, seed=1)}).broken(
    x="swapped_outputs", y="swapped_outputs"
)
def factors_confused(dout, x, y):
    dx = dout * y
    dy = dout * x
    return dy, dx


@multiply.broken(x="ignores_upstream", y="ignores_upstream")
def other_factor_alone(dout, x, y):
    return np.broadcast_to(y, x.shape), x.sum(axis=1, keepdims=True)


@divide.broken(y="sign")
def minus_of_the_quotient_rule(dout, x, y):
    return dout / y, dout * x / y**2


@divide.broken(y="wrong_saved_value")
def quotient_for_numerator(dout, x, y):
    out = x / y
    return dout / y, -dout * out / y**2


@subtract.broken(y="sign")
def minus_forgotten(dout, x, y):
    return dout, dout


@subtract.broken(x="sign swapped_outputs", y="sign swapped_outputs", arrays=True)
def operands_exchanged(dout, x, y):
    return {"x": -dout, "y": dout}


@power.broken(x="scale")
def exponent_forgotten(dout, x):
    return dout * x**2


@power.broken(x="wrong_saved_value unknown")
def exponent_not_lowered(dout, x):
    return dout * 3 * x**3


@power.broken(x="ignores_upstream")
def school_derivative(dout, x):
    return 3 * x**2


@log10.broken(x="scale")
def natural_logarithm(dout, x):
    return dout / x


@exp.broken(x="wrong_saved_value")
def input_for_output(dout, x):
    return dout * x


@exp.broken(x="precision", arrays=True)
def step_too_small(dout, x):
    h = 1e-13
    return dout * (np.exp(x + h) - np.exp(x - h)) / (2 * h)


@sqrt.broken(x="wrong_saved_value")
def root_not_taken(dout, x):
    return dout * 0.5 / x


@sqrt.broken(x="scale")
def half_forgotten(dout, x):
    return dout / np.sqrt(x)


@absolute.broken(x="kink")
def quotient_at_zero(dout, x):
    with np.errstate(invalid="ignore"):
        return dout * x / np.abs(x)


@clip.broken(x="missing_mask")
def passes_everything(dout, x):
    return dout.copy()


@clip.broken(x="wrong_mask")
def lower_bound_forgotten(dout, x):
    return dout * (x < 0.5)


@maximum.broken(x="wrong_mask swapped_outputs", y="wrong_mask swapped_outputs")
def smaller_one_wins(dout, x, y):
    return dout * (x < y), dout * (y < x)


@maximum.broken(x="missing_mask")
def first_always_wins(dout, x, y):
    return dout, dout * (y > x)


@neighbours.broken(x="tie_convention kink")
def both_win_a_tie(dout, x):
    dx = np.zeros_like(x)
    dx[:-1] += dout * (x[:-1] >= x[1:])
    dx[1:] += dout * (x[1:] >= x[:-1])
    return dx


@power.broken(x="unknown")
def normalised_to_length_one_by_row(dout, x):
    dx = dout * 3 * x**2
    return dx / np.linalg.norm(dx, axis=1, keepdims=True)


@subtract.broken(x="unknown", y="unknown", arrays=True)
def random_numbers(dout, x, y):
    rng = np.random.default_rng(6)
    return rng.normal(size=x.shape), rng.normal(size=y.shape)
