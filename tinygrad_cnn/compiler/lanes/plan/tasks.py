"""The calls of a plan: a kernel for each, and what its pointers point to."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..expression import Expression, Place
from ..kernels.conv import Convolution, Filters, InputGradient
from ..kernels.conv_weight import WeightGradient
from ..kernels.linear import Linear
from ..kernels.linear_weight import LinearWeightGradient
from ..kernels.loops import Loop
from ..kernels.pack import Mask
from ..kernels.pool import AveragePool, AveragePoolGradient, MaxPool, MaxPoolGradient
from ..kernels.windows import Windows
from ..kernels.winograd import WinogradConvolution
from ..kernels.winograd_choice import Tile
from ..kernels.winograd_weight import WinogradWeightGradient
from .groups import Group
from .storage import Ref, Storage

SPLIT = 8192  # numbers of an array from which on all threads work on it

Make = Callable[[int, int | None], Any]


@dataclass
class Task:
    """One call for each block, or one for each thread, or one for all.

    Attributes:
        what: the operation's name.
        stage: in which stage it runs.
        make: the kernel, for so many blocks at once (of THREAD tasks), and so many images in the
            last block (None: all lanes have one); None for a task that ``split`` makes.
        pointers: what the kernel's pointers point to.
        group: the elementwise part, which may grow while the plan is made.
        masked: a gradient whose lanes without an image must be cleared before.
        scratch: how many numbers of room, if the kernel needs it, for so many blocks.
        split: of a shared task that threads divide the part (kernel, pointers) of a thread out of
            so many, or None; some of the pointers are numbers.
    """

    what: str
    stage: int
    make: Make | None
    pointers: Callable[[], Sequence[Ref | None]]
    group: Group | None = None
    masked: Ref | None = None
    scratch: Callable[[int], int] | None = None
    split: Callable[[int, int], tuple[Any, list[Ref | int]] | None] | None = None

    @property
    def storages(self) -> list[Storage]:
        """All that it touches."""
        refs = [ref for ref in self.pointers() if ref is not None]
        return [ref.storage for ref in refs]


def loop(group: Group, stage: int) -> Task:
    """A loop of its own."""

    def make(blocks: int, images: int | None) -> Loop:
        expression = group.expression()
        reductions = group.reductions(images)
        reduced = len(group.reduced or ())
        return Loop(group.loop_lengths, expression, reduced, reductions, lanes=group.batched)

    return Task("loop", stage, make, lambda: group.pointers, group)


def split_loop(task: Task) -> Callable[[int, int], Any] | None:
    """How threads divide a loop over large shared arrays, or None: one of them does it."""
    group = task.group
    if group is None or group.batched or group.reduced is not None or group.given is not None:
        return None
    count, refs = math.prod(group.shape), group.pointers
    whole = all(
        (ref.dense and ref.shape == group.shape) or math.prod(ref.shape) == 1 for ref in refs
    )
    if count < SPLIT or not whole:
        return None
    expression = group.expression()

    def place(old: Place) -> Place:
        return old._replace(strides=(int(any(old.strides)),))

    flat = expression._replace(
        loads=tuple(map(place, expression.loads)),
        stores=tuple((number, place(old)) for number, old in expression.stores),
    )

    def part(thread: int, threads: int) -> tuple[Any, list[Ref]]:
        start, stop = share(count, thread, threads)
        moved = [r if math.prod(r.shape) == 1 else _moved(r, start) for r in refs]
        return Loop((stop - start,), flat, lanes=False), moved

    return part


def share(count: int, thread: int, threads: int) -> tuple[int, int]:
    """One thread's part of so many numbers, in whole cache lines."""
    lines = count // 16
    start, stop = lines * thread // threads * 16, lines * (thread + 1) // threads * 16
    return start, count if thread == threads - 1 else stop


def _two(values: tuple[int, ...]) -> tuple[int, int]:
    rows, columns = values
    return rows, columns


def _three(values: tuple[int, ...]) -> tuple[int, int, int]:
    channels, rows, columns = values
    return channels, rows, columns


def rows(strides: Sequence[int], refs: Sequence[Ref], start: int) -> list[Ref]:
    """The same arrays from a row on."""
    return [_moved(ref, start * stride) for ref, stride in zip(refs, strides, strict=True)]


def _moved(ref: Ref, numbers: int) -> Ref:
    return ref._replace(offset=ref.offset + numbers)


def convolution(group: Group, stage: int, x: Ref, w: Ref, params: dict[str, Any]) -> Task:
    """The forward pass."""
    filters, (top, left) = _filters(w, params), before(params)
    size: Any = group.shape[2:]
    start = _moved(x, -(top * x.strides[1] + left * x.strides[2]))
    rows = (top, x.shape[1]) if top else None

    def make(blocks: int, images: int | None) -> Convolution:
        return Convolution(filters, size, _three(x.strides), group.expression(), rows)

    return Task("conv", stage, make, lambda: [start, w, *group.pointers], group)


def input_gradient(group: Group, stage: int, g: Ref, w: Ref, params: dict[str, Any]) -> Task:
    """The gradient by the images."""
    size: Any = group.shape[2:]
    filters = _filters(w, params)

    def make(blocks: int, images: int | None) -> InputGradient:
        return InputGradient(
            filters, size, _two(g.shape[1:]), _three(g.strides), group.expression(), before(params)
        )

    return Task("conv_input_gradient", stage, make, lambda: [g, w, *group.pointers], group)


def gradient_border(w: Ref, size: Any, outputs: Any, params: dict[str, Any]) -> Any:
    """The zeros that the gradient of a convolution's result must lie in."""
    return InputGradient(
        _filters(w, params), size, outputs, (0, 0, 0), Expression(1), before(params)
    ).border


def weight_gradient(stage: int, g: Ref, x: Ref, out: Ref, params: dict[str, Any]) -> Task:
    """The gradient by the weights, added up over blocks."""
    top, left = before(params)
    start = _moved(x, -(top * x.strides[1] + left * x.strides[2]))
    filters = _filters(out, params)

    def make(blocks: int, images: int | None) -> WeightGradient:
        return WeightGradient(filters, _two(g.shape[1:]), _three(x.strides), _three(g.strides))

    return Task("conv_weight_gradient", stage, make, lambda: [start, g, out], masked=g)


def _filters(w: Ref, params: dict[str, Any]) -> Filters:
    window, groups = params["window"], params["groups"]
    k, c = w.shape[:2]
    return Filters(c, k // groups, window.kernel, window.stride, window.dilation, groups)


def before(params: dict[str, Any]) -> tuple[int, int]:
    """The padding above and to the left."""
    (top, _), (left, _) = params["padding"]
    return top, left


def winograd(
    group: Group, stage: int, x: Ref, corner: tuple[int, int], filters: Ref, weight: Any,
    tile: Tile, lanes: int, turned: bool,
) -> Task:  # fmt: skip
    """A convolution, or turned the gradient of its input, by Winograd's algorithm."""
    k, c, r, _ = weight
    channels, outputs = (k, c) if turned else (c, k)
    start = _moved(x, -(corner[0] * x.strides[1] + corner[1] * x.strides[2]))

    def make(blocks: int, images: int | None) -> WinogradConvolution:
        return WinogradConvolution(
            channels,
            outputs,
            r,
            _two(group.shape[2:]),
            _three(x.strides),
            group.expression(),
            lanes,
            tile,
        )

    return Task(
        "winograd", stage, make, lambda: [start, filters, None, *group.pointers], group,
        scratch=lambda blocks: make(blocks, None).scratch,
    )  # fmt: skip


def winograd_weight(
    stage: int, g: Ref, x: Ref, weight: Any, params: dict[str, Any], tile: Tile, lanes: int
) -> tuple[Callable[[Ref], Task], WinogradWeightGradient]:
    """The gradient by the weights by Winograd's algorithm, before it is unpacked."""
    k, c, r, _ = weight
    top, left = before(params)
    start = _moved(x, -(top * x.strides[1] + left * x.strides[2]))
    strides = _three(x.strides), _three(g.strides)
    kernel = WinogradWeightGradient(c, k, r, _two(g.shape[1:]), *strides, lanes, tile)

    def task(sums: Ref) -> Task:
        return Task(
            "winograd_weight", stage, lambda blocks, images: kernel,
            lambda: [start, g, sums, None], masked=g, scratch=lambda blocks: kernel.scratch,
        )  # fmt: skip

    return task, kernel


def pool(
    name: str, group: Group, stage: int, source: Ref, switches: Ref | None, image: Any, params: Any
) -> Task:
    """A pool or its gradient; ``image`` is the shape (C, H, W) of what is pooled."""
    rows, columns = _windows(image, params)
    place = Place(source.strides)

    def make(blocks: int, images: int | None) -> Any:
        common = (image[0], rows, columns, place, group.expression())
        if name == "max_pool":
            return MaxPool(*common, switches is not None)
        if name == "max_pool_gradient":
            return MaxPoolGradient(*common)
        kind = AveragePool if name == "average_pool" else AveragePoolGradient
        return kind(*common, params["divisors"])

    def pointers() -> list[Ref]:
        return [source, *([switches] if switches is not None else []), *group.pointers]

    return Task(name, stage, make, pointers, group)


def switch_numbers(image: Any, params: Any, lanes: int, itemsize: int) -> int:
    """How many numbers the switches of a pool take for a block."""
    rows, columns = _windows(image, params)
    kernel = MaxPool(image[0], rows, columns, Place(()), Expression(1))
    return kernel.switch_numbers(lanes, itemsize)


def _windows(image: Any, params: Any) -> tuple[Windows, Windows]:
    """The windows of a pool along the two axes of a plane."""
    placed = params["placed"]
    axes = zip(image[1:], placed.window.kernel, placed.window.stride, placed.window.dilation,
               placed.padding, strict=True)  # fmt: skip
    rows, columns = (
        Windows(n, (n + a + b - (f - 1) * d - 1) // s + 1, f, s, d, a)
        for n, f, s, d, (a, b) in axes
    )
    return rows, columns


def linear(stage: int, x: Ref, w: Ref, out: Ref, *, across: bool) -> Task:
    """A product with shared weights; ``across`` reads them the other way round."""
    lanes = x.storage.lanes
    strides = (w.strides[1], w.strides[0]) if across else (w.strides[0], w.strides[1])

    def make(blocks: int, images: int | None) -> Linear:
        stored = Place((out.storage.size, lanes))
        epilogue = Expression(1, (), (), ((0, stored),))
        return Linear(out.shape[0], x.shape[0], blocks, lanes, x.storage.size, strides, epilogue)

    return Task(
        "linear", stage, make, lambda: [x, w, None, out],
        scratch=lambda blocks: make(blocks, None).scratch,
    )  # fmt: skip


def linear_weight_gradient(stage: int, g: Ref, x: Ref, out: Ref) -> Task:
    """The gradient by the weights, over all blocks of a thread."""
    lanes = x.storage.lanes

    def make(blocks: int, images: int | None) -> LinearWeightGradient:
        return LinearWeightGradient(
            g.shape[0], x.shape[0], blocks, lanes, x.storage.size, g.storage.size
        )

    return Task(
        "linear_weight_gradient", stage, make, lambda: [x, g, None, out], masked=g,
        scratch=lambda blocks: make(blocks, None).scratch,
    )  # fmt: skip


def mask(ref: Ref, images: int) -> Mask:
    """Clears the lanes of a value that have no image."""
    return Mask(ref.shape, Place(ref.strides), images)
