"""What an audit concludes about gradients: missing, cut off, stale, vanishing, exploding."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..._core.node import Leaf, Node, SourceLine
from ..._core.tensor import Tensor
from .._places import operation, place
from .evidence import Backward, Call, Weights
from .report import AuditFinding, LayerGradient
from .witness import Witness

# A layer trains well where a step changes it by about 1/1000 of itself (the CS231n notes on
# training). If the layer next to the loss does, one whose gradient is relatively 1/10,000 of
# that changes by 1e-7 of itself, which float32 rounds away. A gradient of 1,000 times the weight
# replaces it even at a learning rate of 1/1000.
VANISHING, EXPLODING = 1e-4, 1e3

_CANCELLED = 1e-4  # of the largest summand: what float32 sums leave where they should be zero
_NUMPY_READS = {".data", ".numpy()", "numpy.asarray()", ".detach()", "tc.tensor()"}


class Reason(NamedTuple):
    """Why no gradient arrives."""

    text: str
    where: SourceLine | None
    fix: str
    detached: bool = False


# -- no gradient ---------------------------------------------------------------------------


def missing(witness: Witness) -> Iterator[AuditFinding]:
    """Parameters that no backward reached, one finding for each reason."""
    for reason, names in _starved(witness).items():
        message = f"{', '.join(names)} never got a gradient: {reason.text}"
        numbers = {"parameters": len(names)}
        yield AuditFinding("no_gradient", message, reason.where, reason.fix, numbers)


def cut_off(witness: Witness) -> Iterator[AuditFinding]:
    """Reads behind which the only path from a parameter to the loss ends."""
    for reason, names in _starved(witness).items():
        if reason.detached:
            message = f"no gradient returns to {', '.join(names)}: {reason.text}"
            yield AuditFinding("detached", message, reason.where, reason.fix)


def _starved(witness: Witness) -> dict[Reason, list[str]]:
    """The parameters without a gradient, by reason."""
    received = {node for call in witness.calls for walk in call.walks for node in walk.received}
    starved: dict[Reason, list[str]] = {}
    for number, parameter in enumerate(witness.parameters):
        if parameter.node not in received:
            name = parameter.name or f"parameter {number} of shape {parameter.shape}"
            starved.setdefault(_reason(parameter, witness.call), []).append(name)
    return starved


def _reason(parameter: Tensor, call: Call) -> Reason:
    leaf = parameter.node
    if leaf is None:
        fix = "requires_grad = True, or leave it out of the optimiser"
        return Reason("its requires_grad is False", None, fix)
    if not call.walks:
        return Reason("the step calls no backward", None, "loss.backward() before the update")
    if not any(leaf in node.parents for node in call.nodes):
        return _reason_unused(parameter, leaf, call)
    reached = {leaf}
    for node in call.nodes:  # oldest first
        if not reached.isdisjoint(node.parents):
            reached.add(node)
    graph = call.graph
    blocked = [node for node in call.nodes if node in graph and _blocks(node, reached)]
    if blocked:
        text = f"{place(blocked[-1])} passes no gradient on"
        return Reason(text, blocked[-1].source, "use an operation that has a gradient")
    if leaf in graph:
        fix = "ask for its gradient too, or call backward"
        return Reason("only the gradients of others were asked for", call.walks[-1].where, fix)
    return _reason_cut(reached, call)


def _reason_unused(parameter: Tensor, leaf: Node, call: Call) -> Reason:
    access = call.reads.get(leaf)
    if access is not None:
        text = f"only its values are used, read with {access.how}"
        fix = "compute with the Tensor itself"
        return Reason(text, access.where, fix, detached=access.how in _NUMPY_READS)
    if id(parameter.data) in call.unrecorded:
        where = call.unrecorded[id(parameter.data)]
        return Reason("it is used under no_grad only", where, "leave the no_grad block")
    return Reason("the step does not use it", None, "use it in forward, or remove it")


def _blocks(node: Node, reached: set[Node]) -> bool:
    """Whether a gradient stops at this node on its way to what was reached."""
    indices = [i for i, parent in enumerate(node.parents) if parent in reached]
    return any(node.primitive.rule(i) is None for i in indices) if node.primitive else False


def _reason_cut(reached: set[Node], call: Call) -> Reason:
    """The parameter is used, but what is made of it never arrives at the loss."""
    ages = sorted(reached, key=lambda node: node.age, reverse=True)
    read = next((node for node in ages if node in call.reads), None)
    if read is None:
        text = f"what is made of it ends with {place(ages[0])}, which the loss does not use"
        return Reason(text, ages[0].source, "use the result in the loss, or remove the branch")
    access = call.reads[read]
    text = f"its path to the loss ends at {place(read)}, read with {access.how}"
    if access.how not in _NUMPY_READS:
        fix = "no gradient goes through this: use a smooth function of the Tensor"
        return Reason(text, access.where, fix)
    fix = "compute with Tensors and the functions of tinygrad_cnn all the way"
    return Reason(text, access.where, fix, detached=True)


# -- cut off, stale ------------------------------------------------------------------------


def detached(witness: Witness) -> Iterator[AuditFinding]:
    """Values that left the graph and came back as constants, and a gradient that they miss."""
    seen = set()
    lost = [one for call in witness.calls for walk in call.walks for one in walk.lost.values()]
    for one in lost:
        origin, size = one.origin, float(np.abs(one.gradient).max(initial=0.0))
        # the shift of a softmax cancels out: nothing is lost
        if size <= _CANCELLED * one.scale or origin.where in seen:
            continue
        seen.add(origin.where)
        message = (
            f"{place(origin.node)}, read with {origin.how}, comes back as a constant in"
            f" {place(one.node)}: its gradient is lost"
        )
        fix = "compute with the Tensor itself; where the stop is meant, under tc.no_grad()"
        numbers = {"largest element lost": size}
        yield AuditFinding("detached", message, origin.where, fix, numbers)


def accumulated(witness: Witness) -> Iterator[AuditFinding]:
    """Gradients added to those of an earlier step."""
    found = [hit for call in witness.calls for hit in call.accumulated]
    for stale, where in found[:1]:
        leaves = sorted(stale, key=lambda leaf: leaf.age)
        message = (
            f"backward adds to the gradients of the step before, which were used already:"
            f" {', '.join(map(operation, leaves))}"
        )
        fix = "optimizer.zero_grad() before loss.backward()"
        yield AuditFinding("accumulated", message, where, fix, {"parameters": len(leaves)})


# -- by layer ------------------------------------------------------------------------------


def layers(walk: Backward) -> tuple[LayerGradient, ...]:
    """The matrices and kernels of a graph, from the input to the loss; not the biases."""
    rows = _matrices(walk)
    ratios = [w.gradient / w.values for w in rows]
    last = ratios[-1] if ratios else 0.0
    return tuple(
        LayerGradient(operation(w.leaf), w.gradient, w.values, r, r / last if last else math.nan)
        for w, r in zip(rows, ratios, strict=True)
    )


def _matrices(walk: Backward) -> list[Weights]:
    return [w for w in reversed(walk.weights) if w.axes > 1 and w.values > 0]


def by_layer(witness: Witness) -> Iterator[AuditFinding]:
    """Gradients that vanish in every backward, or explode in one."""
    rows: dict[Leaf, list[tuple[LayerGradient, SourceLine | None]]] = {}
    for walk in (walk for call in witness.calls for walk in call.walks):
        matrices = _matrices(walk)
        for weights, layer in zip(matrices, layers(walk), strict=True):
            rows.setdefault(weights.leaf, []).append((layer, weights.where))
    vanishing = {
        leaf: (max(layer.relative for layer, _ in found), found[-1][1])
        for leaf, found in rows.items()
        if all(layer.relative < VANISHING for layer, _ in found)
    }
    exploding = {
        leaf: (layer.ratio, where)
        for leaf, found in rows.items()
        for layer, where in found
        if not layer.ratio <= EXPLODING  # a NaN is no better
    }
    yield from _by_layer(
        "vanishing",
        vanishing,
        "vanish beside that of the last layer, each as a share of its weight",
        "relu for sigmoid and tanh, kaiming_ init, batch norm, shortcuts",
    )
    yield from _by_layer(
        "exploding",
        exploding,
        "explode, each as a multiple of its weight",
        "smaller initial weights, a mean for a sum in the loss, batch norm, clip_grad_norm_",
    )


def _by_layer(
    kind: str, hits: dict[Leaf, tuple[float, SourceLine | None]], text: str, fix: str
) -> Iterator[AuditFinding]:
    if hits:
        numbers = {operation(leaf): ratio for leaf, (ratio, _) in hits.items()}
        message = f"the gradients of {', '.join(numbers)} {text}"
        yield AuditFinding(kind, message, next(iter(hits.values()))[1], fix, numbers)
