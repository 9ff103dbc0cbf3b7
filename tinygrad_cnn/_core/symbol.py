"""What the engine knows of tracing: symbols in the place of arrays, and who records them.

While a thread's ``context.tracer`` is set, operations are handed to it instead of being carried
out. The compiler has the only tracer; here is what the rest of the package says to one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

import numpy as np

from ..typing import Array, DTypeLike, Shape
from .context import per_thread

if TYPE_CHECKING:
    from .node import Node
    from .primitive import Primitive
    from .tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


Assigned = dict[int, "tuple[Tensor, Any]"]  # by the id of a Tensor what it held before


class _Replayed(threading.local):
    """What is known of runs that are repeated.

    Attributes:
        draws: the arrays that ``volatile`` gives, one after the other.
        noting: where ``assign`` notes what there was.
    """

    draws: Iterator[Array] | None = None
    noting: tuple[Assigned, ...] = ()


_replayed = _Replayed()


@contextmanager
def replaying(draws: Iterable[Array]) -> Iterator[None]:
    """Let ``volatile`` give arrays that were drawn before."""
    outer, _replayed.draws = _replayed.draws, iter(draws)
    try:
        yield
    finally:
        _replayed.draws = outer


def is_replaying() -> bool:
    """Whether ``volatile`` gives arrays that were drawn before."""
    return _replayed.draws is not None


def is_noting() -> bool:
    """Whether this thread is inside of ``noting_assigned``."""
    return bool(_replayed.noting)


@contextmanager
def noting_assigned() -> Iterator[Assigned]:
    """Note what Tensors hold that are given other values inside the block."""
    outer, before = _replayed.noting, Assigned()
    _replayed.noting = (*outer, before)
    try:
        yield before
    finally:
        _replayed.noting = outer


@contextmanager
def with_former(before: Assigned) -> Iterator[None]:
    """Let Tensors hold what they held before; afterwards they hold what they hold now."""
    now = [(tensor, tensor.data) for tensor, _ in before.values()]
    for tensor, data in before.values():
        tensor.data = data
    try:
        yield
    finally:
        for tensor, data in now:
            tensor.data = data


class Symbol:
    """Stands for an array of which shape and dtype are known, and the values are not yet."""

    __slots__ = ()


class Tracer(Protocol):
    """Records what a function does to symbols."""

    def apply(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Record an operation; its result, as ``apply`` would return it."""

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The result of a composition that is recorded whole, else NotImplemented."""

    def read(self, tensor: Tensor) -> Any:
        """The symbol for what a Tensor holds when the program runs."""

    def assign(self, tensor: Tensor, value: Any, in_place: bool = False) -> None:
        """Record that a Tensor is given another value, or its array if ``in_place``."""

    def volatile(self, function: Callable[[], Array], shape: Shape, dtype: DTypeLike) -> Any:
        """The symbol for an array that is made anew in each run."""

    def fixed(self, array: Array) -> Any:
        """An array that is the same in each run."""

    def accumulate(self, node: Node, gradient: Any) -> None:
        """Record that a gradient is added to what a vertex keeps."""

    def gradient(self, node: Node) -> Any:
        """The gradient that a vertex has got in this trace."""

    def clear(self, node: Node, value: Tensor | None) -> None:
        """Record that a vertex lets go of its gradient: ``value`` is None."""

    def refuse(self, reason: str) -> None:
        """Give the trace up: the function does what cannot be recorded."""

    def defer(self, method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Record an action that changes the state of an object; what it will return."""


def array_of(value: Any, dtype: DTypeLike = None) -> Any:
    """``value`` as array of numbers; a symbol stays one."""
    if isinstance(value, Symbol):
        return value if dtype is None else value.astype(dtype)  # type: ignore[attr-defined]
    return np.asarray(value, dtype)


def any_of(condition: Any) -> bool:
    """Whether a condition holds anywhere; of a symbol it is not known, and may."""
    return isinstance(condition, Symbol) or bool(np.any(condition))


def value_of(tensor: Tensor) -> Any:
    """What a Tensor holds, now or when the program runs that is being traced."""
    tracer = per_thread.context.tracer
    return tensor.data if tracer is None else tracer.read(tensor)


def assign(tensor: Tensor, value: Any) -> None:
    """Give a Tensor that is no variable other values, in a new array."""
    tracer = per_thread.context.tracer
    if tracer is None:
        for before in _replayed.noting:
            before.setdefault(id(tensor), (tensor, tensor.data))
        tensor.data = value
    else:
        tracer.assign(tensor, value)


def volatile(function: Callable[[], Array], shape: Shape, dtype: DTypeLike) -> Any:
    """What a function returns that gives another array each time, such as random numbers."""
    tracer = per_thread.context.tracer
    if tracer is not None:
        return tracer.volatile(function, shape, dtype)
    return function() if _replayed.draws is None else next(_replayed.draws)


def fixed(array: Array) -> Any:
    """An array that depends on shapes and settings alone."""
    tracer = per_thread.context.tracer
    return array if tracer is None else tracer.fixed(array)


def refuse_trace(reason: str) -> None:
    """Say, in a trace alone, that what follows cannot be recorded."""
    tracer = per_thread.context.tracer
    if tracer is not None:
        tracer.refuse(reason)


def deferrable(method: Callable[P, R]) -> Callable[P, R]:
    """A method that changes the state of an object: a trace records the call, for each run."""

    @wraps(method)
    def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
        tracer = per_thread.context.tracer
        if tracer is None:
            return method(*args, **kwargs)
        return tracer.defer(method, args, kwargs)  # type: ignore[no-any-return]

    return recorded
