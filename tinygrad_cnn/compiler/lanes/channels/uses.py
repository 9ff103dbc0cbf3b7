"""What of a program of one image is stored, when it can be computed, and where its lanes are."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

from ....typing import Shape
from ..._program import Program
from ..._symbols import Operation, Symbol, symbols_in
from ..plan.batch import (
    LONGEST,
    REDUCED,
    UNSTORED,
    is_elementwise,
    leaves,
    plain_index,
    reduced_axes,
    unsupported,
    viewed,
)

LAYERS = frozenset(("average_pool", "conv", "linear", "max_pool"))


class Uses:
    """How the values of a program are used.

    Attributes:
        users: for each symbol the operations that have it as operand.
        early: what no layer takes part in.
        channels: the symbols (1, C, …) whose channels are lanes; other ones are plain arrays.
        stored: the results that lie in memory; other ones are computed where they are needed.

    Raises:
        UnsupportedError: the program has gradients, several images, or other operations.
    """

    def __init__(self, program: Program) -> None:
        self.users: dict[Symbol, list[Operation]] = defaultdict(list)
        self.early: set[Symbol] = set(program.inputs)
        self.channels: set[Symbol] = set()
        self.stored: set[Symbol] = set()
        self._outputs = set(symbols_in(tuple(program.outputs)))
        self._order = {operation: i for i, operation in enumerate(program.operations)}
        self._roots: dict[Symbol, set[Operation]] = {}
        self._chains: dict[Symbol, int] = {}  # how many operations follow before one is stored
        for operation in program.operations:
            _check(operation)
            for operand in operation.operands():
                self.users[operand].append(operation)
            if operation.name not in LAYERS and self.early.issuperset(operation.operands()):
                self.early.add(operation.result)
            if self._has_lanes(operation):
                self.channels.add(operation.result)
        for operation in reversed(program.operations):  # what uses a result is decided first
            self._decide(operation)

    # -- lanes ---------------------------------------------------------------------------------

    def _has_lanes(self, operation: Operation) -> bool:
        name, result = operation.name, operation.result
        if name in LAYERS:
            return name != "linear"
        if is_elementwise(operation):
            return any(
                o in self.channels and o.ndim == result.ndim and o.shape[:2] == result.shape[:2]
                for o in operation.operands()
            )
        if not operation.args or operation.args[0] not in self.channels or result.ndim < 3:
            return False
        x = operation.args[0]
        if name in REDUCED:
            inside = by_channels(operation) and result.shape[:2] == x.shape[:2]
            return inside and math.prod(result.shape[2:]) > 1
        return within_channels(operation)

    # -- what is stored ------------------------------------------------------------------------

    def _decide(self, operation: Operation) -> None:
        result, users = operation.result, self.users[operation.result]
        if operation.name in UNSTORED:
            return
        roots, chain = set[Operation](), 0
        for user in users:
            inlined = is_elementwise(user) and user.result not in self.stored
            roots |= self._roots[user.result] if inlined else {user}
            chain = max(chain, self._chains[user.result] if inlined else 0)
        self._roots[result], self._chains[result] = roots, chain + 1
        needed = chain >= LONGEST or result in self._outputs or operation.name in REDUCED
        for user in users:
            needed |= user.name in LAYERS | UNSTORED
            needed |= is_elementwise(user) and user.result.shape != result.shape
        if operation.name in LAYERS:
            needed |= not self._absorbs(operation, roots)
        else:
            needed |= len(roots) > 1
        if needed:
            self.stored.add(result)

    def _absorbs(self, operation: Operation, roots: set[Operation]) -> bool:
        """Whether all that is made of a layer's result can be made at the end of its kernel."""
        result = operation.result
        return all(
            is_elementwise(root)
            and root.result.shape == result.shape
            and all(leaf is result or self._there(leaf, operation) for leaf in self.leaves(root))
            for root in roots
        )

    def _there(self, leaf: Symbol, layer: Operation) -> bool:
        """Whether a value lies in memory, as a layer's end can read it, when the layer runs."""
        if leaf in self.early:
            return True
        shown, result = viewed(leaf), layer.result
        if shown is None or shown.operation is None:
            return True
        if result in self.channels:
            alike = leaf in self.channels and leaf.shape[:2] == result.shape[:2]
        else:
            alike = leaf not in self.channels and shown is leaf
        return alike and self._order[shown.operation] < self._order[layer]

    def leaves(self, root: Operation) -> Iterator[Symbol]:
        """What an operation needs that is not computed on the way."""
        # Decided from the end: a layer that comes before the root is not stored yet.
        return leaves(root, self.stored)


def by_channels(operation: Operation) -> bool:
    """Whether a reduction of (1, C, …) leaves the channels alone."""
    return operation.args[0].ndim > 1 and 1 not in reduced_axes(operation)


def within_channels(operation: Operation) -> bool:
    """Whether a view of (1, C, …) changes no more than the axes of each channel."""
    x, result, params = operation.args[0], operation.result, operation.params
    if result.ndim < 3 or result.shape[:2] != x.shape[:2]:
        return False
    match operation.name:
        case "reshape":
            return _without_ones(x.shape[2:]) == _without_ones(result.shape[2:])
        case "transpose":
            return bool(params["axes"][:2] == (0, 1))
        case "broadcast_to":
            return bool(x.ndim == result.ndim)
        case "crop":
            return not any(map(any, params["widths"][:2]))
        case "flip":
            axis = params["axis"]
            return not {0, 1}.intersection(axis if isinstance(axis, tuple) else (axis,))
        case "getitem":
            index = plain_index(params["index"], x.ndim)
            return index is not None and index[:2] == (slice(None), slice(None))
    return False


def _without_ones(shape: Shape) -> list[int]:
    return [n for n in shape if n != 1]


def _check(operation: Operation) -> None:
    name, x = operation.name, operation.args[0] if operation.args else None
    if name not in LAYERS | REDUCED | UNSTORED and not is_elementwise(operation):
        raise unsupported(operation, "there is no kernel for one image")
    if any(0 in symbol.shape for symbol in (operation.result, *operation.operands())):
        raise unsupported(operation, "it has no elements")
    if name not in LAYERS or name == "linear":
        return
    if not isinstance(x, Symbol) or x.ndim != 4 or x.shape[0] != 1:
        raise unsupported(operation, "it has other than one image")
