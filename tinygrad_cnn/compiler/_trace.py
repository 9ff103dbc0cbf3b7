"""A function, recorded for one kind of arguments."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from itertools import islice
from typing import Any

import numpy as np

from .._core.context import per_thread
from .._core.node import Leaf, Node
from .._core.symbol import Symbol as AnySymbol
from .._core.tensor import Tensor, wrap
from ..nn import Parameter
from ._escapes import RandomStates, watched
from ._gradient import Derivative
from ._program import Program, Runner
from ._reading import Reading
from ._results import Computed, Fresh, Itself, Results
from ._signature import flatten, objects_in, rebuild
from ._surroundings import Surroundings
from ._symbols import Symbol, UntraceableError
from ._tracer import Swap, Tracer, leaf_of
from ._unseen import listening

# Two collections of the tracer, the list and the variable of a loop, the argument of getrefcount:
# an array that nobody else holds was made by the function itself.
_HOLDERS = 5

Build = Callable[["Trace"], Runner]


class Trace:
    """What a function does, for arguments of one kind.

    Attributes:
        program: what is computed: from arguments, parameters, captured arrays and draws the
            outputs, gradients and new values.
        inputs: what the program is given, in order.
        structure: of what the function returns.
        results: where the arrays in it come from.
        leaves: the vertices whose gradients the program computes.
        derivatives: of the results that gradients flow to, by their numbers.
        tracer: what else was recorded.
        surroundings: what the function reads from around it.
        reading: what each call reads of that.

    Raises:
        UntraceableError: what it does cannot be recorded; nothing has changed then.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        structure: Any,
        leaves: Sequence[Any],
        swaps: dict[str, Swap] | None = None,
        listen: bool = True,
    ) -> None:
        self._listen = listen  # for calls that are not recorded; once is enough
        self.tracer = tracer = Tracer(swaps)
        self.arguments = [tracer.argument(_data(leaf)) for leaf in leaves]
        given = [self._traced(*pair) for pair in zip(leaves, self.arguments, strict=True)]
        tracer.given = given
        self.given_nodes = [getattr(g, "node", None) for g in given]
        self._has_given_nodes = any(node is not None for node in self.given_nodes)
        self._given = given
        self.surroundings = Surroundings(function, objects_in(structure))
        states, restore = RandomStates(self.surroundings.generators), self.surroundings.keep()
        drawn, changed = False, ""
        try:
            with watched():
                self.run_on_symbols(function, structure)
        finally:
            drawn, changed = states.restore(), restore()
            for symbol in self.arguments:
                symbol.tracer = None
        if drawn:
            raise UntraceableError(
                "it draws random numbers by itself: draw them with functions of Tensors, such as"
                " tc.rand(..., generator=...), or give them as arguments"
            )
        if changed:
            raise UntraceableError(f"it changes {changed}, which lies outside of it")
        self._check_captured()
        self._check_read_state()
        self.surroundings.compare(tracer.constants.values())
        self.reading = Reading(self)

    def _check_read_state(self) -> None:
        """Refuse to read what an action will have changed by then."""
        names, tracer = self.surroundings.names, self.tracer
        stepped = any(action is not None for action in tracer.actions)
        read = {"param_groups", "_last_lr", "last_epoch"} & names if stepped else set()
        if stepped or tracer.after:
            read |= {"state", "state_dict"} & names
        if read:
            raise UntraceableError(
                f"it reads {min(read)!r} of an optimiser or schedule, and makes a step of it"
            )

    def run_on_symbols(self, function: Callable[..., Any], structure: Any) -> None:
        """Run the function on symbols."""
        context, tracer = per_thread.context, self.tracer
        outer, context.tracer, scope = context.tracer, tracer, context.scope
        recording = context.recording
        try:
            args, kwargs = rebuild(structure, self._given.__getitem__)
            with listening() if self._listen else nullcontext():
                result = function(*args, **kwargs)
            found: list[Any] = []
            self.structure = flatten(result, found, results=True)
            again: list[Any] = []
            same = flatten((args, kwargs), again) == structure
            if not same or any(a is not b for a, b in zip(again, self._given, strict=True)):
                raise UntraceableError("it changes a list or dict that is an argument")
            tracer.restore()
            self._finish(found)
            if tracer.refused:
                raise UntraceableError(tracer.refused)
        except Exception as error:
            if tracer.refused and str(error) != tracer.refused:
                raise UntraceableError(tracer.refused) from error
            raise
        finally:
            context.tracer, context.scope, context.recording = outer, scope, recording
            tracer.restore()

    def _traced(self, leaf: Any, symbol: Symbol) -> Any:
        """What stands for an argument."""
        if isinstance(leaf, Tensor) and type(leaf) not in (Tensor, Parameter):
            raise UntraceableError(f"an argument is a {type(leaf).__name__}, a kind of its own")
        if not isinstance(leaf, Tensor):
            return symbol
        traced = wrap(symbol, None) if leaf.node is None else leaf_of(leaf, symbol)
        if not leaf.is_leaf:
            self.tracer.inner.add(traced.node)  # type: ignore[arg-type]
        return traced

    def _finish(self, found: list[Any]) -> None:
        tracer = self.tracer
        known = self.surroundings.known
        self.results = Results(tracer, found, known)
        data = self.results.symbols
        self.is_step = bool(tracer.gradients or tracer.actions or tracer.cleared)
        self.leaves: list[Node] = list(tracer.gradients)
        gradients = list(tracer.gradients.values())
        self.assigned = [tensor for tensor, _ in tracer.assigned.values()]
        self.inputs = [*self.arguments, *tracer.parameters, *tracer.constants, *tracer.draws]
        self.derivatives: dict[int, Derivative] = {}
        if self.is_step:
            self.results.check_freed()
        else:
            gradients = self._differentiate(data)
        self.counts = len(data), len(gradients)
        self.aliases = self._aliases(len(data) + len(gradients))
        outputs = [*data, *gradients, *(value for _, value in tracer.assigned.values())]
        self._make_programs(outputs)
        self._check_views(len(data) + len(gradients))

    def _make_programs(self, outputs: list[Any]) -> None:
        """The program of the outputs and those of derivatives, which share their operations."""
        seeded = [d for d in self.derivatives.values() if d.seed is not None]
        wanted = [*outputs, *(gradient for d in seeded for gradient in d.gradients)]
        whole = Program(self.inputs, self.tracer.operations, wanted).simplified()
        found = iter(whole.outputs)
        self.program: Program = whole.part(self.inputs, [*islice(found, len(outputs))])
        for derivative in seeded:
            gradients = [*islice(found, len(derivative.gradients))]
            derivative.program = whole.part([*self.inputs, derivative.seed], gradients)

    def _differentiate(self, data: list[Any]) -> list[Any]:
        """Find how results depend on variables; of a single number its gradients are computed."""
        sources = {
            number: source
            for number, source in enumerate(self.results.sources)
            if isinstance(source, Computed) and source.node is not None
            if source.node.args is not None  # not freed by tc.gradients
        }
        if sources and any(map(_is_variable, self.assigned)):
            raise UntraceableError("it changes a variable and returns what depends on one")
        if len(sources) == 1:
            [(number, source)] = sources.items()
            if data[source.number].size == 1:
                seed = np.ones_like(data[source.number])
                derivative = self.derivatives[number] = Derivative(self, source, seed)
                self.leaves = derivative.leaves
                return derivative.gradients
        self.derivatives = {n: Derivative(self, source) for n, source in sources.items()}
        return []

    def _check_views(self, count: int) -> None:
        """Refuse results that are, or show a part of, an array that the program writes to."""
        inputs = [self.inputs[number] for number in self.aliases.values()]
        for output in self.program.outputs[:count]:
            while isinstance(output, Symbol) and output.operation is not None:
                if output.operation.name not in _VIEWS:
                    break
                output = output.operation.args[0]
            if any(output is symbol for symbol in inputs):
                raise UntraceableError("it returns values of an array that it changes")
        arrays = [(t, t.data) for t in self.tracer.parameters.values() if t.data.shape]
        arrays += [(a, a) for a in self.tracer.constants.values()]
        given = zip(self._given, self.arguments, strict=True)
        arrays += [(g, self.tracer.values[s]) for g, s in given if s.shape]
        for tensor in self.assigned:
            for other, array in arrays if is_in_place(tensor, self.tracer) else ():
                if other is not tensor and np.may_share_memory(array, _array_of(tensor, self)):
                    raise UntraceableError("it changes an array that it also knows otherwise")

    def _aliases(self, first: int) -> dict[int, int]:
        """For each output that becomes the values of an array in place the input it was."""
        tracer = self.tracer
        inputs = {
            id(tensor): number
            for number, tensor in enumerate(tracer.parameters.values(), len(self.arguments))
        }
        return {
            number: inputs[id(tensor)]
            for number, tensor in enumerate(self.assigned, first)
            if is_in_place(tensor, tracer) and id(tensor) in inputs
        }

    def _check_captured(self) -> None:
        """Refuse arrays that the function made itself: they may be others in the next call."""
        held: list[tuple[Symbol, Any]] = [*self.tracer.constants.items()]
        held += [
            (symbol, tensor)
            for symbol, tensor in self.tracer.parameters.items()
            if tensor.data.shape and not getattr(tensor, "in_place", False)
            if id(tensor) not in self.surroundings.known
        ]
        for symbol, owned in held:
            if sys.getrefcount(owned) <= _HOLDERS:
                line = _first_use(self.tracer, symbol)
                raise UntraceableError(
                    f"an array of shape {symbol.shape} that the function makes itself is used"
                    f"{line}: give it as an argument, or make it with functions of Tensors"
                )

    @property
    def gradient_symbols(self) -> list[Any]:
        """Of the program's outputs those that are gradients."""
        outputs, gradients = self.counts
        return self.program.outputs[outputs : outputs + gradients]

    def arrays(self, leaves: Sequence[Any]) -> list[Any]:
        """The inputs of the program in this call."""
        return self.reading.arrays(leaves) + self.reading.draws()

    def settled(self) -> bool:
        """Whether settings are such that the recorded decisions about them hold."""
        return all(decide() == decided for decide, decided in self.tracer.conditions)

    def real(self, nodes: Collection[Node], leaves: Sequence[Any]) -> Collection[Node]:
        """The vertices that those of the trace stand for in a call."""
        if not self._has_given_nodes:
            return nodes
        pairs = zip(self.given_nodes, leaves, strict=True)
        own = {given: leaf.node for given, leaf in pairs if given is not None}
        return [own.get(node, node) for node in nodes]

    def fingerprint(self) -> Any:
        """What must be the same when the function is recorded again."""
        number = {symbol: i for i, symbol in enumerate(self.program.inputs)}
        lines = []
        for operation in self.program.operations:
            lines.append(
                (operation.name, _plain(operation.args, number), _plain(operation.params, number))
            )
            number[operation.result] = len(number)
        tracer, known = self.tracer, self.surroundings.known
        read = [
            id(t) if id(t) in known or isinstance(t.data, AnySymbol) else _plain(t.data, number)
            for t in tracer.parameters.values()
            if not getattr(t, "in_place", False)
        ]
        state = (
            read,
            [id(array) for array in tracer.constants.values()],
            [id(t) for t in self.assigned if id(t) in known],
            [self._place(node) for node in self.leaves],
            len(tracer.actions),
            [_described(source) for source in self.results.sources],
        )
        return lines, _plain(tuple(self.program.outputs), number), self.structure, state

    def _place(self, node: Node) -> Any:
        """What stands for a variable in two traces: the number of the argument, or itself."""
        return self.given_nodes.index(node) if node in self.given_nodes else id(node)


_VIEWS = ("reshape", "transpose", "getitem", "flip", "crop", "broadcast_to", "sum_to")


def _is_variable(tensor: Tensor) -> bool:
    return tensor.node is not None


def _array_of(tensor: Tensor, trace: Trace) -> Any:
    """The array of a Tensor, or of the argument that it stands for, while it is traced."""
    data = tensor.data
    return trace.tracer.values[data] if isinstance(data, Symbol) else data


def _described(source: Any) -> Any:
    """A result, as it must be again: constants by their values, the rest by their kinds."""
    if isinstance(source, (Itself, Fresh)):
        return type(source).__name__, _plain(_data(source.value), {})
    return type(source).__name__


def _data(leaf: Any) -> Any:
    return leaf.data if isinstance(leaf, Tensor) else leaf


def _first_use(tracer: Tracer, symbol: Symbol) -> str:
    for operation in tracer.operations:
        if any(operand is symbol for operand in operation.operands()):
            return f" at {operation.source}" if operation.source else ""
    return ""


def _plain(value: Any, number: dict[Symbol, int]) -> Any:
    if isinstance(value, Symbol):
        return ("%", number.get(value, -1))
    if isinstance(value, (tuple, list)):
        return tuple(_plain(item, number) for item in value)
    if isinstance(value, dict):
        return tuple((key, _plain(item, number)) for key, item in sorted(value.items()))
    if isinstance(value, (np.ndarray, np.generic)):
        return (value.shape, value.dtype.str, value.tobytes())
    return repr(value)


def is_in_place(tensor: Tensor, tracer: Tracer) -> bool:
    """Whether new values are written into the Tensor's array, as optimisers do."""
    if getattr(tensor, "in_place", False) or id(tensor) in tracer.written:
        return True
    return isinstance(tensor.node, Leaf) and isinstance(tensor.data, np.ndarray)
