"""New Tensors: constants, ranges and random numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ._arguments import affordable, number, sizes
from ._core.interchange import HAS_VERSIONS
from ._core.symbol import fixed, volatile
from ._core.tensor import Tensor, raw
from .errors import ArgumentError, DtypeError, ShapeError, SharingError
from .random import generator_or_default
from .typing import Array, DTypeLike, Shape, TensorLike

__all__ = [
    "arange",
    "eye",
    "from_dlpack",
    "full",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "randn",
    "zeros",
    "zeros_like",
]


def _shape(owner: str, shape: tuple[Any, ...], dtype: DTypeLike) -> tuple[int, ...]:
    """Both calls, zeros(2, 3) and zeros((2, 3)), where there is room for that."""
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    found = sizes(owner, shape)
    affordable(owner, found, _dtype(owner, dtype).itemsize)
    return found


def _dtype(owner: str, dtype: DTypeLike) -> np.dtype[Any]:
    try:
        return np.dtype(dtype)  # None: float64
    except TypeError:
        raise DtypeError(f"{owner}: dtype={dtype!r:.60} is no dtype") from None


def zeros(*shape: Any, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of zeros; float64 unless said otherwise, as in NumPy.

    >>> import tinygrad_cnn as tc
    >>> tc.zeros(2)
    tensor([0., 0.])
    """
    found = _shape("zeros", shape, dtype)
    return Tensor(fixed(np.zeros(found, dtype)), requires_grad=requires_grad)


def ones(*shape: Any, dtype: DTypeLike = None, requires_grad: bool = False) -> Tensor:
    """A Tensor of ones.

    >>> import tinygrad_cnn as tc
    >>> tc.ones(2)
    tensor([1., 1.])
    """
    return Tensor(fixed(np.ones(_shape("ones", shape, dtype), dtype)), requires_grad=requires_grad)


def full(
    shape: Any, value: float, *, dtype: DTypeLike = None, requires_grad: bool = False
) -> Tensor:
    """A Tensor in which every element is ``value``.

    >>> import tinygrad_cnn as tc
    >>> tc.full((2,), 0.5)
    tensor([0.5, 0.5])
    """
    number = np.asarray(raw(value))
    if number.ndim:
        raise ShapeError(f"full: value of shape {number.shape}, expected one number")
    lengths = _shape("full", (shape,), dtype or number.dtype)
    return Tensor(fixed(np.full(lengths, raw(value), dtype)), requires_grad=requires_grad)


def zeros_like(x: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and memory order of ``x``.

    >>> import tinygrad_cnn as tc
    >>> tc.zeros_like(tc.tensor([1.0, 2.0]))
    tensor([0., 0.])
    """
    return Tensor(np.zeros_like(raw(x)), requires_grad=requires_grad)


def ones_like(x: TensorLike, *, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and memory order of ``x``.

    >>> import tinygrad_cnn as tc
    >>> tc.ones_like(tc.tensor([1.0, 2.0]))
    tensor([1., 1.])
    """
    return Tensor(np.ones_like(raw(x)), requires_grad=requires_grad)


def eye(n: int, *, dtype: DTypeLike = None) -> Tensor:
    """The identity matrix.

    >>> import tinygrad_cnn as tc
    >>> tc.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    n, _ = _shape("eye", (n, n), dtype)
    return Tensor(fixed(np.eye(n, dtype=dtype)))


def arange(*bounds: Any, dtype: DTypeLike = None) -> Tensor:
    """Evenly spaced numbers: arange(stop), arange(start, stop[, step]).

    >>> import tinygrad_cnn as tc
    >>> tc.arange(3.0)
    tensor([0., 1., 2.])
    """
    found = [number("arange", "bounds", raw(bound)) for bound in bounds]
    if not 1 <= len(found) <= 3 or not all(map(math.isfinite, found)) or found[2:] == [0.0]:
        raise ArgumentError(
            f"arange{bounds}: expected finite (stop), (start, stop) or (start, stop, step != 0)"
        )
    start, stop, step = (0.0, *found, 1.0) if len(found) == 1 else (*found, 1.0)[:3]
    _shape("arange", (max(0, math.ceil((stop - start) / step)),), dtype)
    return Tensor(fixed(np.arange(*map(raw, bounds), dtype=dtype)))


def linspace(start: float, stop: float, num: int = 50, *, dtype: DTypeLike = None) -> Tensor:
    """``num`` numbers from ``start`` to ``stop``, both included.

    >>> import tinygrad_cnn as tc
    >>> tc.linspace(0, 1, 3)
    tensor([0. , 0.5, 1. ])
    """
    [num] = _shape("linspace", (num,), dtype)
    start, stop = number("linspace", "start", raw(start)), number("linspace", "stop", raw(stop))
    return Tensor(fixed(np.linspace(start, stop, num, dtype=dtype)))


def rand(
    *shape: Any,
    dtype: DTypeLike = None,
    requires_grad: bool = False,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Random numbers, uniform in [0, 1).

    >>> import tinygrad_cnn as tc
    >>> tc.rand(2, 3).shape
    (2, 3)
    """
    return _drawn("random", generator, _shape("rand", shape, dtype), dtype, requires_grad)


def randn(
    *shape: Any,
    dtype: DTypeLike = None,
    requires_grad: bool = False,
    generator: np.random.Generator | None = None,
) -> Tensor:
    """Random numbers from the standard normal distribution.

    >>> import tinygrad_cnn as tc
    >>> tc.randn(2, 3).shape
    (2, 3)
    """
    return _drawn("standard_normal", generator, _shape("randn", shape, dtype), dtype, requires_grad)


def _drawn(
    method: str, generator: np.random.Generator | None, shape: Shape, dtype: DTypeLike, grad: bool
) -> Tensor:
    """Numbers that a generator draws; a compiled function draws others in each call."""

    def draw() -> Array:
        return np.asarray(getattr(generator_or_default(generator), method)(shape), dtype)

    return Tensor(volatile(draw, shape, dtype or np.float64), requires_grad=grad)


def from_dlpack(x: Any, *, device: str | None = None, copy: bool | None = None) -> Tensor:
    """A constant Tensor of what another library holds, such as a PyTorch tensor on the CPU.

    Args:
        x: anything with ``__dlpack__``.
        device: "cpu" or None; there is no other.
        copy: ``False`` shares the memory. Then don't write to it from outside while a graph that
            saw it waits for ``backward()``: this can't be noticed, and gives wrong gradients.

    Raises:
        ArgumentError: ``x`` has no ``__dlpack__``, or another device is asked for.
        SharingError: its owner does not hand it out, because it lies on another device, requires a
            gradient or has a dtype that NumPy does not know.

    >>> import numpy as np
    >>> import tinygrad_cnn as tc
    >>> tc.from_dlpack(np.array([1.0, 2.0]))
    tensor([1., 2.])
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise ArgumentError(f"from_dlpack: a {type(x).__name__} has no __dlpack__: see tc.tensor")
    if device not in (None, "cpu"):
        raise ArgumentError(f"from_dlpack: device={device!r}, expected 'cpu'")
    shared: dict[str, Any] = {"copy": False} if copy is False and HAS_VERSIONS else {}
    try:
        array = np.from_dlpack(x, **shared)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise SharingError(f"from_dlpack: this {type(x).__name__} is not given: {error}") from error
    return Tensor(array if copy is False else np.array(array))
