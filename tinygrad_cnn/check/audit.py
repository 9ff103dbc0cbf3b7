"""Run a training step and report what breaks in it without an error."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import numpy as np

from .. import nn
from .._arguments import whole
from .._core.tensor import Tensor
from ._audit import gradients, values
from ._audit.checksum import checksum
from ._audit.evidence import Input
from ._audit.hooks import watching
from ._audit.report import Audit, AuditFinding, LayerGradient
from ._audit.state import Snapshot
from ._audit.tracing import tracing
from ._audit.witness import Witness

__all__ = ["Audit", "AuditFinding", "LayerGradient", "audit"]

_CHECKS = (
    gradients.detached,
    gradients.cut_off,
    gradients.missing,
    values.saved_changed,
    values.input_mutated,
    gradients.accumulated,
    values.wrong_mode,
    values.dead_relu,
    gradients.by_layer,
)


def audit(
    step: Callable[[], Any],
    *,
    model: nn.Module | None = None,
    calls: int = 2,
    restore: bool = True,
) -> Audit:
    """Run a training step and report its silent breaks, with file and line.

    Found are: parameters that never get a gradient, and why; values that leave the graph
    (``.data``, ``.numpy()``, ``numpy.asarray``, ``.detach()``, ``tc.tensor``) and come back as
    constants; saved arrays changed between forward and backward; inputs changed; gradients that
    add up over steps; dropout and batch norm in the wrong mode; dead relus; gradients that
    vanish or explode. What is read for a log, and what is computed under ``no_grad``, is not
    reported; nor is a constant whose gradient is zero, such as the shift of a softmax.

    The step really runs. Afterwards parameters, gradients, buffers, modes, generators, and every
    optimiser and schedule that stepped are put back, also where the step raised; what the step
    itself keeps, such as its place in a data loader, is not. Meanwhile, on this thread, the
    engine's attributes are replaced by ones that listen, and floating-point data read from
    recorded Tensors are of a subclass of ndarray.

    Args:
        step: does forward, loss, backward and update, without arguments.
        model: whose parameters shall be checked; those that optimisers hold are besides.
        calls: how often to run the step; gradients that add up show in the second call.
        restore: whether to put things back; without it the model stays trained.

    Raises:
        ArgumentError: ``calls`` is below 1.
        GraphError: another audit is running.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> model = tc.nn.Linear(2, 2)
    >>> sgd = tc.optim.SGD(model.parameters(), lr=0.1)
    >>> def step():
    ...     tc.functional.cross_entropy(model(np.eye(2, dtype=np.float32)), [0, 1]).backward()
    ...     sgd.step()
    >>> print(tc.check.audit(step, model=model).findings[0].message)
    backward adds to the gradients of the step before, which were used already: weight, bias
    """
    whole("audit", "calls", calls)
    snapshot = Snapshot(model)
    witness = Witness(snapshot, model.parameters() if model else ())
    try:
        with watching(witness):
            for _ in range(calls):
                _run(step, witness)
        walks = [walk for call in witness.calls for walk in call.walks]
        layers = gradients.layers(walks[-1]) if walks else ()
        return Audit(tuple(_findings(witness)), layers, calls)
    finally:
        if restore:
            snapshot.restore()


def _run(step: Callable[[], Any], witness: Witness) -> None:
    suspects = witness.suspects
    witness.new_call(_held_arrays(step))
    with tracing(suspects) as lines:
        step()
    witness.end_call(lines)


def _findings(witness: Witness) -> Iterator[AuditFinding]:
    """What all checks find; one line is detached once, by the check with the closest evidence."""
    detached = set()
    for finding in (finding for check in _CHECKS for finding in check(witness)):
        if finding.kind != "detached" or finding.where not in detached:
            yield finding
        if finding.kind == "detached":
            detached.add(finding.where)


def _held_arrays(step: Callable[[], Any]) -> list[Input]:
    """The arrays and constant Tensors that a function knows by name; used where they are."""
    function = getattr(step, "__func__", step)
    if not isinstance(function, FunctionType):
        return []
    known = inspect.getclosurevars(function)
    owner = getattr(getattr(step, "__self__", None), "__dict__", {})
    names = {**known.globals, **known.nonlocals, **owner}
    return [
        Input(name, array, checksum(array), None, used=False)
        for name, value in names.items()
        for array in _arrays(value)
    ]


def _arrays(value: Any) -> Iterator[Any]:
    for item in value if isinstance(value, (list, tuple)) else (value,):
        data = item.data if isinstance(item, Tensor) and item.node is None else item
        if isinstance(data, np.ndarray):
            yield data
