"""What an audit concludes about values: changed in place, dead units, the wrong mode."""

from __future__ import annotations

from collections.abc import Iterator

from ... import nn
from .._places import place
from .evidence import ModeUse, Units
from .report import AuditFinding
from .witness import Witness

# A unit whose input is symmetric about zero is silent for one example with probability 1/2.
# Independent examples halve this each; examples that are all alike keep it. More than half of
# the units silent for all of several examples is neither.
DEAD_SHARE, DEAD_EXAMPLES = 0.5, 8


def saved_changed(witness: Witness) -> Iterator[AuditFinding]:
    """Arrays that backward needed, but that were not what they had been."""
    seen = set()
    for change in (change for call in witness.calls for change in call.changes):
        where = change.by.where if change.by else change.node.source
        if (change.what, where) in seen:
            continue
        seen.add((change.what, where))
        how = f", last through {change.by.how}" if change.by else ""
        message = f"{change.what} was changed in place between forward and backward{how}"
        fix = "make a new Tensor (tc.where, tc.scatter_add), or change it after backward"
        yield AuditFinding("saved_changed", message, where, fix, {"elements": change.array.size})


def input_mutated(witness: Witness) -> Iterator[AuditFinding]:
    """Arrays that the step was given and did not leave as they were."""
    seen = set()
    for held, where in (hit for call in reversed(witness.calls) for hit in call.mutated):
        if held.name not in seen:  # the last call knows the line best
            seen.add(held.name)
            message = f"{held.name}, shape {held.array.shape}, is changed by the step"
            fix = "x = x / 255 makes a new array, x /= 255 changes the caller's: so does x[...] ="
            yield AuditFinding("input_mutated", message, where, fix, {"elements": held.array.size})


def dead_relu(witness: Witness) -> Iterator[AuditFinding]:
    """Relus most of whose units are silent."""
    for units in witness.units.values():
        dead = int((~units.alive).sum())
        if units.examples >= DEAD_EXAMPLES and dead > DEAD_SHARE * units.alive.size:
            yield _dead(units, dead)


def _dead(units: Units, dead: int) -> AuditFinding:
    message = (
        f"{dead} of {units.alive.size} units of {place(units.node)} are zero for all"
        f" {units.examples} examples: no gradient passes them"
    )
    fix = "a smaller learning rate, kaiming_ init, no large negative bias, or leaky_relu"
    numbers = {"share": dead / units.alive.size, "examples": units.examples}
    return AuditFinding("dead_relu", message, units.node.source, fix, numbers)


def wrong_mode(witness: Witness) -> Iterator[AuditFinding]:
    """Dropout and batch norm that do in training what is for evaluation, or the reverse."""
    found: dict[tuple[str, nn.Module], ModeUse] = {}
    for call in witness.calls:
        graph = call.graph
        for use in call.modes:
            if not _mode_matters(use.module):
                continue
            if use.recording and not use.training and use.node in graph:
                found["eval_in_training", use.module] = use
            elif not use.recording and use.training:
                found["training_in_evaluation", use.module] = use
    for (kind, module), use in found.items():
        name = f"{module._path or 'a layer'} ({type(module).__name__})"
        if kind == "eval_in_training":
            message = f"{name} is in eval mode in a step that runs backward"
            fix = "model.train() before the step"
        else:
            message = f"{name} is in training mode under no_grad"
            fix = "model.eval() before evaluation, model.train() after it"
        yield AuditFinding(kind, message, use.where, fix)


def _mode_matters(module: nn.Module) -> bool:
    if isinstance(module, nn.Dropout):
        return module.p > 0
    if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
        return module.running_mean is not None
    return False
