"""Runs a program as planned calls of NumPy."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.node import Leaf
from ...typing import Array
from .._executors import UnsupportedError
from .._program import Runner
from .._symbols import Symbol, symbols_in
from ..threads import get_num_threads
from ._binding import Binding, Block, Step
from ._lives import Lives, is_view
from ._memory import Buffers, arena
from ._pool import pool, single_threaded_blas
from ._schedule import Schedule

if TYPE_CHECKING:
    from .._trace import Trace

# Elements, and products / 8: less is not worth cutting into blocks, or, on the average of all
# calls, a second thread, since threads wait for Python's lock between calls.
_WORK, _WORK_OF_A_CALL = 300_000, 100_000
# Images of a block: few of large ones, which need memory, many of small ones, for longer calls.
_FEWEST, _MOST, _BLOCK = 32, 64, 2**20  # the last in elements of the largest value
_PRODUCTS = ("matmul", "convolve", "correlate", "convolve_back", "convolve_turned")
_AT_ONCE = ("convolve", "convolve_turned", "correlate", "im2col")  # one copy for all places
_SPLIT = 2_000_000  # multiplications of a product that all threads share
_KEPT = 2  # arrays for each output


class Planned:
    """A runner: arrays of the inputs in, arrays of the outputs out."""

    def __init__(self, trace: Trace) -> None:
        program, tracer = trace.program, trace.tracer
        self._program, self._lock = program, threading.Lock()
        given = [*trace.arguments, *tracer.draws]
        self.images, batched = _batch(trace.arguments, given)
        self.threads = min(get_num_threads(), self.images)
        self.schedule = Schedule(program, batched, self.images, self.threads)
        work, calls = _work(self.schedule)
        if work < _WORK:
            self.images, batched = 1, []
        if work < _WORK_OF_A_CALL * calls or not batched:
            self.threads = 1
            self.schedule = Schedule(program, batched, self.images, self.threads)
        # On one thread BLAS may use the others, unless the user wants one alone.
        self._keeps_blas_single = self.threads > 1 or get_num_threads() == 1
        self.lives = Lives(self.schedule)
        self.blocks = self._blocks() if batched else []
        variables = {s for s, tensor in tracer.parameters.items() if isinstance(tensor.node, Leaf)}
        self._prepare_inputs(variables | set(tracer.constants))
        self._given: list[Any] = [None] * len(program.inputs)
        self._outputs: list[list[Array]] = [[] for _ in program.outputs]
        self._replaced = {
            number: source
            for number, source in trace.aliases.items()
            if _is_computed(program.outputs[number])
        }
        self._bound: list[Any] | None = None  # the arrays of inputs that calls were bound to
        self._layout: list[Any] = []
        fixed = {s: tensor.data for s, tensor in tracer.parameters.items()} | tracer.constants
        self._bind([fixed[symbol] for symbol, _ in self._fixed])

    # -- planning ----------------------------------------------------------------------------

    def _blocks(self) -> list[Block]:
        largest = max(symbol.size for symbol in self.schedule.places) // self.images
        most = min(_MOST, max(_FEWEST, _BLOCK // largest))
        count = self.threads * -(-self.images // (self.threads * most))
        count = min(count, self.images)
        edges = [self.images * i // count for i in range(count + 1)]
        per_thread = -(-count // self.threads)
        return [
            Block(edges[i], edges[i + 1], i // per_thread, i % per_thread == 0)
            for i in range(count)
        ]

    def _prepare_inputs(self, fixed: set[Symbol]) -> None:
        """Which inputs are needed whole, and of these which are copied in each run."""
        needed = set(symbols_in(tuple(self._program.outputs)))
        for item in self.schedule.items:
            if item.operation is not None:
                needed |= {value.symbol for value in self.lives.operands(item) if value.whole}
        numbers = {symbol: number for number, symbol in enumerate(self._program.inputs)}
        self._numbers = numbers
        self._fixed = [(s, n) for s, n in numbers.items() if s in needed and s in fixed and s.ndim]
        held = {s for s, _ in self._fixed}
        self._copied = [
            (np.empty(s.shape, s.dtype), n, s)
            for s, n in numbers.items()
            if s in needed and s not in held
        ]

    def _plan_memory(self, given: Sequence[Any]) -> None:
        """Find what memory the calls need, and get it."""
        main = Buffers()
        provisional = self._bind_main(main, given)
        main.lay_out()
        self._buffers: dict[int, tuple[Buffers, Buffers]] = {}
        for block in self.blocks:
            images = block.stop - block.start
            if images not in self._buffers:
                self._buffers[images] = buffers = Buffers(), Buffers()
                self._bind_block(buffers, block, provisional)
                for each in buffers:
                    each.lay_out()
        scratch = max((b[0].size for b in self._buffers.values()), default=0)
        self._main_buffers, self._main_memory = main, arena(main.size)
        self._scratch = [arena(scratch) for _ in range(self.threads if self.blocks else 0)]
        self._kept = [arena(self._buffers[b.stop - b.start][1].size) for b in self.blocks]

    def _bind_main(self, buffers: Buffers, given: Sequence[Any]) -> Binding:
        main = Binding(self.schedule, self.lives, (buffers, buffers))
        main.bind_inputs({s: array for (s, _), array in zip(self._fixed, given, strict=True)})
        main.bind_inputs({s: array for array, _, s in self._copied})
        main.bind_inputs(self.schedule.constants)
        main.bind_whole(self.threads, self._product)
        return main

    def _bind_block(self, buffers: tuple[Buffers, Buffers], block: Block, main: Binding) -> Binding:
        made = Binding(self.schedule, self.lives, buffers, block, main)
        made.bind_block(self._load)
        return made

    def _load(self, symbol: Symbol, block: Block, out: Array) -> Step:
        number = self._numbers[symbol]

        def load() -> None:
            np.copyto(out, self._given[number][block.start : block.stop])

        return load

    def _product(self, x: Array, y: Array, out: Array) -> Step:
        """A product of the whole, all threads at once if it is large."""
        if self.threads == 1 or out.ndim != 2 or out.size * x.shape[1] < _SPLIT:
            return partial(np.matmul, x, y, out=out)
        rows, columns = out.shape
        longest = max(rows, columns)
        edges = [longest * i // self.threads for i in range(self.threads + 1)]
        tasks = []
        for start, stop in pairwise(edges):
            if rows >= columns:
                tasks.append(partial(np.matmul, x[start:stop], y, out=out[start:stop]))
            else:
                tasks.append(partial(np.matmul, x, y[:, start:stop], out=out[:, start:stop]))
        return lambda: pool().run(tasks)

    def _bind(self, given: list[Any]) -> None:
        """Bind all calls to the memory and to the arrays of fixed inputs."""
        layout = [array.strides for array in given]
        if self._bound is None or layout != self._layout:
            self._plan_memory(given)
            self._layout = layout
        self._main_buffers.use(self._main_memory)
        main = self._bind_main(self._main_buffers, given)
        blocks = []
        for block, kept in zip(self.blocks, self._kept, strict=True):
            buffers = self._buffers[block.stop - block.start]
            buffers[0].use(self._scratch[block.thread])
            buffers[1].use(kept)
            blocks.append(self._bind_block(buffers, block, main))
        self._levels: list[tuple[list[Step], list[Step]]] = []
        for level, steps in enumerate(main.steps):
            tasks: list[Step] = []
            for thread in range(self.threads):
                mine = [b.steps[level] for b in blocks if b.block and b.block.thread == thread]
                if calls := [step for steps in mine for step in steps]:
                    tasks.append(partial(_call, calls))
            self._levels.append((steps, tasks))
        self._results = main.arrays
        self._bound = given

    # -- running -----------------------------------------------------------------------------

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        """The outputs for these inputs."""
        with self._lock:
            self._given[:] = arrays
            try:
                if not self._keeps_blas_single:
                    return self._run()
                with single_threaded_blas():
                    return self._run()
            finally:
                self._given[:] = [None] * len(self._given)

    def _run(self) -> list[Any]:
        given = [self._given[number] for _, number in self._fixed]
        bound = self._bound
        if bound is None or any(a is not b for a, b in zip(given, bound, strict=True)):
            self._bind(given)
        for array, number, _ in self._copied:
            array[...] = self._given[number]
        for steps, tasks in self._levels:
            _call(steps)
            if tasks:
                pool().run(tasks)
        outputs = [self._output(i, output) for i, output in enumerate(self._program.outputs)]
        for number, source in self._replaced.items():  # last: nothing else is to see them
            target = outputs[number] = self._given[source]
            np.copyto(target, self._results[self._program.outputs[number]])
        return outputs

    def _output(self, number: int, output: Any) -> Any:
        """What the caller gets: an array of its own."""
        if not isinstance(output, Symbol):
            return output.copy() if isinstance(output, np.ndarray) else output
        if number in self._replaced:
            return None
        value = self._results[output]
        if not value.shape:
            return value[()]
        target = self._free(self._outputs[number], value)
        np.copyto(target, value)
        return target

    @staticmethod
    def _free(kept: list[Array], like: Array) -> Array:
        """An array that only we hold; of a step's gradients the caller may hold those before."""
        for array, holders in zip(kept, _holders(kept), strict=True):
            if holders == _OURS:
                return array
        kept.append(np.empty(like.shape, like.dtype))
        del kept[:-_KEPT]
        return kept[-1]


def _is_computed(output: Any) -> bool:
    """Whether a value lies in memory of its own, not in that of an input."""
    made = output.operation if isinstance(output, Symbol) else None
    return made is not None and bool(output.shape) and not is_view(made)


def _holders(arrays: Sequence[Array]) -> list[int]:
    return [sys.getrefcount(array) for array in arrays]


_OURS = _holders([np.empty(0)])[0]  # of an array in a list that nobody else holds


def _call(steps: Sequence[Step]) -> None:
    for step in steps:
        step()


def _batch(arguments: Sequence[Symbol], given: Sequence[Symbol]) -> tuple[int, list[Symbol]]:
    """The length of the batch, by the largest argument, and the inputs that are so long."""
    shaped = [symbol for symbol in arguments if symbol.ndim]
    if not shaped:
        return 1, []
    images = max(shaped, key=lambda symbol: symbol.size).shape[0]
    if images < 2:
        return 1, []
    return images, [symbol for symbol in given if symbol.ndim and symbol.shape[0] == images]


def _work(schedule: Schedule) -> tuple[int, int]:
    """How many elements, and products / 8, blocks compute together, and in how many calls."""
    work = calls = 0
    for item in schedule.items:
        operation = item.operation
        if item.in_blocks and operation is not None and not is_view(operation):
            work += item.symbol.size
            loops = "window" in operation.params and operation.name not in _AT_ONCE
            calls += operation.params["window"].places if loops else 1
            if operation.name in _PRODUCTS:
                work += item.symbol.size * operation.args[0].shape[-1] // 8
    return work, calls


def build(trace: Trace, compiled: Any) -> Runner:
    """Make a program ready.

    Raises:
        UnsupportedError: an array has no elements.
    """
    symbols = [*trace.program.inputs, *(o.result for o in trace.program.operations)]
    if any(0 in symbol.shape for symbol in symbols):
        raise UnsupportedError("an array without elements")
    return Planned(trace)
