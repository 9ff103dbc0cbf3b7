"""What an audit remembers of a step while it runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

import numpy as np

from ... import nn, optim
from ..._core.backprop import _fit
from ..._core.context import per_thread
from ..._core.node import Leaf, Node, SourceLine
from ..._core.tensor import Tensor, raw
from .._places import operation, place
from .checksum import checksum, overlap
from .evidence import (
    Access,
    Backward,
    Call,
    Change,
    Input,
    Lost,
    ModeUse,
    Units,
    Weights,
)
from .flow import tracked
from .hooks import caller
from .state import Snapshot


class Witness:
    """The memory of an audit: one ``Call`` after the other, and what spans them."""

    def __init__(self, snapshot: Snapshot, parameters: Iterable[Tensor]) -> None:
        self.snapshot = snapshot
        self.calls: list[Call] = []
        self.units: dict[Any, Units] = {}
        self.parameters = dict.fromkeys(parameters)  # in order; optimisers add theirs
        self._relus: Counter[Any] = Counter()  # how often a line made one in this call
        self._trained_from: dict[Leaf, int] = {}  # checksum of the values at the last walk

    def new_call(self, inputs: list[Input]) -> None:
        """The step is about to be called again."""
        self.calls.append(Call(inputs))
        self._relus.clear()

    def end_call(self, lines: Mapping[int, SourceLine]) -> None:
        """The step returned: what became of its inputs? ``lines`` changed them, by their id."""
        known = [change.array for change in self.call.changes]
        known += [parameter.data for parameter in self.parameters]
        for held in self.call.inputs:
            same = not held.used or checksum(held.array) == held.checksum
            if same or any(overlap(held.array, array) for array in known):
                continue
            known.append(held.array)
            access = self._last_access(held.array)
            where = lines.get(id(held.array), access.where if access else held.where)
            self.call.mutated.append((held, where))

    @property
    def suspects(self) -> list[Any]:
        """The inputs that the call before changed."""
        return [held.array for held, _ in self.call.mutated] if self.calls else []

    @property
    def call(self) -> Call:
        """The present call."""
        return self.calls[-1]

    # -- values ------------------------------------------------------------------------------

    def read(self, node: Node | None, array: Any, how: str, where: SourceLine | None) -> Any:
        """The user read a Tensor's data; returns the array to hand out."""
        access = Access(how, where, (array,))
        self.call.writes.append(access)  # who holds the array may write to it
        if not per_thread.context.recording or where is None:
            return array  # under no_grad the stop is meant
        flow = self.call.flow
        if node is None:
            origin = flow.origin(array)
        else:
            self.call.reads[node] = access
            origin = flow.hand_out(node, array, how, where)
        return tracked(array, origin) if np.ndim(array) else array

    def used(self, node: Node, how: str, where: SourceLine | None) -> None:
        """A result was the argument of a function that no gradient goes through."""
        self.call.reads.setdefault(node, Access(how, where))

    def plain(self, value: Any) -> Any:
        """The value as the package shall see it."""
        return self.call.flow.plain(value)

    def converted(self, source: Any, result: Any, where: SourceLine | None) -> None:
        """``source`` became an array: a Tensor that is a constant from here on."""
        flow, origin = self.call.flow, None
        for item in source if isinstance(source, (list, tuple)) else (source,):
            if isinstance(item, Tensor) and item.node is not None and where is not None:
                self.read(item.node, item.data, "tc.tensor()", where)
                origin = flow.origin(item.data)
        flow.mark(result, origin or flow.origin(source))

    def wrote(self, arrays: list[Any], how: str, where: SourceLine | None) -> None:
        """Arrays are written to in the Tensor's own way."""
        self.call.writes.append(Access(how, where, tuple(arrays)))

    def operated(self, arrays: list[Any], ans: Any, frame: FrameType) -> None:
        """An operation was carried out, recorded or not."""
        flow = self.call.flow
        if per_thread.context.recording:
            flow.mark(ans, next(filter(None, map(flow.origin, arrays)), None))
        else:
            for array in arrays:
                if id(array) not in self.call.unrecorded:
                    self.call.unrecorded[id(array)] = caller(frame)
        for held in self.call.inputs:
            if not held.used and any(overlap(held.array, array) for array in arrays):
                held.used, held.where = True, caller(frame)

    def recorded(self, node: Node) -> None:
        """An operation was recorded."""
        call, args = self.call, node.args or ()
        call.nodes.append(node)
        call.flow.forget(node.ans)  # it has its place in the graph
        call.checksums[node] = tuple(map(checksum, (*args, node.ans)))
        for index, (arg, parent) in enumerate(zip(args, node.parents, strict=True)):
            origin = None if parent else call.flow.origin(arg)
            if origin is not None:
                call.returned.setdefault(node, []).append((index, origin))
            elif parent is None:
                self._hold(f"a constant of {operation(node)}", arg, node.source)
        if _is_relu(node) and node.ans.ndim > 1:
            self._count_units(node)

    def _hold(self, name: str, value: Any, where: SourceLine | None) -> None:
        array = value.data if isinstance(value, Tensor) and value.node is None else value
        if isinstance(array, np.ndarray) and all(h.array is not array for h in self.call.inputs):
            self.call.inputs.append(Input(name, array, checksum(array), where))

    def _count_units(self, node: Node) -> None:
        """Units are features (N, C) or channels (N, C, …)."""
        axes = tuple(i for i in range(node.ans.ndim) if i != 1)
        alive = (node.ans > 0).any(axes)
        place = (node.scope.path if node.scope else "", node.source)
        self._relus[place] += 1
        key = (*place, self._relus[place], alive.shape)  # a line may be called in a loop
        known = self.units.get(key)
        before = (known.alive, known.examples) if known else (np.zeros_like(alive), 0)
        self.units[key] = Units(before[0] | alive, before[1] + node.ans.shape[0], node)

    # -- walks -------------------------------------------------------------------------------

    def before_walk(self, order: list[Node], accumulates: bool, where: SourceLine | None) -> None:
        """A backward is about to start."""
        variables: dict[Leaf, tuple[Any, SourceLine | None]] = {}
        for node in order:  # from the result to the inputs
            for arg, parent in zip(node.args or (), node.parents, strict=False):
                if isinstance(parent, Leaf):
                    variables.setdefault(parent, (arg, node.source))
        self.call.walks.append(Backward(set(order), where, variables))
        self._find_changes(order)
        stale = [leaf for leaf in variables if accumulates and self._is_stale(leaf, variables)]
        if stale:
            self.call.accumulated.append((stale, where))
        for leaf, (values, _) in variables.items():
            self._trained_from[leaf] = checksum(values)
            self.snapshot.keep_gradient(leaf)

    def _is_stale(self, leaf: Leaf, variables: dict[Leaf, Any]) -> bool:
        """Whether a gradient is left from before the values were last changed."""
        if leaf.grad is None or not np.any(leaf.grad.data) or leaf not in self._trained_from:
            return False
        return self._trained_from[leaf] != checksum(variables[leaf][0])

    def _find_changes(self, order: list[Node]) -> None:
        now: dict[int, int] = {}
        for node in reversed(order):
            before = self.call.checksums.get(node)
            if before is None or node.args is None:
                continue
            for position, (array, then) in enumerate(
                zip((*node.args, node.ans), before, strict=True)
            ):
                if id(array) not in now:
                    now[id(array)] = checksum(array)
                changed = (change.array for change in self.call.changes)
                if now[id(array)] != then and not any(overlap(array, a) for a in changed):
                    what = _saved(node, position)
                    self.call.changes.append(Change(node, what, array, self._last_access(array)))

    def _last_access(self, array: Any) -> Access | None:
        """Who had this memory last."""
        hits = (
            access
            for access in reversed(self.call.writes)
            if any(overlap(array, other) for other in access.arrays)
        )
        return next(hits, None)

    def visited(self, node: Node, g: Any, contributions: Any) -> None:
        """A vertex was differentiated: what about its constants that came out of the graph?"""
        lost = self.call.walks[-1].lost
        for index, origin in self.call.returned.get(node, ()):
            gradient = _gradient_of_constant(node, index, raw(g))
            arg = np.asarray(node.args[index])  # type: ignore[index]  # it is still there
            key = origin, arg.shape, checksum(arg)  # the same values are the same constant
            if key in lost:
                gradient = lost[key].gradient + gradient
            scale = max(
                float(np.abs(raw(g)).max(initial=0.0)), lost[key].scale if key in lost else 0.0
            )
            lost[key] = Lost(origin, node, gradient, scale)

    def after_walk(self, found: dict[Node, Any]) -> None:
        """The backward is over."""
        walk = self.call.walks[-1]
        walk.received = {node for node, g in found.items() if g is not None}
        for leaf, (values, where) in walk.variables.items():
            if leaf in walk.received:
                g = found[leaf]
                gradient = np.linalg.norm(g.data if isinstance(g, Tensor) else g)
                sizes = float(gradient), float(np.linalg.norm(values))
                walk.weights.append(Weights(leaf, *sizes, np.ndim(values), where))

    # -- modules and optimisers --------------------------------------------------------------

    def entering(self, args: tuple[Any, ...], where: SourceLine | None) -> None:
        """A module is called."""
        if per_thread.context.recording:
            for arg in args:
                self._hold("the input of the model", arg, where)

    def left(self, module: nn.Module, output: Any, where: SourceLine | None) -> None:
        """A module returned."""
        node = output.node if isinstance(output, Tensor) else None
        recording = per_thread.context.recording
        self.call.modes.append(ModeUse(module, module.training, recording, node, where))

    def stepping(self, stepper: optim.Optimizer | optim.LRScheduler, where: Any) -> None:
        """An optimiser or a schedule is about to step."""
        self.snapshot.keep(stepper)
        if isinstance(stepper, optim.Optimizer):
            params = [param for group in stepper.param_groups for param in group["params"]]
            self.parameters.update(dict.fromkeys(params))
            self.wrote([param.data for param in params], "optimizer.step()", where)


def _is_relu(node: Node) -> bool:
    """Whether a node is max(0, x), as relu is composed and as a user may write it."""
    name = node.primitive.name if node.primitive else ""
    return name == "maximum" and any(
        parent is None and np.ndim(arg) == 0 and arg == 0
        for arg, parent in zip(node.args or (), node.parents, strict=True)
    )


@np.errstate(all="ignore")  # of a rule that the step itself does not run
def _gradient_of_constant(node: Node, index: int, g: Any) -> Any:
    """The gradient that a constant would get if it were a variable."""
    op: Any = node.primitive
    args: Any = node.args
    rule = op.rule(index)
    if rule is None:
        return np.zeros(np.shape(args[index]))
    gradient = rule(g, node.ans, *args, **node.params)
    return _fit(op, index, gradient, np.asarray(args[index], g.dtype))


def _saved(node: Node, position: int) -> str:
    """What an array saved by a node is: an argument, or with the last position the result."""
    if position == len(node.parents):
        return f"the result of {place(node)}"
    parent = node.parents[position]
    if parent is None:
        return f"the constant that {place(node)} has as argument {position}"
    return operation(parent) if isinstance(parent, Leaf) else f"the result of {place(parent)}"
