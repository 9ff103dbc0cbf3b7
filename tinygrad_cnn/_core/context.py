"""The recording state of a thread: whether and where operations are recorded.

``no_grad`` and ``enable_grad`` switch recording, ``detect_anomaly`` checks every value,
``scope`` names the group that new nodes belong to. Each thread has its own state.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import ContextDecorator, contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, TypeVar

import numpy as np

from .origin import forget

if TYPE_CHECKING:
    from .node import Node
    from .symbol import Tracer

P = ParamSpec("P")
R = TypeVar("R")


class Scope:
    """A named group of nodes, such as one call of ``conv2d`` or of a module.

    Attributes:
        kind: ``"function"`` or ``"module"``.
        params: the settings of the call (stride, padding …), never an array, so that a scope
            keeps no data alive.
        operands: what else the call of a composition was given, by the names of its arguments:
            the vertex of a Tensor, or of a constant a weak reference to the array, which is dead
            for a list, whose array nobody else holds.
    """

    __slots__ = ("kind", "name", "operands", "params", "parent")

    def __init__(
        self, name: str, params: dict[str, Any], parent: Scope | None, kind: str = "function"
    ) -> None:
        self.name, self.params, self.parent, self.kind = name, params, parent, kind
        self.operands: dict[str, Node | weakref.ref[Any]] = {}

    @property
    def path(self) -> str:
        """The names from the outermost scope to this one, such as ``features.0/conv2d``."""
        return f"{self.parent.path}/{self.name}" if self.parent else self.name

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self.params.items())
        return f"<Scope {self.path}({settings})>"


def enclosing(scope: Scope | None) -> Iterator[Scope]:
    """A scope and those around it, the innermost first; nothing for None."""
    while scope is not None:
        yield scope
        scope = scope.parent


def layer_path(scope: Scope | None) -> str:
    """The path of the innermost module around a scope, without the model's own name."""
    names = [outer.name for outer in enclosing(scope) if outer.kind == "module"]
    return ".".join(names[-2::-1])


class Context:
    """What one thread records, and the tracer that takes operations, if there is one."""

    __slots__ = ("check_finite", "recording", "scope", "tracer")

    def __init__(self) -> None:
        self.recording = True
        self.scope: Scope | None = None
        self.check_finite = False
        self.tracer: Tracer | None = None


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.context = Context()


per_thread = _PerThread()


class _Switch(ContextDecorator):
    """Sets one field of the thread's context inside a ``with`` block or a function."""

    field: ClassVar[str]
    value: ClassVar[bool]

    def __init__(self) -> None:
        # A stack for each thread: one instance may be entered again, and by several at a time.
        self._before: dict[int, list[bool]] = {}

    def __enter__(self) -> None:
        before = self._before.setdefault(threading.get_ident(), [])
        before.append(getattr(per_thread.context, self.field))
        setattr(per_thread.context, self.field, self.value)

    def __exit__(self, *exc_info: object) -> None:
        setattr(per_thread.context, self.field, self._before[threading.get_ident()].pop())

    def _recreate_cm(self) -> _Switch:  # a decorated function: a fresh stack for each call
        return type(self)()


class no_grad(_Switch):
    """Record nothing inside the block; also a decorator.

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor(2.0, requires_grad=True)
    >>> with tc.no_grad():
    ...     (w * 3).requires_grad
    False
    """

    field, value = "recording", False


class enable_grad(_Switch):
    """Record again inside a ``no_grad`` block; also a decorator.

    >>> import tinygrad_cnn as tc
    >>> w = tc.tensor(2.0, requires_grad=True)
    >>> with tc.no_grad(), tc.enable_grad():
    ...     (w * 3).requires_grad
    True
    """

    field, value = "recording", True


class detect_anomaly(_Switch):
    """Raise ``NonFiniteError`` at the first operation that makes a NaN or an infinity.

    Values and gradients are checked, gradients also where several are added up; the message names
    the operation, its scope, the source line and the statistics of its inputs. Every operation
    costs one more pass over its result. A compiled function runs as it is written inside.

    >>> import tinygrad_cnn as tc
    >>> with tc.detect_anomaly():
    ...     tc.tensor([1.0, 0.0]) / tc.tensor([1.0, 0.0])
    Traceback (most recent call last):
    ...
    tinygrad_cnn.errors.NonFiniteError: divide made 1 NaN ...
    """

    field, value = "check_finite", True

    def __enter__(self) -> None:
        tracer = per_thread.context.tracer
        if tracer is not None:
            tracer.refuse("detect_anomaly looks at every value")
        super().__enter__()


def is_grad_enabled() -> bool:
    """Whether operations on this thread are being recorded.

    >>> import tinygrad_cnn as tc
    >>> with tc.no_grad():
    ...     tc.is_grad_enabled()
    False
    """
    return per_thread.context.recording


@contextmanager
def scope(name: str, kind: str = "function", **params: Any) -> Iterator[Scope]:
    """Group the nodes recorded inside the block under one name.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor(2.0, requires_grad=True)
    >>> with tc.scope("energy"):
    ...     y = x * x
    >>> y.node.scope.path
    'energy'
    """
    context = per_thread.context
    outer = context.scope
    inner = context.scope = Scope(name, params, outer, kind)
    try:
        yield inner
    finally:
        context.scope = outer


_SETTING = (int, float, str, bool, tuple, type(None), np.dtype, np.generic, type)
_LOST: weakref.ref[Any] = weakref.ref(set())  # dead: what a list became is not known


def composition(function: Callable[P, R]) -> Callable[P, R]:
    """Record each call of ``function`` as a scope with its name and its settings.

    A setting is an argument that is a plain Python value; arrays and Tensors are operands,
    which the nodes hold themselves.
    """
    name = function.__name__
    code = function.__code__
    names = code.co_varnames[: code.co_argcount]  # inspect takes long to import

    @functools.wraps(function)
    def recorded(*args: P.args, **kwargs: P.kwargs) -> R:
        context = per_thread.context
        if context.tracer is not None:
            whole = context.tracer.call(recorded, args, kwargs)
            if whole is not NotImplemented:
                return whole  # type: ignore[no-any-return]
        outer = context.scope
        scope = context.scope = Scope(name, {}, outer)
        params, operands = scope.params, scope.operands
        for key, value in (*zip(names, args, strict=False), *kwargs.items()):
            node = getattr(value, "node", None)  # of a Tensor, which is not known here
            if node is not None:
                operands[key] = node
            elif isinstance(value, _SETTING) and (type(value) is not tuple or _is_plain(value)):
                params[key] = value
            else:
                _note_constant(operands, key, value)
        try:
            result = function(*args, **kwargs)
        finally:
            context.scope = outer
        if getattr(result, "node", forget) is None and (outer is None or outer.kind != "function"):
            forget(result.data)  # type: ignore[attr-defined]
        return result

    return recorded


def _is_plain(values: tuple[Any, ...]) -> bool:
    """Whether a tuple holds no Tensors or arrays, which a scope must not keep alive."""
    return not any(hasattr(v, "__array__") and not isinstance(v, np.generic) for v in values)


def _note_constant(operands: dict[str, Any], name: str, value: Any) -> None:
    array = value if isinstance(value, np.ndarray) else getattr(value, "data", None)
    if isinstance(array, np.ndarray):
        operands[name] = weakref.ref(array)
    else:
        operands[name] = _LOST
