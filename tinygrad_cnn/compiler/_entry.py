"""What each call of a compiled function does with its program."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._core.node import Leaf, Node
from .._core.symbol import Symbol as AnySymbol
from .._core.tensor import Tensor, wrap
from ..typing import Array
from ._gradient import freed, vertex
from ._program import Runner
from ._results import Computed
from ._signature import rebuild
from ._trace import Trace, is_in_place
from ._tracer import Tracer


class FailedError(Exception):
    """A program raised an error; the function as written says it better."""

    def __init__(self, draws: list[Any]) -> None:
        super().__init__()
        self.draws = draws


class Entry:
    """A trace with its program made ready to run.

    Attributes:
        executor: the name of what runs it.
        declined: why the executors before it do not.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        trace: Trace,
        runner: Runner,
        executor: str,
        declined: Sequence[str],
        compiled: Any,
    ) -> None:
        self.function, self.trace, self.runner, self.executor = function, trace, runner, executor
        self.declined = declined
        self.compiled = compiled
        self.surroundings = trace.surroundings
        self.calls = 0
        self._keeps_apart = getattr(runner, "keeps_apart", False)
        self._sort()

    def _sort(self) -> None:
        """Sort what is done before and after each run."""
        trace, tracer = self.trace, self.trace.tracer
        actions = tracer.actions
        split = actions.index(None) if None in actions else len(actions)
        self._beginning: list[Any] = actions[:split]
        self._ending: list[Any] = [*tracer.after, *actions[split + 1 :]]
        # The Tensors that get new values, with the numbers of outputs and of inputs.
        assigned = list(enumerate(trace.assigned, sum(trace.counts)))
        aliases = trace.aliases
        self._written = [(n, aliases[n], t) for n, t in assigned if n in aliases]
        self._variables = [t for _, _, t in self._written if t.node is not None]
        rest = [(n, t) for n, t in assigned if n not in aliases]
        self._replaced = [(n, t, t.data.shape) for n, t in rest if _is_replaced(t, tracer)]
        self._assigned = [(n, t) for n, t in rest if not _is_replaced(t, tracer)]

    def is_valid(self) -> bool:
        """Whether all that the trace has taken for given is as it was."""
        return self.surroundings.unchanged() and self.trace.settled()

    def __call__(self, arrays: list[Any], leaves: Sequence[Any], structure: Any) -> Any:
        """Run the program; ``arrays`` are what its reading gives, ``leaves`` the arguments."""
        trace = self.trace
        for action in self._beginning:
            action()
        if self._beginning:
            arrays = trace.reading.arrays(leaves)
        arrays += trace.reading.draws()
        cleared = trace.real(trace.tracer.cleared, leaves)
        if self._keeps_apart:  # native code does not fail, and may use their arrays again
            _clear(cleared)
        made = self._run(arrays)
        outputs, gradients = trace.counts
        grads = made[outputs : outputs + gradients]
        self._assign(made, arrays, leaves)
        if not self._keeps_apart:
            _clear(cleared)
        if trace.is_step:
            _accumulate(trace.real(trace.leaves, leaves), grads)
        for finish in self._ending:
            finish()

        def tensor_of(number: int, source: Computed, value: Any) -> Tensor:
            if source.node is None:
                return wrap(value, None)
            if number not in trace.derivatives:
                return wrap(value, freed(trace, source, value, leaves))
            known = None if trace.derivatives[number].seed is not None else grads
            return wrap(value, vertex(self, number, value, known, arrays, leaves, structure))

        results = trace.results.values(made, leaves, tensor_of)
        return rebuild(trace.structure, results.__getitem__)

    def _run(self, arrays: list[Any]) -> list[Any]:
        """The outputs of the program."""
        try:
            made = self.runner(arrays)
        except Exception as error:
            if self._beginning:
                raise
            draws = arrays[len(arrays) - len(self.trace.tracer.draws) :]
            raise FailedError(draws) from error
        return made if self._keeps_apart else _apart(made, arrays, self.trace.aliases)

    def _assign(self, made: list[Any], arrays: list[Any], leaves: Sequence[Any]) -> None:
        """Give variables and buffers their new values."""
        tracer = self.trace.tracer
        moved = [(t, made[n]) for n, source, t in self._written if made[n] is not arrays[source]]
        for tensor, value in moved:  # not written to where it is
            _assign(tensor, value, tracer)
        for tensor in self._variables:
            tensor.mark_changed()
        for number, tensor, shape in self._replaced:
            tensor.data = made[number] if shape else made[number][()]
        for number, tensor in self._assigned:
            _assign(_given(tensor, tracer, leaves), made[number], tracer)


def _clear(nodes: Iterable[Node]) -> None:
    for node in nodes:
        node.grad = None


def _accumulate(nodes: Iterable[Node], gradients: list[Any]) -> None:
    """Let variables keep their gradients."""
    for node, gradient in zip(nodes, gradients, strict=True):
        kept = node.grad
        node.grad = wrap(gradient if kept is None else kept.data + gradient, None)


def _apart(made: list[Any], inputs: Sequence[Any], aliases: Mapping[int, int]) -> list[Any]:
    """Results in arrays of their own: who changes one shall not change another, or an input."""
    owners: dict[int, list[Any]] = {}
    for array in inputs:
        if isinstance(array, np.ndarray):
            owners.setdefault(id(_owner(array)), []).append(array)
    apart = list(made)
    for number, array in enumerate(made):
        if not isinstance(array, np.ndarray) or number in aliases:
            continue
        others = owners.setdefault(id(_owner(array)), [])
        if not array.flags.writeable or any(np.may_share_memory(array, o) for o in others):
            apart[number] = array.copy(order="K")
        others.append(array)
    return apart


def _owner(array: Any) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _is_replaced(tensor: Tensor, tracer: Tracer) -> bool:
    """Whether a Tensor is no variable and takes another array as its new value."""
    return (
        not isinstance(tensor.data, AnySymbol)
        and not isinstance(tensor.node, Leaf)
        and not is_in_place(tensor, tracer)
    )


def _given(tensor: Tensor, tracer: Tracer, leaves: Sequence[Any]) -> Tensor:
    """The argument that a Tensor of the trace stands for, or it itself."""
    if isinstance(tensor.data, AnySymbol):
        found: Tensor = leaves[next(i for i, g in enumerate(tracer.given) if g is tensor)]
        return found
    return tensor


def _assign(tensor: Tensor, value: Array, tracer: Tracer) -> None:
    """Give a Tensor its new value: a variable's array is written to, as optimisers do."""
    if isinstance(value, np.ndarray) and not value.shape:
        value = value[()]
    if is_in_place(tensor, tracer) and isinstance(tensor.data, np.ndarray):
        if value is not tensor.data:
            np.copyto(tensor.data, value)
        tensor.mark_changed()
    else:
        tensor.data = value
