"""The ledger of a gradient: who contributed what, in which order, and why that order."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from .._core.backprop import _seed, backpropagate, local_gradients
from .._core.node import Node, SourceLine
from .._core.tensor import Tensor
from ..errors import GraphError
from ..typing import Array, TensorLike
from ._places import operation, place
from ._render import Block, Line, Rendered, Table, Tone

__all__ = ["Contribution", "Ledger", "Walk", "ledger"]

_DIGITS = 6


@dataclass(frozen=True)
class Contribution:
    """What one use of a Tensor adds to its gradient.

    Attributes:
        met: the place of the consumer in backprop's order: 1 is the result itself.
        operation: the name of the consumer's primitive, ``"upstream"`` for the start.
        argument: which argument of it the Tensor is.
        scope: the path of the consumer's scope, ``""`` outside of all.
        source: the user's line that recorded the consumer.
        gradient: the number, in the shape and dtype of the Tensor.
    """

    met: int
    operation: str
    argument: int
    scope: str
    source: SourceLine | None
    gradient: Array


@dataclass(frozen=True)
class Walk:
    """What a walk that breaks a rule of backprop gets for the same gradient.

    Attributes:
        name: "depth-first", "breadth-first" (each vertex is passed on at its first visit, with
            what it has by then) or "overwriting" (``=`` where ``+=`` belongs).
        gradient: its result.
        error: the largest difference from the gradient, relative to the gradient's largest
            element.
        reason: the first vertex where it goes wrong, and what it missed there.
    """

    name: str
    gradient: Array
    error: float
    reason: str


@dataclass(frozen=True)
class Ledger(Rendered):
    """A gradient and its parts; ``print`` shows the bookkeeping of one element.

    Attributes:
        name: of the Tensor, or what it is the result of.
        gradient: of its shape; zeros where the result does not depend on it.
        contributions: in the order in which backprop added them, so that adding them from the
            first to the last gives ``gradient`` to the last bit.
        walks: what other orders would have got.
    """

    name: str
    gradient: Array
    contributions: tuple[Contribution, ...]
    walks: tuple[Walk, ...]

    @property
    def shown(self) -> tuple[int, ...]:
        """The element that ``print`` shows: where the walks go most wrong, or else the largest."""
        size = sum((np.abs(walk.gradient - self.gradient) for walk in self.walks), np.zeros(()))
        if not np.any(size):
            size = np.abs(self.gradient)
        return tuple(map(int, np.unravel_index(int(np.argmax(size)), self.gradient.shape)))

    def blocks(self) -> Iterator[Block]:
        """The contributions with their running sum, then the other walks."""
        yield Line(f"ledger of the gradient of {self.name}, shape {self.gradient.shape}")
        if not self.contributions:
            yield Line("nothing that the result is made of uses it: the gradient is zero", "warn")
        if not self.contributions or not self.gradient.size:
            return
        index = self.shown
        header = ("met", "operation", "scope", "line", f"element {list(index)}", "sum so far")
        rows, total = [], self.gradient.dtype.type(0)
        for number, entry in enumerate(self.contributions):
            value = entry.gradient[index]
            total = value if number == 0 else total + value
            rows.append((*_described(entry), _digits(value), _digits(total)))
        yield Table(header, rows)
        yield Line(f"backprop: {_digits(self.gradient[index])}", "good")
        for walk in self.walks:
            tone: Tone = "bad" if walk.reason else "dim"
            verdict = f", wrong: {walk.reason}" if walk.reason else ", right here"
            yield Line(f"{walk.name}: {_digits(walk.gradient[index])}{verdict}", tone)


def _described(entry: Contribution) -> tuple[str, str, str, str]:
    line = f"{entry.source.line}: {entry.source.text}" if entry.source else ""
    return str(entry.met), f"{entry.operation}[{entry.argument}]", entry.scope, line


def _digits(value: Any) -> str:
    return f"{value:.{_DIGITS}g}"


def ledger(y: Tensor, x: Tensor, upstream: TensorLike | None = None) -> Ledger:
    """Split the gradient of ``x`` into what each of its uses contributes.

    Beside the right walk (a vertex passes its gradient on when all that use it have been
    visited) the same graph is walked wrongly, to show what the order is for. The graph and
    every ``.grad`` stay as they are.

    Args:
        y: a recorded result of any shape.
        x: a variable or an intermediate result that ``y`` was computed from.
        upstream: the gradient to start from, of the shape of ``y``; 1 for a single element.

    Raises:
        GraphError: ``x`` or ``y`` requires no gradient, or saved values were freed by backward.
        ShapeError: ``upstream`` has another shape, or is missing for several elements.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor(3.0, requires_grad=True, name="x")
    >>> h = x * 2
    >>> book = tc.check.ledger(h + h * h, x)
    >>> book.gradient
    array(26.)
    >>> [(walk.name, float(walk.gradient)) for walk in book.walks]
    [('depth-first', 2.0), ('breadth-first', 2.0), ('overwriting', 12.0)]
    """
    if x.node is None:
        raise GraphError("ledger: x requires no gradient, so that nothing was recorded of its use")
    seed = _seed(y, upstream, create_graph=False)
    start: Node = y.node  # type: ignore[assignment]  # _seed raises where there is none
    target = x.node
    order: list[tuple[Node, list[int]]] = []  # every vertex with the arguments it passes on to
    entries: list[Contribution] = []

    def visit(node: Node, g: Any, contributions: list[tuple[int, Any]]) -> None:
        order.append((node, [index for index, _ in contributions]))
        entries.extend(
            _contribution(len(order), node, index, gradient)
            for index, gradient in contributions
            if node.parents[index] is target
        )

    found = backpropagate({start: seed}, {target}, retain_graph=True, visit=visit)
    gradient = np.array(found.get(target, np.zeros(x.shape, x.dtype)))
    if target is start:
        entries.append(Contribution(1, "upstream", 0, "", None, gradient))
    walks = _Walker(seed, target, order).walks(gradient) if entries else ()
    return Ledger(x.name or operation(target), gradient, tuple(entries), walks)


def _contribution(met: int, node: Node, index: int, gradient: Any) -> Contribution:
    scope = node.scope.path if node.scope else ""
    # a copy: a rule may hand out a view of what the graph has saved
    return Contribution(met, operation(node), index, scope, node.source, np.array(gradient))


class _Walker:
    """The same graph, walked in ways that break a rule."""

    def __init__(self, seed: Any, target: Node, order: Sequence[tuple[Node, list[int]]]) -> None:
        self.seed, self.target = seed, target
        self.order = [node for node, _ in order]  # all of them lead to the target
        self.start = self.order[0]
        self.needed = set(self.order)
        parents = (node.parents[index] for node, indices in order for index in indices)
        self.expected = Counter([self.start, *parents])  # how many gradients arrive at a vertex

    def walks(self, right: Array) -> tuple[Walk, ...]:
        """What each wrong walk gets, beside the right gradient."""
        results = {
            "depth-first": self._at_first_visit(depth_first=True),
            "breadth-first": self._at_first_visit(depth_first=False),
            "overwriting": self._overwriting(),
        }
        return tuple(_compared(name, np.array(g), right, why) for name, (g, why) in results.items())

    def _passed_on(self, node: Node, g: Any) -> list[tuple[Node, Any]]:
        if node is self.target or not node.parents:
            return []
        pairs = local_gradients(node, g, self.needed)
        return [(node.parents[index], gradient) for index, gradient in pairs]  # type: ignore[misc]

    def _at_first_visit(self, depth_first: bool) -> tuple[Any, str]:
        arrived: dict[Node, list[Any]] = {self.start: [self.seed]}
        waiting, done, reason = deque([self.start]), set(), ""
        while waiting:
            node = waiting.popleft()
            if node in done:
                continue
            done.add(node)
            missing = self.expected[node] - len(arrived[node])
            if missing and node is not self.target and not reason:
                reason = (
                    f"{place(node)} passes its gradient on with {len(arrived[node])} of"
                    f" {self.expected[node]} contributions"
                )
            passed = self._passed_on(node, reduce(add, arrived[node]))
            for parent, gradient in passed:
                arrived.setdefault(parent, []).append(gradient)
            following = [parent for parent, _ in passed]
            if depth_first:
                waiting.extendleft(reversed(following))
            else:
                waiting.extend(following)
        return reduce(add, arrived[self.target]), reason

    def _overwriting(self) -> tuple[Any, str]:
        grads = {self.start: self.seed}
        for node in self.order:
            grads.update(self._passed_on(node, grads[node]))
        lossy = [node for node in self.order if self.expected[node] > 1][:1]
        reasons = [
            f"{place(node)} keeps the last of {self.expected[node]} contributions" for node in lossy
        ]
        return grads[self.target], "".join(reasons)


def _compared(name: str, result: Array, right: Array, reason: str) -> Walk:
    largest = float(np.abs(right).max(initial=0.0))
    error = float(np.abs(result - right).max(initial=0.0))
    return Walk(name, result, error / largest if largest else error, reason if error else "")
