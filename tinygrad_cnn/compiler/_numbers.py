"""Python's numbers in a trace: what ``item()`` gives, and what is computed with it.

A number is not known before the program has run. What is computed with it is put off until then
and is done by Python itself, so that it is Python's arithmetic.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from .._core.symbol import Symbol
from .._core.tensor import Tensor
from ._symbols import UntraceableError

_PYTHON = (int, float, complex, bool)


class Number:
    """A number that there will be once the program has run.

    Attributes:
        function: what computes it, None for an element of a symbol or the result of an action.
        args: its operands; else the symbol, or the key of the action.
    """

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., Any] | None, *args: Any) -> None:
        self.function, self.args = function, args

    def sources(self) -> Iterator[Any]:
        """The symbols and actions that it comes from."""
        if self.function is None:
            yield self.args[0]
            return
        for arg in self.args:
            if isinstance(arg, Number):
                yield from arg.sources()

    def evaluate(self, of_source: Callable[[Any], Any]) -> Any:
        """The number, from those of its sources."""
        if self.function is None:
            return of_source(self.args[0])
        return self.function(
            *(arg.evaluate(of_source) if isinstance(arg, Number) else arg for arg in self.args)
        )

    def _now(self) -> Any:
        """The number, if it follows from the arguments; later calls must find it again."""
        return self.evaluate(_known)

    def __bool__(self) -> bool:
        return bool(self._now())

    def __int__(self) -> int:
        return int(self._now())

    def __float__(self) -> float:
        return float(self._now())

    def __index__(self) -> int:
        return operator.index(self._now())

    def __hash__(self) -> int:
        return hash(self._now())

    def __str__(self) -> str:
        return str(self._now())

    def __repr__(self) -> str:
        return repr(self._now())

    def __format__(self, spec: str) -> str:
        return format(self._now(), spec)

    def __round__(self, digits: int | None = None) -> Number:
        return Number(round, self, digits)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise UntraceableError("an array is computed with the number that item() gives")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("node", "data"):
            raise AttributeError(name)
        raise UntraceableError(f"the attribute {name!r} of a number was asked for")


def _known(source: Any) -> Any:
    if not isinstance(source, Symbol):
        raise UntraceableError("Python needs what an action such as clip_grad_norm_ returns")
    return source.tracer.specialize(source).item()  # type: ignore[attr-defined]


def _operators(function: Callable[..., Any]) -> tuple[Any, Any]:
    def forward(self: Number, other: Any) -> Any:
        if isinstance(other, Tensor):
            return NotImplemented
        if not isinstance(other, (Number, *_PYTHON)):
            raise UntraceableError("an array is computed with the number that item() gives")
        return Number(function, self, other)

    def reflected(self: Number, other: Any) -> Any:
        if not isinstance(other, _PYTHON):
            raise UntraceableError("an array is computed with the number that item() gives")
        return Number(function, other, self)

    return forward, reflected


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow"):
    _forward, _reflected = _operators(getattr(operator, _name))
    setattr(Number, f"__{_name}__", _forward)
    setattr(Number, f"__r{_name}__", _reflected)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    setattr(Number, f"__{_name}__", _operators(getattr(operator, _name))[0])


def _unary(function: Callable[..., Any]) -> Callable[[Number], Number]:
    return lambda self: Number(function, self)


for _name in ("neg", "abs"):
    setattr(Number, f"__{_name}__", _unary(getattr(operator, _name)))
