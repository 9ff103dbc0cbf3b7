"""Symbols with NumPy's face: what is done to one is recorded as an operation of the program."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import symbol
from .._core.context import per_thread
from .._core.node import SourceLine, _is_internal, source_line
from .._core.tensor import Tensor
from ..errors import GraphError
from ..typing import DTypeLike, Shape

if TYPE_CHECKING:
    from .._core.context import Scope
    from ._tracer import Tracer


class UntraceableError(GraphError):
    """What a function did cannot be recorded once for all calls.

    It ends the trace, even if the function catches it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        tracer: Any = per_thread.context.tracer
        if tracer is not None:
            tracer.refused = tracer.refused or f"{reason}{users_line()}"

    def __str__(self) -> str:
        return str(self.args[0])


_PROBED = ("node", "data")  # what this package asks a value for, to find out what it is
_LIBRARY = os.path.dirname(os.__file__)


class _UnknownAttributeError(UntraceableError, AttributeError):
    """An attribute that symbols have not; within this package ``hasattr`` may say so."""

    def __init__(self, name: str) -> None:
        reason = f"the attribute {name!r} of an array was asked for"
        if name in _PROBED and _is_internal[sys._getframe(2).f_code.co_filename]:
            GraphError.__init__(self, reason)
        else:
            super().__init__(reason)


def users_line() -> str:
    """Where the user's code is, for messages."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "run_on_symbols":
        file = frame.f_code.co_filename
        library = file.startswith(_LIBRARY) and "site-packages" not in file
        if not _is_internal[file] and not library:
            return f", at {source_line(frame.f_code, frame.f_lasti)}"
        frame = frame.f_back
    return ""


def line_of(error: BaseException) -> str:
    """The last line of the user's code that an error came through."""
    found = ""
    traceback = error.__traceback__
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not _is_internal[code.co_filename]:
            found = f", at {source_line(code, traceback.tb_lasti)}"
        traceback = traceback.tb_next
    return found


class Operation:
    """One line of a program.

    Attributes:
        name: what it does; primitives and NumPy functions of one meaning have one name.
        function: arrays and settings in, an array out.
        args: symbols, arrays and numbers.
        params: settings; an index may hold symbols.
        scope: the innermost scope.
        code, instruction: where in the user's code.
    """

    __slots__ = ("args", "code", "function", "instruction", "name", "params", "result", "scope")

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        params: dict[str, Any],
        result: Symbol,
        scope: Scope | None = None,
        code: CodeType | None = None,
        instruction: int = 0,
    ) -> None:
        self.name, self.function, self.args, self.params = name, function, args, params
        self.result, self.scope, self.code, self.instruction = result, scope, code, instruction

    @property
    def source(self) -> SourceLine | None:
        """The user's line."""
        return source_line(self.code, self.instruction)

    def operands(self) -> Iterator[Symbol]:
        """The symbols among arguments and settings."""
        yield from symbols_in((self.args, self.params) if self.params else self.args)

    def __repr__(self) -> str:
        return f"<Operation {self.name} {self.result.shape}>"


def symbols_in(values: Any) -> Iterator[Symbol]:
    """The symbols in a value, or in nested tuples, lists and dicts."""
    if isinstance(values, Symbol):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            if type(value) is Symbol:
                yield value
            elif isinstance(value, (tuple, list, dict)):
                yield from symbols_in(value)
    elif isinstance(values, dict):
        yield from symbols_in(tuple(values.values()))


class Symbol(symbol.Symbol):
    """The array that an operation will make, or an input of the program.

    Attributes:
        operation: what makes it, None for an input.
        name: what listings call it.
    """

    __slots__ = ("dtype", "name", "operation", "shape", "tracer")

    # NumPy hands ufuncs on arrays and symbols to us.
    __array_priority__ = 1000

    def __init__(
        self, shape: Shape, dtype: np.dtype[Any], tracer: Tracer | None, name: str = ""
    ) -> None:
        self.shape, self.dtype, self.tracer, self.name = shape, dtype, tracer, name
        self.operation: Operation | None = None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        size = 1
        for n in self.shape:
            size *= n
        return size

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return np.transpose(self)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """To functions outside of this package it is an array."""
        return Symbol if _is_internal[sys._getframe(1).f_code.co_filename] else np.ndarray

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    def __repr__(self) -> str:
        if per_thread.context.tracer is not None:
            raise UntraceableError("the text of an array of the function's values was asked for")
        return f"<Symbol {self.name or '?'} {self.dtype}{list(self.shape)}>"

    def __format__(self, spec: str) -> str:
        raise UntraceableError("the text of an array of the function's values was asked for")

    __hash__ = object.__hash__

    # -- recorded ----------------------------------------------------------------------------

    def _record(self, name: str, function: Callable[..., Any], *args: Any, **params: Any) -> Any:
        if self.tracer is None:
            raise UntraceableError("a symbol was used outside of its trace")
        return self.tracer.record(name, function, args, params)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *args: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise UntraceableError(f"np.{ufunc.__name__} with {method} or {list(kwargs)}")
        return self._record(ufunc.__name__, ufunc, *args)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if self.tracer is None:
            raise UntraceableError("a symbol was used outside of its trace")
        return self.tracer.numpy_function(function, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        if index == ():
            return self
        return self._record("getitem", _getitem, self, index=index)

    def astype(self, dtype: DTypeLike, copy: bool = True) -> Any:
        """The numbers in another dtype."""
        target: np.dtype[Any] = np.dtype(dtype)
        return self if target == self.dtype else self._record("astype", _astype, self, dtype=target)

    def reshape(self, *shape: Any) -> Any:
        """The same elements under another shape."""
        target = shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape
        return np.reshape(self, target)

    def transpose(self, *axes: Any) -> Any:
        """The axes in another order."""
        order = axes[0] if len(axes) == 1 and isinstance(axes[0], (tuple, list)) else axes
        return np.transpose(self, order or None)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The sum over axes."""
        return np.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The mean over axes."""
        return np.mean(self, axis=axis, keepdims=keepdims)

    def copy(self) -> Any:
        """The same numbers, in an array of their own."""
        return self._record("astype", _astype, self, dtype=self.dtype)

    def ravel(self) -> Any:
        """The elements along one axis."""
        return np.reshape(self, -1)

    flatten = ravel

    def argmax(self, axis: Any = None) -> Any:
        """The place of the largest element."""
        return np.argmax(self, axis)

    def argmin(self, axis: Any = None) -> Any:
        """The place of the smallest element."""
        return np.argmin(self, axis)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The largest element over axes."""
        return np.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The smallest element over axes."""
        return np.min(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether an element is true."""
        return np.any(self, axis=axis, keepdims=keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Whether all elements are true."""
        return np.all(self, axis=axis, keepdims=keepdims)

    def __neg__(self) -> Any:
        return self._record("negative", np.negative, self)

    def __invert__(self) -> Any:
        return self._record("invert", np.invert, self)

    def __abs__(self) -> Any:
        return self._record("abs", np.abs, self)

    # -- values: known only if they depend on the arguments alone -----------------------------

    def _value(self) -> Any:
        if self.tracer is None or self.size != 1:
            raise UntraceableError("the values of an array are not known while tracing")
        return self.tracer.specialize(self)

    def __bool__(self) -> bool:
        return bool(self._value())

    def __int__(self) -> int:
        return int(self._value())

    def __float__(self) -> float:
        return float(self._value())

    def __index__(self) -> int:
        value: int = self._value().__index__()
        return value

    def item(self) -> Any:
        """The only element: a number that can be returned, or be computed with."""
        if self.size != 1:
            raise UntraceableError("item() of several elements")
        from ._numbers import Number

        return Number(None, self._record("item", _item, self))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __setitem__(self, index: Any, value: Any) -> None:
        raise UntraceableError("an element of an array is written to")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise UntraceableError("an array of the function's values was asked for")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _UnknownAttributeError(name)


def _getitem(x: Any, *, index: Any) -> Any:
    return x[index]


def _item(x: Any) -> Any:
    return np.reshape(x, ())[()]


def _astype(x: Any, *, dtype: Any) -> Any:
    return x.astype(dtype)


def _operator(name: str, ufunc: Callable[..., Any]) -> tuple[Any, Any, Any]:
    def forward(self: Symbol, other: Any) -> Any:
        if isinstance(other, Tensor):
            return NotImplemented
        return self._record(name, ufunc, self, other)

    def reflected(self: Symbol, other: Any) -> Any:
        return self._record(name, ufunc, other, self)

    def in_place(self: Symbol, other: Any) -> Any:
        # A number is no array: x += y is x = x + y. Within this package what is written to is new.
        written = self.shape or (self.operation is None and self.tracer is not None)
        if written and not _is_internal[sys._getframe(1).f_code.co_filename]:
            raise UntraceableError("an array is written to")
        return forward(self, other)

    return forward, reflected, in_place


_OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "matmul": np.matmul,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
}  # fmt: skip
_COMPARISONS = {
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
    "ge": np.greater_equal,
}  # fmt: skip
for _short, _ufunc in _OPERATORS.items():
    # What eager mode calls: the ufunc rounds now and then otherwise.
    _function = pow if _short == "pow" else _ufunc
    _forward, _reflected, _in_place = _operator(_ufunc.__name__, _function)
    setattr(Symbol, f"__{_short}__", _forward)
    setattr(Symbol, f"__r{_short}__", _reflected)
    setattr(Symbol, f"__i{_short}__", _in_place)
for _short, _ufunc in _COMPARISONS.items():
    setattr(Symbol, f"__{_short}__", _operator(_ufunc.__name__, _ufunc)[0])
