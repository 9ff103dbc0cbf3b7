"""Records what a function does to its arguments, once for all calls like this one.

The function runs on symbols. What it does to them becomes a program, with the actions on the
state of objects (an optimiser's step, running statistics) set aside. What depends on values
raises ``UntraceableError``, except where they follow from the arguments by a few cheap
operations: then the value is computed, and each later call checks that it is the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple
from weakref import ref

import numpy as np

from .._core.context import per_thread
from .._core.node import Leaf, Node, _is_internal
from .._core.primitive import Primitive
from .._core.symbol import Symbol as AnySymbol
from .._core.tensor import Tensor, raw, wrap
from ..typing import Array, DTypeLike, Shape
from ._infer import infer
from ._numbers import Number
from ._numpy_functions import FUNCTIONS
from ._program import carried_out
from ._symbols import Operation, Symbol, UntraceableError, symbols_in, users_line
from ._updates import record_step

_MOST_OF_A_GUARD = 24  # operations that a value may take that is computed in each call
_CHEAP = 1_000_000  # elements of the largest array that they may touch
_NAMES = {"absolute": "abs"}

Swap = Callable[..., Any]


class Guard(NamedTuple):
    """A value that followed from the arguments; another one calls for another program."""

    symbol: Symbol
    value: Any
    source: Any


class Action:
    """A call that is put off until the program runs.

    Attributes:
        result: of the latest run.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call
        self.result: Any = None

    def __call__(self) -> None:
        self.result = self.call()


class Tracer:
    """One trace.

    Attributes:
        operations: what was done, in order.
        values: for each input the array or number it has in this call, where it is known.
        parameters: for each symbol of a variable or captured Tensor the Tensor.
        constants: for each symbol of a captured array the array.
        draws: for each symbol of an array made anew the function that makes it.
        assigned: by the id of a Tensor the Tensor and the symbol of its latest value.
        guards: what later calls must find the same.
        actions: what changes objects; None stands where gradients are there.
        gradients: for each variable the symbol of its gradient.
        cleared: the variables that let go of their gradients.
        unkept: those whose gradients are read without that: none may be there before.
        conditions: decisions about settings that later calls must make alike.
        after: what is done in the end of each run.
        swaps: by the name of a composition, what to record in its place.
        given: what stands for arguments.
        inner: the vertices that stand for arguments with a graph of their own.
        written: by the id of a Tensor those whose arrays are written to.
        shown: for each vertex the Tensor that ``.grad`` gave.
        refused: why nothing can come of the trace; None as long as it can.
    """

    def __init__(self, swaps: dict[str, Swap] | None = None) -> None:
        self.operations: list[Operation] = []
        self.values: dict[Symbol, Any] = {}
        self.parameters: dict[Symbol, Tensor] = {}
        self.constants: dict[Symbol, Any] = {}
        self.draws: dict[Symbol, Callable[[], Array]] = {}
        self.assigned: dict[int, tuple[Tensor, Symbol]] = {}
        self.guards: list[Guard] = []
        self.actions: list[Callable[[], Any] | None] = []
        self.gradients: dict[Node, Any] = {}
        self.cleared: set[Node] = set()
        self.unkept: set[Node] = set()
        self.swaps = swaps or {}
        self.given: list[Any] = []
        self.inner: set[Node] = set()
        self.written: dict[int, Tensor] = {}
        self.shown: dict[Node, Tensor] = {}
        self.refused: str | None = None
        self.conditions: list[tuple[Callable[[], bool], bool]] = []
        self.after: list[Callable[[], None]] = []
        self._sealed = False  # whether an action has followed the gradients
        self._before: list[tuple[Tensor, Any]] = []
        self._of_tensor: dict[int, Symbol] = {}
        self._of_array: dict[int, Symbol] = {}
        self._fixed: list[Any] = []  # holds them, so that their ids stay theirs
        self._fixed_ids: set[int] = set()

    # -- inputs --------------------------------------------------------------------------------

    def argument(self, value: Any) -> Symbol:
        """A symbol for an array that the function is given."""
        made = Symbol(value.shape, value.dtype, self)
        self.values[made] = value
        return made

    def read(self, tensor: Tensor) -> Any:
        """The symbol for what a Tensor holds when the program runs."""
        if id(tensor) in self.assigned:
            return self.assigned[id(tensor)][1]
        if isinstance(tensor.data, AnySymbol) or id(tensor.data) in self._fixed_ids:
            return tensor.data
        if not tensor.is_leaf:
            raise UntraceableError("a Tensor is used that was computed outside, with its graph")
        self._check_unsealed()
        found = self._of_tensor.get(id(tensor))
        if found is None:
            found = Symbol(tensor.data.shape, tensor.data.dtype, self)
            self._of_tensor[id(tensor)] = found
            self.parameters[found] = tensor
            if tensor.node is None:  # a constant, such as labels
                self.values[found] = tensor.data
            self._before.append((tensor, tensor.data))
        return found

    def fixed(self, array: Any) -> Any:
        """An array that is the same in each run."""
        if not isinstance(array, AnySymbol) and id(array) not in self._fixed_ids:
            self._fixed.append(array)
            self._fixed_ids.add(id(array))
        return array

    def is_fixed(self, array: Any) -> bool:
        """Whether an array is known to be the same in each run."""
        return id(array) in self._fixed_ids

    def volatile(self, function: Callable[[], Array], shape: Shape, dtype: DTypeLike) -> Symbol:
        """The symbol for an array that is made anew in each run."""
        made = Symbol(tuple(shape), np.dtype(dtype), self)
        self.draws[made] = function
        return made

    def _captured(self, array: Any) -> Any:
        """An array from outside: of a single number the number, else a symbol."""
        if not isinstance(array, np.ndarray):
            return array
        if id(array) in self._fixed_ids or (not array.ndim and not array.flags.writeable):
            return array
        self._check_unsealed()
        found = self._of_array.get(id(array))
        if found is None:
            found = self._of_array[id(array)] = Symbol(array.shape, array.dtype, self)
            self.constants[found] = array
            self.values[found] = array
        return found

    def _check_unsealed(self) -> None:
        if self._sealed:
            raise UntraceableError(
                "values are read after an optimiser or the like has changed them: the program"
                " would use those of before"
            )

    def _operand(self, value: Any) -> Any:
        if isinstance(value, AnySymbol):
            return value
        if isinstance(value, Tensor):
            return self.read(value)
        return self._captured(raw(value))

    def _setting(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return self._captured(value)
        if isinstance(value, Tensor):
            return self.read(value)
        if type(value) is tuple:
            return tuple(map(self._setting, value))
        return value

    # -- operations ----------------------------------------------------------------------------

    def record(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], params: dict[str, Any]
    ) -> Any:
        """An operation on symbols and arrays; its symbol."""
        operands = tuple(map(self._operand, args))
        if params:
            params = {key: self._setting(value) for key, value in params.items()}
        name = _NAMES.get(name, name)
        shape, dtype = infer(name, function, operands, params)
        result = Symbol(shape, dtype, self)
        frame: Any = sys._getframe(1)
        while frame is not None and _is_internal[frame.f_code.co_filename]:
            frame = frame.f_back
        code, instruction = (None, 0) if frame is None else (frame.f_code, frame.f_lasti)
        scope = per_thread.context.scope
        made = Operation(name, function, operands, params, result, scope, code, instruction)
        result.operation = made
        self.operations.append(made)
        return result

    def apply(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """What ``apply`` does, on symbols: a vertex of the graph is made as for arrays."""
        tensors = any(isinstance(arg, Tensor) for arg in args)
        if not tensors and next(symbols_in((args, params)), None) is None:
            return self._concrete(primitive, args, params)
        arrays = tuple(map(self._operand, args))
        ans = self.record(primitive.name, primitive.forward, arrays, params)
        if not tensors:
            return ans
        context = per_thread.context
        parents = tuple(arg.node if isinstance(arg, Tensor) else None for arg in args)
        node = None
        if context.recording and any(parent is not None for parent in parents):
            saved = {key: self._setting(value) for key, value in params.items()}
            frame = sys._getframe(1)
            node = Node(primitive, arrays, saved, ans, parents, context.scope, frame)
        return wrap(ans, node)

    def _concrete(self, primitive: Primitive, args: Any, params: Any) -> Any:
        """An operation on arrays alone, which is carried out: no symbol takes part."""
        made = primitive.forward(*map(raw, args), **params)
        if all(id(arg) in self._fixed_ids or not isinstance(arg, np.ndarray) for arg in args):
            self.fixed(made)
        return made

    def numpy_function(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A function of NumPy that was called with a symbol."""
        known = FUNCTIONS.get(function)
        if known is not None:
            return known(self, *args, **kwargs)
        if any(isinstance(value, AnySymbol) for value in kwargs.values()):
            raise UntraceableError(f"np.{function.__name__} with arrays as keywords")
        # Not under the name alone: a primitive of that name may have other settings.
        return self.record(f"numpy.{function.__name__}", function, args, kwargs)

    def call(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """The result of a composition that is recorded whole, else NotImplemented."""
        swap = self.swaps.get(function.__name__)
        return NotImplemented if swap is None else swap(*args, **kwargs)

    # -- state -----------------------------------------------------------------------------

    def assign(self, tensor: Tensor, value: Any, in_place: bool = False) -> None:
        """Record that a Tensor is given another value, or its array if ``in_place``."""
        before = self.read(tensor)
        outside = id(tensor) in self._of_tensor or any(tensor is given for given in self.given)
        if not isinstance(value, Symbol) or not outside:
            raise UntraceableError("an array is written to that the function has made")
        if value.shape != before.shape or not np.can_cast(value.dtype, before.dtype, "same_kind"):
            raise UntraceableError("a Tensor is given values of another shape or kind")
        if in_place and tensor.data.shape:
            self.written[id(tensor)] = tensor
        self.assigned[id(tensor)] = tensor, value.astype(before.dtype)

    def defer(self, method: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Record an action that changes the state of an object; what it will return."""
        is_step = method.__qualname__ == "Optimizer.step" and None in self.actions
        if is_step and not self._sealed and record_step(self, args[0]):
            return None
        args = tuple(map(_repeatable, args))
        kwargs = {key: _repeatable(arg) for key, arg in kwargs.items()}
        action = Action(partial(method, *args, **kwargs))
        if None not in self.actions:  # it shall find the gradients as they are now
            self.actions += [partial(setattr, node, "grad", None) for node in self.cleared]
        self.actions.append(action)
        self._sealed = None in self.actions
        return Number(None, action)

    def mark(self) -> Any:
        """What there is now, for ``reset``."""
        kept = dict(self.assigned), dict(self.draws), self.refused
        return len(self.operations), len(self.conditions), kept

    def reset(self, mark: Any) -> None:
        """Forget what was recorded since."""
        operations, conditions, (self.assigned, self.draws, self.refused) = mark
        del self.operations[operations:], self.conditions[conditions:]

    def clear(self, node: Node, value: Tensor | None) -> None:
        """Record that a vertex lets go of its gradient: ``value`` is None."""
        if value is not None:
            raise UntraceableError("the function assigns to .grad of a Tensor")
        if self._sealed:
            self.actions.append(partial(setattr, node, "grad", None))
        else:
            self.cleared.add(node)
            self.gradients.pop(node, None)

    def refuse(self, reason: str) -> None:
        """Give the trace up: the function does what cannot be recorded."""
        raise UntraceableError(reason)

    def accumulate(self, node: Node, gradient: Any) -> None:
        """Record that a gradient is added to what a vertex keeps."""
        if isinstance(gradient, Tensor):
            raise UntraceableError("backward(create_graph=True) in a compiled function")
        if not isinstance(node, Leaf):
            raise UntraceableError("retain_grad() in a compiled function")
        if node in self.inner:
            raise UntraceableError("backward goes on into the graph of an argument")
        if None not in self.actions:
            self.actions.append(None)
        before = self.gradients.get(node)
        self.gradients[node] = gradient if before is None else before + gradient

    def gradient(self, node: Node) -> Tensor | None:
        """The gradient that a vertex has got in this trace."""
        found = self.gradients.get(node)
        if self._sealed or (found is None and node not in self.cleared):
            raise UntraceableError(".grad is read where this call has not computed it")
        if node not in self.cleared:
            self.unkept.add(node)
        if found is None:
            return None
        if node not in self.shown or self.shown[node].data is not found:
            self.shown[node] = wrap(found, None)
        return self.shown[node]

    def restore(self) -> None:
        """Put back what was assigned to ``.data`` of a Tensor, which cannot be recorded."""
        changed = [(tensor, data) for tensor, data in self._before if tensor.data is not data]
        for tensor, data in changed:
            tensor.data = data
        if changed:
            raise UntraceableError("the function assigns to .data of a Tensor")

    # -- values ------------------------------------------------------------------------------

    def specialize(self, symbol: Symbol) -> Any:
        """The value of a symbol that follows from the arguments; later calls must find it again."""
        seen: dict[Symbol, None] = {}
        stack = [symbol]
        while stack:
            found = stack.pop()
            if found in seen:
                continue
            seen[found] = None
            if found.operation is not None:
                stack.extend(found.operation.operands())
            elif found not in self.values:
                raise UntraceableError(
                    "Python needs a value that depends on parameters or random numbers"
                )
            if len(seen) > _MOST_OF_A_GUARD or found.size > _CHEAP:
                raise UntraceableError("Python needs a value that takes long to compute")
        values = dict(self.values)

        def evaluate(wanted: Symbol) -> Any:  # nested no deeper than a guard may be
            if wanted not in values:
                assert wanted.operation is not None
                for operand in wanted.operation.operands():
                    evaluate(operand)
                values[wanted] = carried_out(wanted.operation, values)
            return values[wanted]

        value = evaluate(symbol)
        self.guards.append(Guard(symbol, value, users_line()))
        return value


def _repeatable(arg: Any) -> Any:
    """An iterator, such as ``model.parameters()``, would be at its end in the next run."""
    return list(arg) if isinstance(arg, Iterator) else arg


def leaf_of(tensor: Tensor, symbol: Symbol) -> Tensor:
    """The Tensor that stands for an argument that collects a gradient."""
    traced = wrap(symbol, None)
    traced.node = Leaf(symbol, tensor.name, ref(traced))
    return traced
