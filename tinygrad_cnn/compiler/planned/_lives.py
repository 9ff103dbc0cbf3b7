"""How long the values of a schedule are needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .._symbols import Operation, Symbol, symbols_in
from ._placement import SUM, WHOLE
from ._schedule import LOAD, STORE, Item, Schedule

_VIEWS = frozenset(("broadcast_to", "crop", "flip", "reshape", "transpose"))


class Value(NamedTuple):
    """A symbol, whole or as the share of a block."""

    symbol: Symbol
    whole: bool


class Lives:
    """For each value the last item that needs it, or a view of it.

    Attributes:
        end: of each level's blocks, by level, the number of their last item; no buffer of a
            whole that a block needs may be given to another value before.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.items, self._places = schedule.items, schedule.places
        self._root: dict[Value, Value] = {}
        self._last: dict[Value, int] = {}
        self._blocks: dict[int, tuple[int, int]] = {}
        self._users: dict[Symbol, list[Item]] = {}
        for number, item in enumerate(self.items):
            if item.in_blocks:
                first, _ = self._blocks.get(item.level, (number, number))
                self._blocks[item.level] = first, number
        for number, item in enumerate(self.items):
            self._note(number, item)
        for output in symbols_in(tuple(schedule.outputs)):
            self._last[self.root(Value(output, True))] = len(self.items)

    def _note(self, number: int, item: Item) -> None:
        made = Value(item.symbol, not item.in_blocks)
        operation = item.operation
        if item.kind == STORE:
            self._last[self.root(made)] = number
        elif item.kind != LOAD and operation is not None:
            for value in self.operands(item):
                self._last[self.root(value)] = number
                self._users.setdefault(value.symbol, []).append(item)
            if is_view(operation) and item.kind != SUM:
                [operand] = self.operands(item)
                self._root[made] = self.root(operand)

    def operands(self, item: Item) -> Iterator[Value]:
        """What the operation of an item needs."""
        assert item.operation is not None
        assert item.rule is not None
        for x in item.operation.operands():
            shared = item.kind != WHOLE and x in item.rule.wants and x in self._places
            yield Value(x, not shared)

    def root(self, value: Value) -> Value:
        """The value whose buffer it lies in."""
        return self._root.get(value, value)

    def birth(self, number: int, whole: bool) -> int:
        """When the buffer of a value must be there that an item makes."""
        item = self.items[number]
        return self._blocks[item.level][0] if whole and item.in_blocks else number

    def death(self, value: Value, number: int) -> int:
        """When the buffer of a value that item ``number`` makes can be given to another."""
        last = self._last.get(self.root(value), number)
        if value.whole and last < len(self.items) and self.items[last].in_blocks:
            return self._blocks[self.items[last].level][1]
        return last

    def dies(self, value: Value, number: int) -> bool:
        """Whether an item is the last that needs a value or a view of it."""
        return self._last.get(self.root(value)) == number

    def is_only_transposed(self, symbol: Symbol) -> bool:
        """Whether a matrix is needed with its axes exchanged, and in no other way."""
        users = self._users.get(symbol, [])
        names = [item.operation.name for item in users if item.operation]
        return symbol.ndim == 2 and names == ["transpose"]

    def gathered(self, switches: Symbol, number: int) -> Operation | None:
        """What gathers the elements that the switches of item ``number`` name, in its level."""
        item = self.items[number]
        assert item.operation is not None
        for user in self._users.get(switches, []):
            operation = user.operation
            if operation is not None and operation.name == "gather_windows":
                same = operation.args[0] is item.operation.args[0] and item[:2] == user[:2]
                if same and operation.params["window"] == item.operation.params["window"]:
                    return operation
        return None

    def leaves_level(self, value: Value, number: int) -> bool:
        """Whether later levels need it."""
        last = self._last.get(self.root(value), number)
        return last >= len(self.items) or self.items[last].level > self.items[number].level


def is_view(operation: Operation) -> bool:
    """Whether the result lies in the memory of the operand."""
    if operation.name == "getitem":
        index = operation.params["index"]
        parts = index if isinstance(index, tuple) else (index,)
        return all(
            isinstance(part, (slice, int, type(None), type(...))) for part in parts
        ) and not any(isinstance(part, bool) for part in parts)
    return operation.name in _VIEWS and any(isinstance(arg, Symbol) for arg in operation.args)
