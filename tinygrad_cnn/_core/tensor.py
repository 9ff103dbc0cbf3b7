"""The Tensor: an array, and its vertex in the graph.

A Tensor is a pair. ``data`` is a NumPy array (a NumPy scalar where there are no axes, which is
ten times as fast), ``node`` its vertex in the recorded graph: ``None`` for a constant, a
``Leaf`` for a variable that collects a gradient, a ``Node`` for the result of an operation.
Vertices point at their parents and never back at a Tensor, so dropping the last Tensor frees
the graph at once, without the garbage collector.

The operators and methods are functions of ``ops`` and ``functional``; ``_methods.py`` attaches
them, so that the engine knows no operation by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np

from ..errors import DtypeError, GraphError, OutOfBoundsError, ShapeError
from ..typing import Array, DTypeLike, Shape, TensorLike
from .context import per_thread
from .interchange import CPU, to_array, to_dlpack
from .node import DISCARD, Leaf, Node
from .symbol import Symbol, refuse_trace, value_of

if TYPE_CHECKING:
    from .methods import TensorMethods as _Methods
else:
    _Methods = object

__all__ = ["Tensor", "as_tensor", "raw", "tensor"]

# NumPy's functions whose results no gradient could flow through: they read a Tensor's data.
_READING = {
    "all", "allclose", "any", "argmax", "argmin", "argsort", "array2string", "array_equal",
    "array_repr", "array_str", "count_nonzero", "isclose", "may_share_memory", "ndim",
    "result_type", "shape", "shares_memory", "size",
}  # fmt: skip
# NumPy's second names for what this package has under the first.
_NAMES = {"amax": "max", "amin": "min", "around": "round"}


def raw(value: Any) -> Any:
    """The array or scalar behind ``value``: a Tensor's data, NumPy's own types unchanged.

    Python numbers stay as they are (they are weak: float32 times 2.0 is float32); anything
    else becomes an array.
    """
    if isinstance(value, Tensor):
        return value_of(value)
    if isinstance(value, (np.ndarray, np.generic, float, int, complex, Symbol)):
        return value
    return _array(value)


def _array(value: Any) -> Any:
    """``value`` as numeric array, with Tensors inside nested sequences read as numbers."""
    if isinstance(value, (list, tuple)):
        value = [
            _array(item) if isinstance(item, (list, tuple, Tensor)) else item for item in value
        ]
    elif isinstance(value, Tensor):
        return value.data
    elif isinstance(value, Symbol):
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"the rows of a nested sequence differ in length: {error}") from None
    if array.dtype.kind not in "biufc":
        raise DtypeError(
            f"expected numbers, got {type(value).__name__} of dtype {array.dtype}"
            f" ({str(value)[:40]!r})"
        )
    return array[()] if array.ndim == 0 else array


class Tensor(_Methods):
    """An array that remembers how it was computed.

    Made by ``tensor`` (copies), ``as_tensor`` (shares) and by every operation.

    Args:
        data: numbers of any shape; an array is shared, not copied.
        requires_grad: whether ``backward`` shall collect a gradient here.
        name: what error messages, pictures and derivations call it.

    Raises:
        DtypeError: the data are not numbers, or not real floating point although a gradient
            is required.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    __slots__ = ("__weakref__", "data", "node")

    # ndarray + Tensor is then Tensor.__radd__, not an array of objects.
    __array_ufunc__ = None

    data: Any
    node: Node | None

    def __init__(
        self, data: TensorLike, *, requires_grad: bool = False, name: str | None = None
    ) -> None:
        array = _array(data)
        self.data = array
        self.node = _leaf_for(self, name) if requires_grad else None

    # -- the graph ---------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow here: a variable, or a result that depends on one."""
        return self.node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not self.is_leaf:
            raise GraphError(
                "requires_grad can be set on a leaf only; this Tensor is the result of"
                f" {self.node.primitive.name!r}: use .detach() for a constant copy"  # type: ignore[union-attr]
            )
        if value != self.requires_grad:
            self.node = _leaf_for(self, None) if value else None

    @property
    def is_leaf(self) -> bool:
        """Whether this Tensor was made by the user rather than by a recorded operation."""
        return self.node is None or self.node.primitive is None

    @property
    def grad(self) -> Tensor | None:
        """The gradient that ``backward`` accumulated here, or None."""
        tracer = per_thread.context.tracer
        if tracer is not None and self.node is not None:
            return tracer.gradient(self.node)  # type: ignore[no-any-return]
        grad = None if self.node is None else self.node.grad
        return None if grad is DISCARD else grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if self.node is None or self.node.grad is DISCARD:
            raise GraphError(
                "only a Tensor with requires_grad=True, or one that retain_grad() was called"
                " on, holds a gradient"
            )
        if value is not None:
            value = as_tensor(value)
            if value.shape != self.shape:
                raise ShapeError(f"grad has shape {value.shape}, its Tensor {self.shape}")
        tracer = per_thread.context.tracer
        if tracer is None:
            self.node.grad = value
        else:
            tracer.clear(self.node, value)

    def retain_grad(self) -> None:
        """Keep the gradient of this intermediate result in ``.grad`` too."""
        if self.node is None:
            raise GraphError("retain_grad on a Tensor that does not require a gradient")
        if self.node.grad is DISCARD:
            self.node.grad = None

    @property
    def name(self) -> str | None:
        """What messages, pictures and derivations call this variable."""
        return self.node.name if isinstance(self.node, Leaf) else None

    @name.setter
    def name(self, value: str | None) -> None:
        if not isinstance(self.node, Leaf):
            raise GraphError("only a variable (a leaf with requires_grad=True) has a name")
        self.node.name = value

    def detach(self) -> Tensor:
        """The same data as a constant: gradients stop here."""
        return wrap(value_of(self), None)

    # -- the array ---------------------------------------------------------------------------

    @property
    def shape(self) -> Shape:
        """The lengths of the axes."""
        shape: Shape = self.data.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy dtype."""
        dtype: np.dtype[Any] = self.data.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.data.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(self.data.size)

    def numpy(self) -> Array:
        """The data as an array that shares memory; gradients do not flow through it."""
        return np.asarray(value_of(self))

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises:
            ShapeError: there is more than one element.
        """
        if self.size != 1:
            raise ShapeError(
                f"item() needs exactly one element, this Tensor has shape {self.shape}"
            )
        return value_of(self).item()

    def tolist(self) -> Any:
        """The data as nested lists of Python numbers."""
        return value_of(self).tolist()

    def __array__(self, dtype: DTypeLike = None, copy: bool | None = None) -> Array:
        return to_array(self, dtype, copy)

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: object = None,
        dl_device: object = None,
        copy: bool | None = None,
    ) -> Any:
        return to_dlpack(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        name: str = function.__name__
        if name in _READING:
            data = [value_of(arg) if isinstance(arg, Tensor) else arg for arg in args]
            named = {k: value_of(v) if isinstance(v, Tensor) else v for k, v in kwargs.items()}
            return function(*data, **named)
        from .. import __all__ as public

        ours = _NAMES.get(name, name)
        raise DtypeError(
            f"{function.__module__}.{name} of a Tensor would lose its gradient: use"
            + (f" tc.{ours}, or" if ours in public else "")
            + " .numpy() for an array without one"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise ShapeError("len() of a Tensor without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.shape:
            raise ShapeError("iteration over a Tensor without axes")
        return (self[i] for i in range(self.shape[0]))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ShapeError(
                f"the truth of a Tensor of shape {self.shape} is ambiguous: use (…).any() or"
                " (…).all() on a comparison, which is an array"
            )
        return bool(value_of(self))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.shape or self.dtype.kind not in "iu":
            raise DtypeError(f"a {self.dtype} Tensor of shape {self.shape} is no index")
        return int(value_of(self))

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    def __repr__(self) -> str:
        body = np.array2string(np.asarray(self.data), separator=", ", prefix="tensor(")
        dtype = "" if self.dtype in (np.float64, np.int64, np.bool_) else f", dtype={self.dtype}"
        if self.node is None:
            grad = ""
        elif self.node.primitive is None:
            grad = ", requires_grad=True"
        else:
            grad = f", node={self.node.primitive.name}"
        return f"tensor({body}{dtype}{grad})"

    def __setitem__(self, index: Any, value: TensorLike) -> None:
        self._check_writable("x[index] = value", "tc.where or tc.scatter_add")
        refuse_trace("elements of a Tensor are written to")
        buffer = np.asarray(self.data)  # a copy if there are no axes: NumPy's scalars are values
        value = raw(value)
        try:
            buffer[raw(index) if isinstance(index, Tensor) else index] = value
        except IndexError as error:
            raise OutOfBoundsError(f"x[index] = value, x of shape {self.shape}: {error}") from None
        except ValueError as error:
            if "broadcast" not in str(error):
                raise
            raise ShapeError(f"x[index] = value, x of shape {self.shape}: {error}") from None
        if not buffer.shape:
            self.data = buffer[()]
        self.mark_changed()

    def mark_changed(self) -> None:
        """Note that the array was written to: what was recorded before is void.

        In-place writes of this package call it. Call it after writing to ``.data`` yourself, so
        that a later ``backward`` raises instead of using the new values.
        """
        if isinstance(self.node, Leaf) and isinstance(self.data, np.ndarray):
            self.node.touch()

    def _check_writable(self, what: str, functional: str) -> None:
        """Refuse to change data that a recorded graph may have saved."""
        if per_thread.context.recording or not self.is_leaf:
            raise GraphError(
                f"{what} would change values that a recorded graph may need; write"
                f" {functional} instead, or change a leaf inside tc.no_grad()"
            )

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise GraphError("only a leaf can be copied or pickled: use .detach() first")
        grad = None if self.grad is None else self.grad.data
        return _restore, (type(self), self.data, self.requires_grad, self.name, grad)


def _restore(
    cls: type[Tensor], data: Any, requires_grad: bool, name: str | None, grad: Any
) -> Tensor:
    restored = cls(data, requires_grad=requires_grad, name=name)
    if grad is not None:
        restored.grad = wrap(grad, None)
    return restored


def wrap(data: Any, node: Node | None) -> Tensor:
    """A Tensor from parts that are known to be right."""
    result = Tensor.__new__(Tensor)
    result.data = data
    result.node = node
    return result


def _leaf_for(tensor: Tensor, name: str | None) -> Leaf:
    data = tensor.data
    if data.dtype.kind != "f":
        raise DtypeError(
            f"a {data.dtype} Tensor can't require a gradient: only real floating point can;"
            " write 1.0 for 1, or .astype(float)"
        )
    return Leaf(data, name, ref(tensor))


def tensor(
    data: TensorLike,
    *,
    dtype: DTypeLike = None,
    requires_grad: bool = False,
    name: str | None = None,
) -> Tensor:
    """A new leaf Tensor with a copy of ``data``; the dtype follows NumPy.

    Raises:
        DtypeError: the data are not numbers, or integers that shall require a gradient.

    >>> import tinygrad_cnn as tc
    >>> tc.tensor(3.0).dtype
    dtype('float64')
    """
    array = _array(data)
    array = np.array(array, dtype=dtype)  # copies, and keeps the order of the axes in memory
    return Tensor(array, requires_grad=requires_grad, name=name)


def as_tensor(data: TensorLike, *, dtype: DTypeLike = None) -> Tensor:
    """``data`` itself if it is a Tensor, else a Tensor that shares its memory."""
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype == dtype else data.astype(dtype)
    array = _array(data)
    return Tensor(array if dtype is None else array.astype(dtype, copy=False))
