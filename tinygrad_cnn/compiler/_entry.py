"""What each call of a compiled function does with its program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

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

    def is_valid(self) -> bool:
        """Whether all that the trace has taken for given is as it was."""
        return self.surroundings.unchanged() and self.trace.settled()

    def __call__(self, leaves: Sequence[Any], structure: Any) -> Any:
        trace, tracer = self.trace, self.trace.tracer
        actions = tracer.actions
        split = actions.index(None) if None in actions else len(actions)
        for action in actions[:split]:
            action()  # type: ignore[misc]
        arrays = trace.arrays(leaves)
        try:
            made = self.runner(arrays)
        except Exception as error:
            if split:
                raise
            raise FailedError([*arrays[len(arrays) - len(tracer.draws) :]]) from error
        outputs, gradients = trace.counts
        if not getattr(self.runner, "keeps_apart", False):
            made = _apart(made, arrays, trace.aliases)
        found, grads = made[:outputs], made[outputs : outputs + gradients]
        for tensor, value in zip(trace.assigned, made[outputs + gradients :], strict=True):
            _assign(_given(tensor, tracer, leaves), value, tracer)
        if trace.is_step:
            for node in tracer.cleared:
                trace.real(node, leaves).grad = None
            for leaf, gradient in zip(trace.leaves, grads, strict=True):
                node = trace.real(leaf, leaves)
                node.grad = wrap(gradient if node.grad is None else node.grad.data + gradient, None)
        for finish in tracer.after:
            finish()
        for action in actions[split + 1 :]:
            action()  # type: ignore[misc]

        def tensor_of(number: int, source: Computed, value: Any) -> Tensor:
            if source.node is None:
                return wrap(value, None)
            if number not in trace.derivatives:
                return wrap(value, freed(trace, source, value, leaves))
            known = None if trace.derivatives[number].seed is not None else grads
            return wrap(value, vertex(self, number, value, known, arrays, leaves, structure))

        results = trace.results.values(found, leaves, tensor_of)
        return rebuild(trace.structure, results.__getitem__)


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
