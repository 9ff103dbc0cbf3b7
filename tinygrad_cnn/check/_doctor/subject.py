"""What is examined: a reference, its inputs, and a gradient that somebody derived by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..._core.tensor import Tensor, as_tensor, raw
from ...errors import ArgumentError
from ...typing import Array
from .._trace import Trace

Gradients = dict[str, Array]


@dataclass(frozen=True)
class Situation:
    """Inputs and upstream gradient under which reference and hand are compared."""

    arrays: dict[str, Array]
    upstream: Array | None
    about: str = "your inputs"

    def copies(self) -> list[Array]:
        """Fresh copies, which the code under examination may do with what it likes."""
        return [np.array(array) for array in self.arrays.values()]


class Subject:
    """A reference and a hand-written backward, ready to be called in any situation.

    Attributes:
        names: of all inputs, in order; ``floating`` those that are differentiated.
        given: the situation that the user described.
        callable: whether the hand-written side can be called again.
    """

    def __init__(
        self,
        reference: Callable[..., Any],
        inputs: Mapping[str, Any] | Sequence[Any],
        hand: Any,
        forward: Callable[..., Any] | None,
        upstream: Any,
    ) -> None:
        self.reference, self.hand, self.forward = reference, hand, forward
        self.callable = callable(hand)
        arrays = {
            name: np.array(raw(as_tensor(value)))
            for name, value in named_inputs(reference, inputs).items()
        }
        self.names = list(arrays)
        self.floating = [name for name, array in arrays.items() if array.dtype.kind == "f"]
        self.given = Situation(arrays, None if upstream is None else np.array(raw(upstream)))

    def trace(self, situation: Situation) -> Trace:
        """The reference, recorded."""
        arrays = list(situation.arrays.values())
        return Trace(self.reference, arrays, situation.upstream, self.names)

    def by_hand(self, situation: Situation, trace: Trace) -> Gradients:
        """What the hand-written side says, by input name."""
        if not self.callable:
            return self._by_name(self.hand)
        return self.call(situation.copies(), np.array(trace.upstream))

    def call(self, copies: list[Array], upstream: Array) -> Gradients:
        """Call the hand-written side with these very arrays."""
        dout = float(upstream) if upstream.ndim == 0 else upstream
        if self.forward is None:
            return self._by_name(self.hand(dout, *copies))
        _, cache = self.forward(*copies)
        return self._by_name(self.hand(dout, cache))

    def forward_output(self, situation: Situation) -> Array | None:
        """What the hand-written forward computes."""
        if self.forward is None:
            return None
        return np.asarray(self.forward(*situation.copies())[0])

    def _by_name(self, result: Any) -> Gradients:
        if isinstance(result, Mapping):
            unknown = set(result) - set(self.names)
            if unknown:
                raise ArgumentError(
                    f"diagnose: hand names {sorted(unknown)}, the inputs are {self.names}"
                )
            pairs = dict(result)
        else:
            parts = list(result) if isinstance(result, (tuple, list)) else [result]
            if len(parts) == len(self.floating):
                pairs = dict(zip(self.floating, parts, strict=True))
            elif len(parts) == len(self.names):
                pairs = dict(zip(self.names, parts, strict=True))
            else:
                raise ArgumentError(
                    f"diagnose: hand gave {len(parts)} gradients for the {len(self.floating)}"
                    f" floating-point inputs {self.floating}; give None for one that has none, name"
                    " them in a dict, or let labels be integers"
                )
        return {
            name: np.asarray(value.data if isinstance(value, Tensor) else value)
            for name, value in pairs.items()
            if value is not None and name in self.floating
        }


def named_inputs(reference: Callable[..., Any], inputs: Any) -> dict[str, Any]:
    """The inputs by name: their own, or those of the reference's parameters."""
    if isinstance(inputs, Mapping):
        return dict(inputs)
    values = list(inputs) if isinstance(inputs, (tuple, list)) else [inputs]
    try:
        names = list(inspect.signature(reference).parameters)
    except (TypeError, ValueError):
        names = []
    if len(names) < len(values) or "args" in names:
        names = [f"input {number}" for number in range(len(values))]
    return dict(zip(names, values, strict=False))
