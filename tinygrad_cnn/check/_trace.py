"""One recorded call of a function, to be differentiated again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._core.backprop import Local, Visit, backpropagate, consumers_first
from .._core.context import enable_grad
from .._core.node import Node
from .._core.tensor import Tensor, as_tensor
from ..errors import DtypeError, GraphError, ShapeError
from ..typing import Array


class Trace:
    """A function recorded on float64 copies of its inputs.

    Attributes:
        inputs: the variables, one for each floating-point input; None for the others.
        output: the recorded result.
        upstream: the gradient of a loss by the output, from which every walk starts.
        nodes: the recorded operations and variables, oldest first.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        inputs: Sequence[Any],
        upstream: Any = None,
        names: Sequence[str] | None = None,
    ) -> None:
        arrays = [np.asarray(as_tensor(x).data) for x in inputs]
        labels = names or [f"input {number}" for number in range(len(arrays))]
        self.inputs = [
            Tensor(np.array(x, np.float64), requires_grad=True, name=label)
            if x.dtype.kind == "f"
            else None
            for x, label in zip(arrays, labels, strict=True)
        ]
        operands = [a if v is None else v for a, v in zip(arrays, self.inputs, strict=True)]
        if not callable(f):
            raise DtypeError(f"expected a function, got {f!r:.60}")
        with enable_grad():
            self.output: Tensor = as_tensor(f(*operands))
        if self.output.node is None:
            raise GraphError("the result does not depend on any floating-point input")
        if upstream is None:
            upstream = np.ones(self.output.shape)
        self.upstream = np.asarray(as_tensor(upstream).data, np.float64)
        if self.upstream.shape != self.output.shape:
            raise ShapeError(
                f"upstream has shape {self.upstream.shape}, the output {self.output.shape}"
            )
        self.nodes: list[Node] = consumers_first([self.output.node])[::-1]

    def gradients(
        self, local: Local | None = None, visit: Visit | None = None, upstream: Any = None
    ) -> list[Array | None]:
        """The gradient by every input, with other rules if ``local`` is given.

        None stands for an input that is not floating point; zeros for one without influence.
        """
        seed = self.upstream if upstream is None else np.asarray(upstream, np.float64)
        found = backpropagate(
            {self.output.node: seed[()]},  # type: ignore[dict-item]
            retain_graph=True,
            local=local,
            visit=visit,
        )
        return [
            None if v is None else np.asarray(found.get(v.node, np.zeros(v.shape)))  # type: ignore[arg-type]
            for v in self.inputs
        ]
