"""Where an audit listens: the seams of the engine, replaced while the block runs.

A graph shows what was recorded. What breaks silently is what was not: a value that was read, an
array that was written to, an operation under ``no_grad``. Each hook here tells the witness of
one such thing and then does what the engine does. Only the thread that audits is watched.
"""

from __future__ import annotations

import functools
import os.path
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import nn, optim
from ..._core import backprop, primitive
from ..._core import tensor as tensors
from ..._core.context import per_thread
from ..._core.node import Node, SourceLine, _is_internal, source_line
from ..._core.tensor import Tensor
from ...errors import GraphError

if TYPE_CHECKING:
    from .witness import Witness

_PACKAGE = os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep
_NUMPY = os.path.dirname(np.__file__) + os.sep
_TENSOR_FILES = {tensors.__file__, sys.modules[nn.Parameter.__module__].__file__}
_ONE_AT_A_TIME = threading.Lock()
_OBSERVED = object()  # a truthy ``check_finite``: every operation passes through ``_checked``
_DATA: Any = vars(Tensor)["data"]  # the slot, which stays behind the property
_READERS = {
    "__array__": "numpy.asarray()",
    "detach": ".detach()",
    "item": ".item()",
    "numpy": ".numpy()",
    "tolist": ".tolist()",
}
# Functions through which no gradient goes; ``compare`` is what >, == and so on are inside.
_WITHOUT_GRADIENT = {"argmax": "argmax", "argmin": "argmin", "compare": "a comparison"}


@contextmanager
def watching(witness: Witness) -> Iterator[None]:
    """Tell ``witness`` what this thread does inside the block.

    Raises:
        GraphError: another audit is running: each would see the hooks of the other.
    """
    if not _ONE_AT_A_TIME.acquire(blocking=False):
        raise GraphError("audit: another audit is running; wait for it, and don't nest them")
    try:
        with ExitStack() as stack:
            for owner, replacements in _Hooks(witness).table():
                stack.enter_context(_swapped(owner, replacements))
            stack.enter_context(_check_finite(per_thread.context.check_finite or _OBSERVED))
            yield
    finally:
        _ONE_AT_A_TIME.release()


@contextmanager
def _swapped(owner: Any, replacements: dict[str, Any]) -> Iterator[None]:
    before = {name: vars(owner)[name] for name in replacements}
    try:
        for name, value in replacements.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextmanager
def _check_finite(value: Any) -> Iterator[None]:
    context = per_thread.context
    before, context.check_finite = context.check_finite, value
    try:
        yield
    finally:
        context.check_finite = before


# -- who called ----------------------------------------------------------------------------


@functools.cache
def _in_package(file: str) -> bool:
    return file.startswith(_PACKAGE)


@functools.cache
def _in_numpy(file: str) -> bool:
    return file.startswith(_NUMPY)


def is_users(frame: FrameType) -> bool:
    """Whether a frame runs the user's code, not the package's or NumPy's."""
    file = frame.f_code.co_filename
    return not (_in_package(file) or _in_numpy(file))


def _is_engine(file: str) -> bool:
    """Whether a frame is none that a node shows as its source: a hook is part of the engine."""
    return file == __file__ or _is_internal[file]


def caller(frame: FrameType | None) -> SourceLine | None:
    """The user's line from which the package was called."""
    while frame is not None:
        if is_users(frame):
            return source_line(frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return None


def _direct_caller(frame: FrameType | None) -> SourceLine | None:
    """The user's line that called the Tensor's own code; None where the package did."""
    while frame is not None:
        file = frame.f_code.co_filename
        if not (_in_numpy(file) or file in _TENSOR_FILES):
            return None if _in_package(file) else source_line(frame.f_code, frame.f_lasti)
        frame = frame.f_back
    return None


def _function_without_gradient(frame: FrameType | None) -> str | None:
    """What the package reads data for, if it is a function that no gradient goes through."""
    name = ""
    while frame is not None and _in_package(frame.f_code.co_filename):
        name = frame.f_code.co_name  # in the end that of the function which the user called
        frame = frame.f_back
    return _WITHOUT_GRADIENT.get(name)


# -- the hooks -----------------------------------------------------------------------------


class _Hooks:
    """The replacements; each does what the original does, and tells the witness."""

    def __init__(self, witness: Witness) -> None:
        self.witness, self.thread = witness, threading.get_ident()

    def table(self) -> list[tuple[Any, dict[str, Any]]]:
        """Each owner with the attributes to replace."""
        readers = {name: self._reader(vars(Tensor)[name], how) for name, how in _READERS.items()}
        write = self._write(vars(Tensor)["_check_writable"])
        operation = {
            "raw": self._raw(vars(primitive)["raw"]),
            "_checked": self._operation(vars(primitive)["_checked"]),
            "Node": self._node,
        }
        return [
            (Tensor, {"data": self._data(), "_check_writable": write, **readers}),
            (tensors, {"_array": self._array(vars(tensors)["_array"])}),
            (primitive, operation),
            (backprop, {"backpropagate": self._walk(backprop.backpropagate)}),
            (nn.Module, {"__call__": self._call(nn.Module.__call__)}),
            (optim.Optimizer, {"step": self._step(optim.Optimizer.step)}),
            (optim.LRScheduler, {"step": self._step(optim.LRScheduler.step)}),
        ]

    @property
    def _here(self) -> bool:
        return threading.get_ident() == self.thread

    # -- values that leave the graph, and come back ------------------------------------------

    def _data(self) -> property:
        def get(x: Tensor) -> Any:
            array = _DATA.__get__(x)
            if not self._here:
                return array
            frame = sys._getframe(1)
            if not _in_package(frame.f_code.co_filename):
                return self.witness.read(x.node, array, ".data", _direct_caller(frame))
            how = _function_without_gradient(frame)
            if how and x.node is not None:
                self.witness.used(x.node, how, caller(frame))
            return array

        def set_(x: Tensor, value: Any) -> None:
            _DATA.__set__(x, self.witness.plain(value) if self._here else value)

        return property(get, set_)

    def _reader(self, original: Callable[..., Any], how: str) -> Callable[..., Any]:
        @functools.wraps(original)
        def read(x: Tensor, *args: Any, **kwargs: Any) -> Any:
            result = original(x, *args, **kwargs)
            where = _direct_caller(sys._getframe(1)) if self._here else None
            if where is None:
                return result
            value = _DATA.__get__(result) if isinstance(result, Tensor) else result
            handed = self.witness.read(x.node, value, how, where)
            return handed if how == ".numpy()" else result

        return read

    def _array(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        makers = {tensors.tensor.__code__, tensors.as_tensor.__code__}

        def array(value: Any) -> Any:
            if not self._here:
                return original(value)
            result = original(self.witness.plain(value))
            frame: Any = sys._getframe(1)
            source = value
            if frame.f_code is Tensor.__init__.__code__ and frame.f_back.f_code in makers:
                source = frame.f_back.f_locals["data"]  # of which ``value`` may be a copy
            self.witness.converted(source, result, _direct_caller(frame))
            return result

        return array

    def _raw(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda value: original(self.witness.plain(value) if self._here else value)

    def _write(self, original: Callable[..., None]) -> Callable[..., None]:
        def check_writable(x: Tensor, what: str, functional: str) -> None:
            original(x, what, functional)
            if self._here:
                self.witness.wrote([_DATA.__get__(x)], what, caller(sys._getframe(1)))

        return check_writable

    # -- operations and walks ----------------------------------------------------------------

    def _operation(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def checked(op: Any, arrays: Any, params: dict[str, Any], context: Any) -> Any:
            if not self._here or context.check_finite is not _OBSERVED:
                ans = original(op, arrays, params, context)
            else:
                with _check_finite(False):
                    ans = primitive.apply(op, *arrays, **params)
            if self._here:
                self.witness.operated(arrays, ans, sys._getframe(1))
            return ans

        return checked

    def _node(
        self, op: Any, args: Any, params: Any, ans: Any, parents: Any, scope: Any, frame: Any
    ) -> Node:
        while frame is not None and _is_engine(frame.f_code.co_filename):
            frame = frame.f_back
        node = Node(op, args, params, ans, parents, scope, frame)
        if self._here and args is not None:
            self.witness.recorded(node)
        return node

    def _walk(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def backpropagate(seeds: Any, targets: Any = None, **options: Any) -> Any:
            if not self._here:
                return original(seeds, targets, **options)
            order = backprop.consumers_first(seeds)
            self.witness.before_walk(order, targets is None, caller(sys._getframe(1)))
            with _check_finite(per_thread.context.check_finite is True):
                found = original(seeds, targets, visit=self.witness.visited, **options)
            self.witness.after_walk(found)
            return found

        return backpropagate

    # -- modules and optimisers --------------------------------------------------------------

    def _call(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if not self._here:
                return original(module, *args, **kwargs)
            where = caller(sys._getframe(1))
            self.witness.entering(args, where)
            output = original(module, *args, **kwargs)
            self.witness.left(module, output, where)
            return output

        return call

    def _step(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def step(stepper: Any, *args: Any, **kwargs: Any) -> Any:
            if self._here:
                self.witness.stepping(stepper, caller(sys._getframe(1)))
            return original(stepper, *args, **kwargs)

        return step
