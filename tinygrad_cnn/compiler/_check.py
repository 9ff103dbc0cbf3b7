"""The first run of a program beside what its primitives compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import GraphError
from ._program import Runner

if TYPE_CHECKING:
    from ._trace import Trace

# Of the largest value of a result: rounding, and what it decides in pools where two pixels of a
# window are equal but for it.
_TOLERANCE = {4: 2e-2, 8: 1e-9}
# Of the largest gradient: gradients that are smaller, such as that of a bias before batch norm,
# which is zero, are compared with this.
_ROUNDED = 1e-3


class Checked:
    """Runs a program, and the first time also the plain one; both must agree.

    Args:
        runner: what is to be checked.
        trace: what it runs.
        plain: the same function, recorded as primitives.
        leaves: the arguments of this call.
    """

    def __init__(self, runner: Runner, trace: Trace, plain: Trace, leaves: Sequence[Any]) -> None:
        self.runner, self.trace, self.plain = runner, trace, plain
        self.leaves: Sequence[Any] | None = leaves

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        """The results.

        Raises:
            GraphError: the first run differs from eager mode.
        """
        if self.leaves is None:
            return self.runner(arrays)
        expected = self.plain.program(*self._inputs(arrays))
        found = self.runner(arrays)
        outputs, gradients = self.trace.counts
        steepest = max(map(_largest, expected[outputs : outputs + gradients]), default=0.0)
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            least = _ROUNDED * steepest if number >= outputs else 0.0
            self._compare(number, np.asarray(one), np.asarray(other), least)
        self.leaves = None
        return found

    def _inputs(self, arrays: Sequence[Any]) -> list[Any]:
        """The plain program's inputs: the same values, in its own order."""
        given = dict(zip(self.trace.program.inputs, arrays, strict=True))
        ours, plain = self.trace.tracer, self.plain.tracer
        by_tensor = {id(tensor): given[symbol] for symbol, tensor in ours.parameters.items()}
        draws = [given[symbol] for symbol in ours.draws]
        tensors = (by_tensor.get(id(t), t.data) for t in plain.parameters.values())
        arguments = [given[symbol] for symbol in self.trace.arguments]
        return [*arguments, *tensors, *plain.constants.values(), *draws]

    def _compare(self, number: int, found: Any, expected: Any, least: float) -> None:
        """``least`` is a size of which only rounding is seen."""
        if not expected.size:
            return
        if expected.dtype.kind != "f":
            same = np.array_equal(found, expected)
            worst = 0.0 if same else 1.0
        else:
            scale = max(_largest(expected), least) or 1.0
            worst = float(np.max(np.abs(found - expected), initial=0.0)) / scale
            same = worst <= _TOLERANCE[expected.dtype.itemsize]
            same |= bool(np.array_equal(found, expected, equal_nan=True))
        if not same:
            raise GraphError(
                f"the compiled function differs from eager mode: {self._name(number)} of shape"
                f" {expected.shape} by {worst:.1e} of its largest value"
            )

    def _name(self, number: int) -> str:
        outputs, gradients = self.trace.counts
        if number < outputs:
            return f"result {number}"
        if number < outputs + gradients:
            leaf: Any = self.trace.leaves[number - outputs]
            return f"the gradient of {leaf.name or 'a variable'}"
        return "the new value of a buffer"


def _largest(array: Any) -> float:
    return float(np.max(np.abs(array), initial=0.0))
