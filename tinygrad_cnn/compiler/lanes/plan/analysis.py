"""What a program's operations wait for, and which of their results must lie in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Set

from ..._program import Program
from ..._symbols import Operation, Symbol, symbols_in
from .batch import (
    BY_IMAGE,
    HEAVY,
    LINEAR,
    LONGEST,
    OVER_BATCH,
    REDUCED,
    UNSTORED,
    VIEWS,
    Batch,
    is_elementwise,
    leaves,
    reduced_axes,
    viewed,
)

# Blocks one by one, all blocks of a thread at once, and shared values by one thread.
BLOCKS, THREAD, COMMON = "blocks", "thread", "common"
_EXPENSIVE = frozenset(
    ("cos", "erf", "exp", "expm1", "log", "log1p", "logaddexp", "power", "sigmoid", "sin", "tanh")
)
_MOST_LOADS = 4  # values of each image that are rather read again than one result of them kept


class Analysis:
    """Stages, and what is stored.

    A stage runs over the blocks of each thread, or works on all of them at once, or on shared
    values. What an operation needs is there at the end of an earlier stage, or, in a stage of its
    own kind, from an earlier operation.

    Attributes:
        stages: the kind of each.
        stage: for each operation that does something the stage where it does.
        ready: for each symbol the stage in which it is there.
        stored: the symbols that lie in memory; other ones are computed where they are needed.
        late: what replaces the arrays of inputs, and is computed when nobody reads these any more.
        users: for each symbol the operations that have it as operand.
    """

    def __init__(self, program: Program, batch: Batch, late: Set[Symbol] = frozenset()) -> None:
        self.program, self.batch = program, batch
        self.stages = [COMMON, BLOCKS]
        self.stage: dict[Operation, int] = {}
        self.ready: dict[Symbol, int] = {}
        self.stored: set[Symbol] = set()
        self.users: dict[Symbol, list[Operation]] = defaultdict(list)
        self.outputs = set(symbols_in(tuple(program.outputs)))
        self.order = {operation: i for i, operation in enumerate(program.operations)}
        for operation in program.operations:
            for operand in operation.operands():
                self.users[operand].append(operation)
        self.late = self._depending(late)
        for operation in program.operations:
            if operation.result not in self.late:
                self._schedule(operation)
        if self.late and self.stages[-1] != COMMON:
            self.stages.append(COMMON)
        last = len(self.stages) - 1
        for operation in program.operations:
            if operation.result in self.late:
                self._schedule(operation, last)
        self._store_what_must()
        self._store_the_rest()

    # -- stages --------------------------------------------------------------------------------

    def kind(self, operation: Operation) -> str:
        """In which kind of stage an operation runs."""
        if operation.name in LINEAR or operation.name == "linear_weight_gradient":
            return THREAD
        if operation.name in BY_IMAGE or operation.name == "conv_weight_gradient":
            return BLOCKS
        return BLOCKS if any(o in self.batch.symbols for o in operation.operands()) else COMMON

    def _depending(self, symbols: Set[Symbol]) -> set[Symbol]:
        """These symbols, and what is computed from them."""
        found = set(symbols)
        for operation in self.program.operations:
            if any(operand in found for operand in operation.operands()):
                found.add(operation.result)
        return found

    def _schedule(self, operation: Operation, earliest: int = 0) -> None:
        kind, result = self.kind(operation), operation.result
        for operand in operation.operands():
            ready = self.ready.get(operand, -1)
            if ready >= 0:
                earliest = max(earliest, ready if self.stages[ready] == kind else ready + 1)
        if operation.name in UNSTORED:
            source = operation.args[0] if operation.args else None
            if isinstance(source, Symbol) and source in self.ready:
                self.ready[result] = self.ready[source]
            return
        stage = self._at_least(earliest, kind)
        self.stage[operation] = stage
        over_batch = operation.name in OVER_BATCH or (
            operation.name in REDUCED
            and operation.args[0] in self.batch.symbols
            and 0 in reduced_axes(operation)
        )
        self.ready[result] = self._at_least(stage + 1, COMMON) if over_batch else stage

    def _at_least(self, earliest: int, kind: str) -> int:
        for stage in range(earliest, len(self.stages)):
            if self.stages[stage] == kind:
                return stage
        self.stages.append(kind)
        return len(self.stages) - 1

    # -- what is stored ------------------------------------------------------------------------

    def _store_what_must(self) -> None:
        chains: dict[Symbol, int] = {}  # how many operations are done one after the other for it
        for operation in self.program.operations:
            result, users = operation.result, self.users[operation.result]
            if operation.name in UNSTORED:
                continue
            chain = 1 + max((chains.get(o, 0) for o in operation.operands()), default=0)
            needed = chain > LONGEST or result in self.outputs or operation.name in REDUCED
            needed |= operation.name in LINEAR | OVER_BATCH
            needed |= any(user.name in HEAVY or user.name in VIEWS for user in users)
            needed |= operation.name in _EXPENSIVE and len(users) > 1
            if result not in self.batch.symbols:
                needed |= len(users) > 1 or any(u.result in self.batch.symbols for u in users)
                needed |= any(user.name in REDUCED for user in users)
            if operation.name in HEAVY and any(user.name in REDUCED for user in users):
                needed = True
            if needed:
                self.stored.add(result)
            elif is_elementwise(operation):
                chains[result] = chain

    def _store_the_rest(self) -> None:
        """Store what would be computed too often, until nothing changes."""
        changed = True
        while changed:
            changed = False
            for operation in self.program.operations:
                result = operation.result
                if result in self.stored or operation not in self.stage:
                    continue
                if operation.name in HEAVY:
                    keep = not self._absorbs(operation)
                else:
                    later = any(
                        self.stage[root] > self.stage[operation] for root in self.roots(result)
                    )
                    keep = self._is_wide(operation) or (later and not self._repeatable(operation))
                if keep:
                    self.stored.add(result)
                    changed = True

    def roots(self, symbol: Symbol) -> Iterator[Operation]:
        """The operations that are carried out and compute a symbol on the way."""
        seen: set[Operation] = set()
        stack = list(self.users[symbol])
        while stack:
            user = stack.pop()
            if user in seen:
                continue
            seen.add(user)
            if is_elementwise(user) and user.result not in self.stored:
                stack += self.users[user.result]
            elif user in self.stage:
                yield user

    def _repeatable(self, operation: Operation) -> bool:
        """Whether an elementwise operation can be done again later from what is stored."""
        for symbol in self._inside(operation):
            made = symbol.operation
            assert made is not None
            if made.name in _EXPENSIVE:
                return False
        for leaf in self.leaves(operation):
            made = leaf.operation
            if leaf in self.batch.symbols and leaf not in self.stored and made in self.stage:
                return False
        return True

    def _is_wide(self, operation: Operation) -> bool:
        """Whether an operation joins more values than one should read again."""
        if len(operation.args) < 2 or operation.result not in self.batch.symbols:
            return False
        leaves = [leaf for leaf in self.leaves(operation) if leaf in self.batch.symbols]
        return len(leaves) > _MOST_LOADS

    def _inside(self, operation: Operation) -> Iterator[Symbol]:
        """What is computed on the way to an operation's result, that included."""
        stack, seen = [operation.result], set[Symbol]()
        while stack:
            symbol = stack.pop()
            made = symbol.operation
            if symbol in seen or made is None or not is_elementwise(made):
                continue
            if symbol in self.stored and symbol is not operation.result:
                continue
            seen.add(symbol)
            yield symbol
            stack += made.operands()

    def _absorbs(self, operation: Operation) -> bool:
        """Whether all that is made of a layer's result can be made at the end of its kernel."""
        stage, place = self.stage[operation], self.order[operation]
        if operation.result not in self.batch.symbols:
            return False
        for root in self.roots(operation.result):
            if not is_elementwise(root) or self.stage[root] != stage:
                return False
            if root.result.shape != operation.result.shape:
                return False
            for leaf in self.leaves(root):
                if leaf is not operation.result and not self._there(leaf, stage, place):
                    return False
        return True

    def leaves(self, root: Operation) -> Iterator[Symbol]:
        """What an operation needs that is not computed on the way."""
        return leaves(root, self.stored)

    def _there(self, symbol: Symbol, stage: int, place: int) -> bool:
        """Whether a value is in memory when the operation at ``place`` runs."""
        shown = viewed(symbol)
        if shown is None or shown.operation is None:
            return True
        if self.ready[shown] != stage:
            return self.ready[shown] < stage
        return self.order[shown.operation] < place
