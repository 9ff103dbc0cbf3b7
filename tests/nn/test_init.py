"""Initialisers: their statistics, their seeds, their errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tinygrad_cnn.nn import init

SHAPE = (64, 32, 3, 3)
FAN_IN, FAN_OUT = 32 * 9, 64 * 9
XAVIER = math.sqrt(2.0 / (FAN_IN + FAN_OUT))

# An initialiser and its standard deviation; the second of each pair is uniform.
SPREADS: list[tuple[Callable[..., Any], dict[str, Any], float, bool]] = [
    (init.normal_, {"mean": 0.0, "std": 0.3}, 0.3, False),
    (init.uniform_, {"a": -0.3, "b": 0.3}, 0.3 / math.sqrt(3.0), True),
    (init.xavier_normal_, {"gain": 2.0}, 2.0 * XAVIER, False),
    (init.xavier_uniform_, {"gain": 2.0}, 2.0 * XAVIER, True),
    (init.kaiming_normal_, {"nonlinearity": "relu"}, math.sqrt(2.0 / FAN_IN), False),
    (init.kaiming_uniform_, {"mode": "fan_out"}, math.sqrt(2.0 / FAN_OUT), True),
    (init.kaiming_uniform_, {"a": math.sqrt(5.0)}, math.sqrt(1.0 / 3.0 / FAN_IN), True),
    (init.lecun_normal_, {}, math.sqrt(1.0 / FAN_IN), False),
    (init.lecun_uniform_, {}, math.sqrt(1.0 / FAN_IN), True),
]


@pytest.mark.parametrize(("fill", "options", "std", "uniform"), SPREADS)
def test_spread_and_shape_of_the_distribution(
    fill: Callable[..., Any],
    options: dict[str, Any],
    std: float,
    uniform: bool,
    rng: np.random.Generator,
) -> None:
    weight = nn.Parameter(np.zeros(SHAPE, np.float32))
    assert fill(weight, **options, generator=rng) is weight
    drawn = weight.data.ravel() / std  # 18,432 numbers of standard deviation 1
    assert weight.dtype == np.float32
    assert abs(drawn.mean()) < 0.03
    assert drawn.std() == pytest.approx(1.0, abs=0.03)
    assert np.abs(drawn).max() == pytest.approx(math.sqrt(3.0) if uniform else 4.2, rel=0.2)
    fourth = (drawn**4).mean()  # 9/5 for a uniform, 3 for a normal distribution
    assert fourth == pytest.approx(1.8 if uniform else 3.0, rel=0.1)


def test_constants() -> None:
    weight = nn.Parameter(np.full((2, 2), 5.0))
    assert (init.zeros_(weight).data == 0.0).all()
    assert (init.ones_(weight).data == 1.0).all()
    assert (init.constant_(weight, 0.5).data == 0.5).all()
    assert init.ones_(nn.Parameter(0.0)).item() == 1.0  # without axes


@pytest.mark.parametrize("name", ["linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu"])
@pytest.mark.parametrize("slope", [None, 0.3])
def test_gains_equal_pytorchs(name: str, slope: float | None) -> None:
    torch = pytest.importorskip("torch")
    expected = torch.nn.init.calculate_gain(name, slope)
    assert init.calculate_gain(name, slope) == pytest.approx(expected, rel=1e-14)


def test_fans() -> None:
    assert init.calculate_fans(tc.zeros(*SHAPE)) == (FAN_IN, FAN_OUT)
    assert init.calculate_fans(tc.zeros(5, 7)) == (7, 5)


@pytest.mark.parametrize(
    ("fill", "error", "message"),
    [
        (lambda w: init.calculate_gain("swish"), ArgumentError, "nonlinearity='swish'"),
        (lambda w: init.kaiming_normal_(w, mode="fan"), ArgumentError, "mode='fan'"),
        (lambda w: init.uniform_(w, 1.0, 0.0), ArgumentError, "a=1.0 exceeds b=0.0"),
        (lambda w: init.normal_(w, std=-1.0), ArgumentError, "std=-1.0 is negative"),
        (lambda w: init.xavier_normal_(w[0]), ShapeError, r"shape \(3,\) have no fans"),
        (lambda w: init.zeros_(w * 1.0), GraphError, "result of an operation"),
    ],
)
def test_errors_change_nothing(
    fill: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    weight = nn.Parameter(np.full((2, 3), 5.0))
    with pytest.raises(error, match=message):
        fill(weight)
    assert (weight.data == 5.0).all()


@pytest.mark.parametrize("fill", [nn.init.zeros_, nn.init.normal_, nn.init.kaiming_uniform_])
def test_arrays_are_refused(fill: Callable[[Any], Any]) -> None:
    array = np.full((2, 3), 5.0)
    with pytest.raises(DtypeError, match="expected a Tensor to fill, got ndarray"):
        fill(array)
    assert (array == 5.0).all()


@pytest.mark.parametrize(
    "make",
    [lambda **options: nn.Linear(50, 20, **options), lambda **o: nn.Conv2d(4, 8, 3, **o)],
)
def test_layers_are_drawn_from_a_seed(make: Callable[..., Any]) -> None:
    def state(**options: Any) -> list[bytes]:
        return [array.tobytes() for array in make(**options).state_dict().values()]

    tc.manual_seed(5)
    default = state()
    assert default != state()
    tc.manual_seed(5)
    assert default == state() == state(generator=np.random.default_rng(5))


def test_layers_begin_in_pytorchs_range() -> None:
    layer = nn.Linear(100, 500, generator=np.random.default_rng(0))
    assert layer.bias is not None
    for parameter in (layer.weight, layer.bias):
        assert np.abs(parameter.data).max() == pytest.approx(0.1, rel=0.01)
        assert parameter.data.std() == pytest.approx(0.1 / math.sqrt(3.0), rel=0.05)
