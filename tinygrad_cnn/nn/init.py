"""Initial values: each function fills a leaf in place and returns it.

A layer's fans are how many numbers flow into one output (``fan_in``) and how many outputs one
input flows into (``fan_out``). The initialisers choose the spread of the weights by them, so
that the variance of activations (or gradients) stays the same from layer to layer:

    LeCun   Var(w) = 1 / fan_in                    LeCun, Bottou, Orr and Müller (1998)
    Xavier  Var(w) = gain**2 * 2 / (fan_in + fan_out)       Glorot and Bengio (2010)
    Kaiming Var(w) = gain**2 / fan                 He, Zhang, Ren and Sun (2015)

A uniform distribution over [-b, b] has the variance b**2 / 3.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np

from .._core.tensor import Tensor
from ..errors import ArgumentError, DtypeError, ShapeError
from ..random import generator_or_default
from ..typing import TensorLike
from ._checks import one_of
from .parameter import assign

__all__ = [
    "calculate_fans",
    "calculate_gain",
    "constant_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "normal_",
    "ones_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

T = TypeVar("T", bound=Tensor)
Generator = np.random.Generator

_GAINS = {
    "linear": 1.0,
    "conv2d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "leaky_relu": math.sqrt(2.0),
}


def calculate_fans(tensor: Tensor) -> tuple[int, int]:
    """The (fan_in, fan_out) of weights of shape (out, in) or (K, C, FH, FW).

    Raises:
        ShapeError: fewer than two axes, so that there are no fans.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.calculate_fans(tc.zeros(16, 6, 5, 5))
    (150, 400)
    """
    if tensor.ndim < 2 or not tensor.size:
        raise ShapeError(
            f"weights of shape {tensor.shape} have no fans: expected (out, in) or (K, C, FH, FW)"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that makes up for what a nonlinearity takes off the standard deviation.

    Args:
        nonlinearity: "linear", "conv2d", "sigmoid" (1), "tanh" (5/3), "relu" (sqrt 2) or
            "leaky_relu", sqrt(2 / (1 + slope**2)).
        param: the slope of leaky ReLU, by default 0.01.

    Raises:
        ArgumentError: another nonlinearity.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.calculate_gain("leaky_relu", 1.0)
    1.0
    """
    one_of("calculate_gain", "nonlinearity", nonlinearity, tuple(_GAINS))
    gain = _GAINS[nonlinearity]
    if nonlinearity == "leaky_relu":
        gain /= math.sqrt(1.0 + (0.01 if param is None else param) ** 2)
    return gain


def _fill(tensor: T, values: TensorLike) -> T:
    if not isinstance(tensor, Tensor):
        raise DtypeError(f"nn.init: expected a Tensor to fill, got {type(tensor).__name__}")
    assign(tensor, values)
    return tensor


def constant_(tensor: T, val: TensorLike) -> T:
    """Fill with one number.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.constant_(tc.zeros(2), 0.5)
    tensor([0.5, 0.5])
    """
    return _fill(tensor, val)


def zeros_(tensor: T) -> T:
    """Fill with zeros.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.zeros_(tc.ones(2))
    tensor([0., 0.])
    """
    return constant_(tensor, 0)


def ones_(tensor: T) -> T:
    """Fill with ones.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.ones_(tc.zeros(2))
    tensor([1., 1.])
    """
    return constant_(tensor, 1)


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> T:
    """Draw from the uniform distribution over [a, b).

    Raises:
        ArgumentError: ``a`` exceeds ``b``.

    >>> import tinygrad_cnn as tc
    >>> float(tc.nn.init.uniform_(tc.zeros(9), 2.0, 3.0).min()) >= 2.0
    True
    """
    if not a <= b:
        raise ArgumentError(f"uniform_: a={a} exceeds b={b}")
    return _fill(tensor, generator_or_default(generator).uniform(a, b, tensor.shape))


def normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> T:
    """Draw from the normal distribution.

    Raises:
        ArgumentError: ``std`` is negative.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.normal_(tc.zeros(2), mean=3.0, std=0.0)
    tensor([3., 3.])
    """
    if not std >= 0.0:
        raise ArgumentError(f"normal_: std={std} is negative")
    return _fill(tensor, generator_or_default(generator).normal(mean, std, tensor.shape))


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Uniform with variance gain**2 * 2 / (fan_in + fan_out) (Glorot and Bengio 2010).

    >>> import tinygrad_cnn as tc
    >>> bool((abs(tc.nn.init.xavier_uniform_(tc.zeros(3, 3))) <= 1.0).all())
    True
    """
    bound = math.sqrt(3.0) * _xavier_std(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator | None = None) -> T:
    """Normal with variance gain**2 * 2 / (fan_in + fan_out) (Glorot and Bengio 2010).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.xavier_normal_(tc.zeros(3, 2)).shape
    (3, 2)
    """
    return normal_(tensor, 0.0, _xavier_std(tensor, gain), generator)


def _xavier_std(tensor: Tensor, gain: float) -> float:
    return gain * math.sqrt(2.0 / sum(calculate_fans(tensor)))


def kaiming_uniform_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Uniform with variance gain**2 / fan (He et al. 2015).

    Args:
        tensor: the weights to fill.
        a: the slope of the leaky ReLU that follows; 0 is ReLU.
        mode: "fan_in" keeps the variance of activations, "fan_out" that of gradients.
        nonlinearity: what follows, see ``calculate_gain``.
        generator: by default that of the thread.

    >>> import tinygrad_cnn as tc
    >>> bool((abs(tc.nn.init.kaiming_uniform_(tc.zeros(3, 6))) <= 1.0).all())
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> T:
    """Normal with variance gain**2 / fan (He et al. 2015); arguments as ``kaiming_uniform_``.

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.kaiming_normal_(tc.zeros(3, 2)).shape
    (3, 2)
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    one_of("kaiming initialisation", "mode", mode, modes)
    fan = calculate_fans(tensor)[modes.index(mode)]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def lecun_uniform_(tensor: T, generator: Generator | None = None) -> T:
    """Uniform with variance 1 / fan_in (LeCun et al. 1998).

    >>> import tinygrad_cnn as tc
    >>> bool((abs(tc.nn.init.lecun_uniform_(tc.zeros(2, 3))) <= 1.0).all())
    True
    """
    return kaiming_uniform_(tensor, nonlinearity="linear", generator=generator)


def lecun_normal_(tensor: T, generator: Generator | None = None) -> T:
    """Normal with variance 1 / fan_in (LeCun et al. 1998).

    >>> import tinygrad_cnn as tc
    >>> tc.nn.init.lecun_normal_(tc.zeros(3, 2)).shape
    (3, 2)
    """
    return kaiming_normal_(tensor, nonlinearity="linear", generator=generator)
