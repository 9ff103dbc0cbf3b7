"""A training step as a plan: what each operation keeps for backward, and what goes back."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

import numpy as np

from ..._core.node import Leaf, Node
from ...typing import Array
from ._calls import Run

__all__ = ["Moment", "Plan", "largest_moment"]

# Their gradients are the gradient of the result, or a view of it.
_PASS_ON = {
    "add", "astype", "concatenate", "pad", "reshape", "stack", "subtract", "sum", "transpose",
}  # fmt: skip


class Action(NamedTuple):
    """One recorded operation; its sizes are numbers of places in ``Plan.sizes``.

    Attributes:
        name: of the primitive.
        place: the layer that it belongs to.
        parents: for each operand the number of the action that made it, -1 for a variable, None
            where no gradient goes.
        operands, result: the sizes of arrays.
        saved: the sizes of the memory that is kept until the action was gone back through.
    """

    name: str
    place: str
    parents: tuple[int | None, ...]
    operands: tuple[int, ...]
    result: int
    saved: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """All that one step records.

    Attributes:
        actions: in the order of the forward pass.
        outputs: the numbers of those whose results the model returns.
        activations: which sizes are those of memory that holds the output of a layer.
        sizes: bytes.
    """

    actions: tuple[Action, ...]
    outputs: tuple[int, ...]
    activations: frozenset[int]
    sizes: Array = field(compare=False)

    @classmethod
    def of(cls, ran: Run) -> Plan:
        """The plan of a run."""
        number = {operation.node: i for i, operation in enumerate(ran.operations)}
        places = {
            o.node: f"{call.name} ({call.type})" for call in ran.calls for o in call.operations
        }
        memory = dict.fromkeys(m for o in ran.operations for m in o.saved if m not in ran.lasting)
        index = {m: i for i, m in enumerate(memory)}
        sizes = [m.nbytes for m in memory]
        numbers = count(len(sizes))
        actions = []
        for operation in ran.operations:
            arrays = [operation.nbytes, *operation.operand_bytes]
            sizes.extend(arrays)
            result, *operands = (next(numbers) for _ in arrays)
            parents = tuple(_number(parent, number) for parent in operation.node.parents)
            saved = tuple(index[m] for m in operation.saved if m in index)
            place = places[operation.node]
            actions.append(Action(operation.name, place, parents, tuple(operands), result, saved))
        made = {o.node: o.made for o in ran.operations}
        kept = (made.get(call.output) for call in ran.calls if call.output is not None)
        return cls(
            tuple(actions),
            tuple(number[node] for node in ran.outputs if node in number),
            frozenset(index[m] for m in kept if m in index),
            np.array(sizes, dtype=np.int64),
        )

    def extended(self, one_more: Plan, images: int) -> Plan:
        """The plan with ``images`` more, from one with one more: sizes grow evenly."""
        return replace(self, sizes=self.sizes + images * (one_more.sizes - self.sizes))


def _number(parent: Node | None, number: dict[Node, int]) -> int | None:
    return -1 if isinstance(parent, Leaf) else None if parent is None else number[parent]


class Moment(NamedTuple):
    """What is held at one moment of a step, in bytes.

    Attributes:
        moment: which one it is.
        activations, workspace: of what is kept for backward, the outputs of layers and the rest.
        gradients: those on their way.
        parameter_gradients: those that have arrived.
    """

    moment: str
    activations: int
    workspace: int
    gradients: int
    parameter_gradients: int

    @property
    def total(self) -> int:
        """All of it."""
        return sum(self[1:])


class _Gradient(NamedTuple):
    """A gradient: the memory it lies in, and its own size, larger where values are repeated."""

    memory: int
    nbytes: int


class _Backward:
    """Walks back through a plan as the engine does, and counts."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.users = Counter(m for action in plan.actions for m in action.saved)
        self.arrived = self.largest = 0  # gradients of variables: together, and the largest
        self._memory: list[int] = []  # the sizes of the gradients' memory, by number
        self.waiting: dict[int, _Gradient] = {}

    def new(self, nbytes: int) -> _Gradient:
        """A gradient in memory of its own."""
        self._memory.append(nbytes)
        return _Gradient(len(self._memory) - 1, nbytes)

    def moment(self, name: str, *others: _Gradient) -> Moment:
        """What is held now, ``others`` beside the gradients that wait."""
        sizes, activations = self.plan.sizes, self.plan.activations
        held = [m for m, users in self.users.items() if users]
        layers = sum(int(sizes[m]) for m in held if m in activations)
        alive = {gradient.memory for gradient in (*self.waiting.values(), *others)}
        gradients = sum(self._memory[memory] for memory in alive)
        rest = sum(int(sizes[m]) for m in held) - layers
        return Moment(name, layers, rest, gradients, self.arrived)

    def through(self, number: int) -> Moment | None:
        """Go back through one action; None if no gradient comes to it."""
        action = self.plan.actions[number]
        g = self.waiting.pop(number, None)
        if g is None:
            return None
        passed = [
            (parent, self._passed(action, g, i, int(self.plan.sizes[size])))
            for i, (parent, size) in enumerate(zip(action.parents, action.operands, strict=True))
            if parent is not None
        ]
        moment = self.moment(f"backward through {action.place}", g, *(p for _, p in passed))
        for parent, gradient in passed:
            if parent < 0:
                self.arrived += gradient.nbytes
                self.largest = max(self.largest, gradient.nbytes)
            elif parent in self.waiting:
                self.waiting[parent] = self.new(gradient.nbytes)  # the sum of both
            else:
                self.waiting[parent] = gradient
        self.users.subtract(action.saved)
        return moment

    def _passed(self, action: Action, g: _Gradient, operand: int, nbytes: int) -> _Gradient:
        """What an action passes on to one operand."""
        result = int(self.plan.sizes[action.result])
        expanded = g.nbytes > self._memory[g.memory]
        if action.name == "sum":
            return _Gradient(g.memory, nbytes)  # repeated, without a copy
        if action.name not in _PASS_ON or (action.name == "reshape" and expanded):
            return self.new(nbytes)
        negated = action.name == "subtract" and operand
        if negated or (nbytes < result and action.name in ("add", "subtract")):
            return self.new(nbytes)
        return _Gradient(g.memory, nbytes)


def largest_moment(plan: Plan) -> Moment:
    """The moment of a step at which most is held, parameters and optimiser aside."""
    walk = _Backward(plan)
    for output in plan.outputs:
        walk.waiting[output] = walk.new(int(plan.sizes[plan.actions[output].result]))
    moments = [walk.through(number) for number in reversed(range(len(plan.actions)))]
    # Each gradient is copied into the parameter's own before it is let go of.
    end = Moment("the end of backward", 0, 0, 0, walk.arrived + walk.largest)
    return max((end, *filter(None, moments)), key=lambda moment: moment.total)
