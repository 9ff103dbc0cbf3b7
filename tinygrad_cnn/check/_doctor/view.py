"""Reference and hand-written gradients side by side, in one situation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from ..._core.backprop import Local, local_gradients
from ..._core.node import Node
from ...errors import TinygradCnnError
from ...typing import Array
from .._compare import NOTHING, error, same, tolerance_for
from .._edits.catalogue import Edit, edited_gradients, edits
from .._edits.edit import is_operation, said, unsummed
from .conventions import ranges
from .source import assigns_twice
from .subject import Gradients, Situation, Subject


class Clock:
    """How much time is left for a search."""

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.end


class View:
    """Both sides in one situation, and what broken rules would give there.

    Attributes:
        right, hand: gradients by input name, in float64.
        tolerance: by input name, what rounding explains.
    """

    def __init__(self, subject: Subject, situation: Situation, clock: Clock) -> None:
        self.subject, self.names = subject, subject.names
        self.situation, self.clock = situation, clock
        self.trace = subject.trace(situation)
        gradients = zip(subject.names, self.trace.gradients(), strict=True)
        self.right: Gradients = {name: g for name, g in gradients if g is not None}
        given = subject.by_hand(situation, self.trace)
        self.tolerance = {name: tolerance_for(g) for name, g in given.items()}
        self.hand: Gradients = {
            name: self.clean(np.asarray(g, np.float64)) for name, g in given.items()
        }

    @cached_property
    def errors(self) -> dict[str, float]:
        """The relative difference for every input that the hand-written side answers for."""
        return {name: error(g, self.clean(self.right[name])) for name, g in self.hand.items()}

    def clean(self, gradient: Array) -> Array:
        """Zeros for what is nothing but the rounding of numbers that cancel."""
        gradient = np.asarray(gradient, np.float64)
        nothing = np.abs(gradient).max(initial=0.0) <= NOTHING * self.magnitude
        return np.zeros_like(gradient) if nothing else gradient

    @cached_property
    def magnitude(self) -> float:
        """The largest gradient anywhere in the graph."""
        largest = [float(np.abs(self.trace.upstream).max(initial=0.0))]

        def visit(node: Node, g: Any, contributions: list[tuple[int, Any]]) -> None:
            for _, gradient in contributions:
                largest.append(float(np.max(np.abs(gradient), initial=0.0)))

        self.trace.gradients(visit=visit)
        return max(size for size in largest if np.isfinite(size))

    @cached_property
    def wrong(self) -> list[str]:
        """The inputs whose gradient no convention on ties and kinks makes right."""
        found = [name for name, e in self.errors.items() if e > self.tolerance[name]]
        return [name for name in found if not self.within(name, 0.0)]

    def within(self, name: str, nearness: float) -> bool:
        """Whether the gradient lies between those of all conventions."""
        hand, place = self.hand[name], list(self.right).index(name)
        if hand.shape != self.right[name].shape:
            return False
        slack = self.tolerance[name] * max(1e-300, float(np.abs(self.right[name]).max(initial=0)))
        for low, high in self._ranges(nearness):
            if np.all((hand >= low[place] - slack) & (hand <= high[place] + slack)):
                return True
        return False

    def only_at_kinks(self, name: str) -> bool:
        """Whether it differs only where the conventions differ."""
        place = list(self.right).index(name)
        lows, highs = zip(
            *((low[place], high[place]) for low, high in self._ranges(0.0)), strict=True
        )
        hand, right = self.hand[name], self.right[name]
        kinked = (np.min(lows, axis=0) < np.max(highs, axis=0)) | self._jumps(name, np.isnan(hand))
        return bool(kinked.any()) and same(hand[~kinked], right[~kinked], self.tolerance[name])

    def _jumps(self, name: str, chosen: Array, step: float = 1e-7) -> Array:
        """Which of the chosen elements have another right gradient on either side of the input."""
        if not chosen.any():
            return chosen
        x = self.array(name)
        towards = chosen * np.random.default_rng(0).standard_normal(x.shape)
        one, other = (self.with_input(name, x + sign * step * towards) for sign in (1, -1))
        if one is None or other is None:
            return np.zeros_like(chosen)
        difference = np.abs(one[name] - other[name])
        scale = max(np.abs(side[name]).max(initial=0.0) for side in (one, other))
        return np.asarray(chosen & (difference > 1e-3 * scale))

    def at_upstream(self, upstream: Array) -> Gradients:
        """The right gradients for another upstream gradient."""
        return self._named(self.trace.gradients(upstream=upstream))

    def walk(self, local: Local) -> Gradients | None:
        """The gradients with other local gradients; None if these do not fit."""
        try:
            with np.errstate(all="ignore"):
                return self._named(self.trace.gradients(local=local))
        except (TinygradCnnError, ValueError, TypeError, IndexError):
            return None

    def with_input(self, name: str, array: Array) -> Gradients | None:
        """The right gradients if one input were another."""
        arrays = {**self.situation.arrays, name: array}
        try:
            with np.errstate(all="ignore"):
                trace = self.subject.trace(Situation(arrays, self.trace.upstream))
                return self._named(trace.gradients())
        except (TinygradCnnError, ValueError, TypeError, IndexError):
            return None

    def _named(self, gradients: list[Array | None]) -> Gradients:
        found = (self.clean(g) for g in gradients if g is not None)
        return dict(zip(self.right, found, strict=True))

    @cached_property
    def _uses(self) -> dict[Node, list[tuple[Node, Array]]]:
        """For each variable its consumers, with their contributions to its gradient."""
        found: dict[Node, list[tuple[Node, Array]]] = {}
        variables = {v.node for v in self.trace.inputs if v is not None}

        def visit(node: Node, g: Any, contributions: list[tuple[int, Any]]) -> None:
            for index, gradient in contributions:
                parent = node.parents[index]
                if parent in variables and parent is not None:
                    found.setdefault(parent, []).append((node, np.asarray(gradient)))

        self.trace.gradients(visit=visit)
        return found

    def _variable(self, name: str) -> Node:
        return self.trace.inputs[self.names.index(name)].node  # type: ignore[union-attr, return-value]

    def contributions(self, name: str) -> list[tuple[str, Array]]:
        """The consumers of an input, and what each contributes to its gradient."""
        by_use: dict[object, tuple[str, Array]] = {}
        for place, (node, gradient) in enumerate(self._uses.get(self._variable(name), [])):
            square = node.primitive is not None and node.primitive.name == "multiply"
            use = node if square else place  # x * x is one use, to a reader
            before = by_use[use][1] if use in by_use else 0.0
            by_use[use] = said(node), before + gradient
        return list(by_use.values())

    def has_two_equal_uses(self, name: str) -> bool:
        """Whether the input is used in two places that contribute the same."""
        parts = [part for _, part in self.contributions(name)]
        return len(parts) == 2 and same(parts[0], parts[1])

    def before_sums(self, name: str) -> list[Array]:
        """The gradients of an input where it is broadcast, before they are summed."""
        found: list[Array] = []
        variable = self._variable(name)

        def visit(node: Node, g: Any, contributions: list[tuple[int, Any]]) -> None:
            for index, gradient in contributions:
                operand = node.parents[index]
                while operand is not None and is_operation(operand, "reshape", "transpose"):
                    operand = operand.parents[0]
                if operand is variable and np.shape(gradient) != np.shape(g):
                    found.append(unsummed(node, index, g))

        self.trace.gradients(visit=visit)
        return found

    def penalty(self, name: str) -> Array | None:
        """The gradient of the terms of a loss that depend on this input alone."""
        own = {self._variable(name)}
        leaves: dict[Node, set[Node]] = {}
        for node in self.trace.nodes:
            above = [leaves[p] for p in node.parents if p is not None]
            leaves[node] = set().union(*above) if node.parents else {node}
        cut = {
            (node, index)
            for node in self.trace.nodes
            if node.primitive is not None and node.primitive.name in ("add", "subtract")
            for index, parent in enumerate(node.parents)
            if parent is not None
            and leaves[parent] == own != leaves[node]
            and not np.ndim(node.ans)
        }
        if not cut:
            return None

        def local(node: Node, g: Any, needed: Any, create_graph: bool) -> Any:
            found = local_gradients(node, g, needed, create_graph)
            return [(i, gradient) for i, gradient in found if (node, i) not in cut]

        return self.right[name] - self._named(self.trace.gradients(local=local))[name]

    @cached_property
    def functions(self) -> set[str]:
        """The outermost functions of the reference."""
        found = set()
        for node in self.trace.nodes:
            scope = node.scope
            while scope is not None and scope.parent is not None:
                scope = scope.parent
            if scope is not None:
                found.add(scope.name)
            elif node.primitive is not None:
                found.add(node.primitive.name)
        return found

    def values_like(self, saved: Any) -> Iterator[tuple[str, Array]]:
        """Every other array in the computation that has the shape of a saved one."""
        shape = np.shape(saved)
        if not shape:
            return
        seen = [np.asarray(saved)]
        named = [(name, array) for name, array in self.situation.arrays.items()]
        named += [("the upstream gradient", self.trace.upstream)]
        named += [(f"the result of {said(n)}", n.ans) for n in self.trace.nodes if n.primitive]
        for what, value in named:
            if np.shape(value) != shape or np.asarray(value).dtype.kind != "f":
                continue
            if not any(np.array_equal(value, other) for other in seen):
                seen.append(np.asarray(value))
                yield what, np.asarray(value)

    @cached_property
    def loss_of_terms(self) -> str:
        """How a term of a sum got lost: overwritten, if the code assigns where it should add."""
        return "overwritten" if assigns_twice(self.subject.hand) else "missing_path"

    def explaining_edits(self, name: str) -> list[Edit]:
        """The broken rules that give this very gradient."""
        right, hand = self.right[name], self.hand[name]
        return [
            edit
            for edit, gradients in self.edited
            if not same(gradients[name], right)
            and same(hand, gradients[name], self.tolerance[name])
        ]

    def _ranges(self, nearness: float) -> list[Any]:
        if nearness not in self._known_ranges:
            self._known_ranges[nearness] = list(ranges(self.trace, nearness))
        return self._known_ranges[nearness]

    @cached_property
    def _known_ranges(self) -> dict[float, list[Any]]:
        return {}

    @cached_property
    def edited(self) -> list[tuple[Edit, Gradients]]:
        """Every way to break a rule of the reference, with the gradients that it would give."""
        found = []
        for edit in edits(self.trace):
            if self.clock.over:
                break
            found.append((edit, self.with_edits(edit)))
        return found

    def with_edits(self, *broken: Edit) -> Gradients:
        """The gradients with these rules broken."""
        return self._named(edited_gradients(self.trace, broken))

    def array(self, name: str) -> Array:
        """The input itself."""
        return self.situation.arrays[name]
