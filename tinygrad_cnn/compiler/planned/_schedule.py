"""The order in which a program is carried out: levels, in each of which blocks need no other block.

A level combines what the blocks of the level before have added up, does what is done whole, and
then goes through its mapped operations for one block after the other, on all threads at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from ...typing import Array
from .._program import Program
from .._symbols import Operation, Symbol, symbols_in
from ._placement import MAPPED, SUM, WHOLE, Batch, Place, Rule, rule_of
from ._rewrites import rewritten

LOAD, STORE, COMBINE = "load", "store", "combine"
_BEFORE_BLOCKS = (COMBINE, WHOLE)
_CHEAP = frozenset(("pad", "im2col"))  # computed again in a later level rather than kept


class Item(NamedTuple):
    """A step of the schedule.

    Attributes:
        kind: LOAD (a block's share of an input), MAPPED, SUM, STORE (a block's share into the
            whole), COMBINE (the sums of all threads), WHOLE.
        level: from 0.
        symbol: what it makes.
        operation: what is done, for MAPPED, SUM and WHOLE.
        rule: what the operation needs of its operands.
    """

    kind: str
    level: int
    symbol: Symbol
    operation: Operation | None = None
    rule: Rule | None = None

    @property
    def in_blocks(self) -> bool:
        """Whether it is done for each block."""
        return self.kind not in _BEFORE_BLOCKS


class Schedule:
    """Levels of items.

    Attributes:
        items: in order.
        levels: how many.
        places: where the batch lies in what is there in blocks.
        constants: the arrays that the program holds.
        images: the length of the batch.
    """

    def __init__(
        self, program: Program, batched: Collection[Symbol], images: int, copies: int
    ) -> None:
        operations, outputs, self.constants = _hoisted(program)
        operations = rewritten(operations, outputs)
        self.outputs, self.images = outputs, images
        self.places: dict[Symbol, Place] = dict.fromkeys(batched, Place(0))
        self._copies = copies
        self._batch = Batch(images, self.places, self.constants)
        self._inputs = {*program.inputs, *self.constants}
        self._level_of_block: dict[Symbol, int] = dict.fromkeys(batched, 0)
        self._level_of_whole: dict[Symbol, int] = dict.fromkeys(self._inputs, 0)
        self._again: dict[tuple[Symbol, int], Symbol] = {}
        found: list[Item] = [Item(LOAD, 0, symbol) for symbol in batched]
        for operation in operations:
            self._add(found, operation)
        for output in symbols_in(tuple(outputs)):
            self._whole(found, output)
        found.sort(key=lambda item: (item.level, item.in_blocks, item.kind != COMBINE))
        self.items = _used(found, outputs, self.places)
        self.levels = 1 + max((item.level for item in found), default=0)

    def _add(self, found: list[Item], operation: Operation) -> None:
        rule = rule_of(operation, self._batch)
        if rule.kind == SUM and self._is_large(operation):
            rule = Rule(WHOLE, None, {})
        result = operation.result
        level = max((self._ready(found, x, rule) for x in operation.operands()), default=0)
        if rule.kind == WHOLE:
            self._level_of_whole[result] = level
        elif rule.kind == SUM:
            self._level_of_whole[result] = level + 1
            found.append(Item(COMBINE, level + 1, result))
        else:
            assert rule.place is not None
            self.places[result] = rule.place
            self._level_of_block[result] = level
        if rule.kind != WHOLE:
            operation, rule = self._with_copies(found, operation, rule, level)
        found.append(Item(rule.kind, level, result, operation, rule))

    def _is_large(self, operation: Operation) -> bool:
        """Whether sums of all threads take more memory than the operands of the whole."""
        return operation.result.size * self._copies > sum(x.size for x in operation.operands())

    def _ready(self, found: list[Item], x: Symbol, rule: Rule) -> int:
        if x in rule.wants and x in self.places:
            return self._level_of_block[x]
        return self._whole(found, x)

    def _whole(self, found: list[Item], x: Symbol) -> int:
        """The level at which there is the whole of a value."""
        if x not in self._level_of_whole:
            level = self._level_of_block[x]
            found.append(Item(STORE, level, x))
            self._level_of_whole[x] = level + 1
        return self._level_of_whole[x]

    def _with_copies(
        self, found: list[Item], operation: Operation, rule: Rule, level: int
    ) -> tuple[Operation, Rule]:
        """The operation on operands that are computed again in its level, where that is cheap."""
        replaced = {x: self._repeated(found, x, level) for x in rule.wants if x in self.places}
        if all(x is y for x, y in replaced.items()):
            return operation, rule
        wants = {replaced.get(x, x): place for x, place in rule.wants.items()}
        return _on(operation, replaced.__getitem__, operation.result), rule._replace(wants=wants)

    def _repeated(self, found: list[Item], x: Symbol, level: int) -> Symbol:
        operation = x.operation
        is_late = x not in self._inputs and self._level_of_block[x] < level
        if not is_late or operation is None or operation.name not in _CHEAP:
            return x
        if (x, level) not in self._again:
            made = Symbol(x.shape, x.dtype, None)
            rule = rule_of(operation, self._batch)
            self.places[made] = self.places[x]
            self._level_of_block[made] = level
            cloned = _on(operation, lambda y: y, made)
            cloned, rule = self._with_copies(found, cloned, rule, level)
            found.append(Item(MAPPED, level, made, cloned, rule))
            self._again[x, level] = made
        return self._again[x, level]


def _on(operation: Operation, replaced: Callable[[Symbol], Any], result: Symbol) -> Operation:
    """The operation with other operands."""

    def other(value: Any) -> Any:
        if isinstance(value, Symbol):
            try:
                return replaced(value)
            except KeyError:
                return value
        if type(value) is tuple:
            return tuple(map(other, value))
        return value

    args = tuple(map(other, operation.args))
    params = {key: other(value) for key, value in operation.params.items()}
    made = _with(operation, args, params, result)
    if result.operation is None:
        result.operation = made
    return made


def _with(
    operation: Operation, args: tuple[Any, ...], params: dict[str, Any], result: Symbol
) -> Operation:
    return Operation(
        operation.name, operation.function, args, params, result, operation.scope,
        operation.code, operation.instruction,
    )  # fmt: skip


def _hoisted(program: Program) -> tuple[list[Operation], list[Any], dict[Symbol, Array]]:
    """The operations with symbols in the places of arrays, and the arrays."""
    constants: dict[Symbol, Array] = {}
    symbols: dict[int, Symbol] = {}

    def hoist(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            if id(value) not in symbols:
                symbols[id(value)] = made = Symbol(value.shape, value.dtype, None)
                constants[made] = value
            return symbols[id(value)]
        return tuple(map(hoist, value)) if type(value) is tuple else value

    operations = []
    for operation in program.operations:
        args = tuple(map(hoist, operation.args))
        params = {key: hoist(value) for key, value in operation.params.items()}
        operations.append(_with(operation, args, params, operation.result))
    return operations, program.outputs, constants


def _used(items: list[Item], outputs: list[Any], places: dict[Symbol, Place]) -> list[Item]:
    """Without loads that no block needs, and what rules have replaced."""
    needed = set()
    for item in items:
        if item.rule is not None:
            needed |= {x for x in item.rule.wants if x in places}
        if item.kind == STORE:
            needed.add(item.symbol)
    return [item for item in items if item.kind != LOAD or item.symbol in needed]
