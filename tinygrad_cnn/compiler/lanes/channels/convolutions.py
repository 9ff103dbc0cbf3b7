"""Convolutions of one image: which kernels do them, and how they are cut into calls."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..._symbols import Operation
from ..expression import Expression, Place
from ..kernels._transforms import Form
from ..kernels.conv import Filters
from ..kernels.loops import Loop
from ..kernels.pack import Fill, Pack
from ..kernels.winograd_choice import tiles_of
from ..plan import tasks
from ..plan.groups import Group
from ..plan.storage import Border, Ref, Storage
from . import jobs
from .conv import ChannelConvolution, DepthwiseConvolution
from .jobs import Job, Work, ended, share, shifted
from .winograd import FiltersTransform, ImageTransform, Pieces, WinogradProducts

if TYPE_CHECKING:
    from .planner import ChannelPlan

TOGETHER = 2  # vectors of filters of a call: few, beside many pixels


def _bordered(plan: ChannelPlan, symbol: Any, border: Border, lanes: bool) -> Ref:
    """An image with zeros around it, copied if it does not lie so."""
    ref = plan.vectors(symbol) if lanes else plan.plain(symbol)
    own = ref.storage.border or ((0, 0),) * len(border)
    whole = ref == ref.storage.ref or not any(map(any, border))
    if whole and all(a >= c and b >= d for (a, b), (c, d) in zip(own, border, strict=True)):
        return ref
    return plan.bordered(symbol, ref, border)


@dataclass(frozen=True)
class _Layer:
    """A convolution that is to be divided into calls.

    Attributes:
        filters: with the channels and filters of a group.
        x: the image, at the first padded element.
        strides: of its (channel, row, column).
        rows: the padding above the image, and its rows.
        near: how many channels of x lie side by side.
        weight: as they are given.
        group: what follows.
        depthwise: whether each filter sees one channel, and each channel one filter.
    """

    plan: ChannelPlan
    filters: Filters
    x: Ref
    strides: tuple[int, int, int]
    rows: tuple[int, int]
    near: int
    weight: Ref
    group: Group
    depthwise: bool

    @property
    def count(self) -> int:
        """How many filters there are."""
        return self.filters.filters * self.filters.groups

    @cached_property
    def scratch(self) -> Ref:
        """Where a thread packs the weights of a call, and what else it needs."""
        if self.pieces is not None:
            products = WinogradProducts(self.pieces, 1, Expression(1)).scratch
            return Storage("thread", (self.packed + self.pieces.weights + products,)).ref
        return Storage("thread", (self.packed,)).ref

    @property
    def packed(self) -> int:
        """How many numbers the packed weights of a call are."""
        channels = 1 if self.depthwise else len(self._seen(0))
        return self.size * channels * self.filters.taps * self.plan.lanes

    @property
    def blocks(self) -> int:
        """How many vectors of filters there are."""
        return self.plan.blocks(self.count)

    @property
    def size(self) -> int:
        """How many vectors of filters a call computes: few, so that pixels are many."""
        each = max(1, self.blocks // self.threads)
        if self.depthwise:
            return each
        if self.filters.groups > 1:
            return 1
        # Each call passes over the image: with one tap it has least to do there.
        return min(each, TOGETHER if self.filters.taps > 1 else 2 * TOGETHER)

    @property
    def threads(self) -> int:
        """How many threads divide it."""
        outputs = math.prod(self.group.shape[1:]) * self.plan.lanes
        products: float = outputs * self.filters.channels * self.filters.taps
        if self.pieces is not None:
            products = self.pieces.cost * self.plan.lanes
        return self.plan.threads if products >= 10 * jobs.WORTH else 1

    def calls(self, thread: int, threads: int) -> list[Work]:
        """What a thread does, of so many."""
        threads, lines = min(threads, self.threads), self.group.shape[2]
        if thread >= threads:
            return []
        strips = [
            range(first, min(first + self.size, self.blocks))
            for first in range(0, self.blocks, self.size)
        ]
        mine, rows = share(len(strips), thread, threads), range(lines)
        if self.pieces is not None:
            return [call for n in mine for call in self._products(strips[n])]
        if len(strips) % threads and lines >= threads:  # else their shares would differ
            mine, rows = range(len(strips)), share(lines, thread, threads)
        return [call for n in mine for call in self._strip(strips[n], rows)]

    def _seen(self, block: int) -> range:
        """The channels that the filters of a vector see; as many for each vector."""
        f, lanes = self.filters, self.plan.lanes

        def groups(block: int) -> range:
            last = min((block + 1) * lanes, self.count) - 1
            return range(block * lanes // f.filters, last // f.filters + 1)

        most = max(len(groups(n)) for n in range(self.blocks))
        first = min(groups(block).start, f.groups - most)
        return range(first * f.channels, (first + most) * f.channels)

    def _strip(self, blocks: range, rows: range) -> list[Work]:
        """The rows of some vectors of filters."""
        f, expression = self.filters, self.group.expression()
        ends = ended(expression, self.group.pointers, 0, blocks.start)
        ends = ended(expression, ends, 1, rows.start)
        x = shifted(self.x, rows.start * f.stride[0] * self.strides[1])
        inside = self.rows[0] - rows.start * f.stride[0], self.rows[1]
        columns = self.group.shape[3]
        common = len(blocks), (len(rows), columns), self.strides, expression, inside
        kernel: Any
        if self.depthwise:
            kernel = DepthwiseConvolution(f, *common)
            x = shifted(x, blocks.start * self.strides[0])
        else:
            seen = self._seen(blocks.start)
            vector, first = divmod(seen.start, self.near)
            x = shifted(x, vector * self.strides[0])
            one = replace(f, channels=len(seen), filters=self.count, groups=1)
            kernel = ChannelConvolution(one, *common, self.near, first)
        packs = [call for i, n in enumerate(blocks) for call in self._packed(n, i)]
        return [*packs, Work(kernel, [x, self.scratch, *ends])]

    def _packed(self, block: int, place: int) -> list[Work]:
        """The weights of a vector of filters to (channel, tap, lane)."""
        f, lanes = self.filters, self.plan.lanes
        row, first = f.channels * f.taps, block * lanes
        filters = min(lanes, self.count - first)
        seen = 1 if self.depthwise else len(self._seen(block))
        to = shifted(self.scratch, place * seen * f.taps * lanes)
        if self.depthwise or seen == f.channels:
            kernel = Pack((row,), (row, 1), Place((lanes,)), filters)
            return [Work(kernel, [shifted(self.weight, first * row), to])]
        calls = [Work(Fill((seen * f.taps,), Place((lanes,))), [to])]
        copy = Expression(0, (Place((1,)),), (), ((0, Place((lanes,))),))
        for lane in range(filters):  # each to the channels of its own group
            k = first + lane
            channel = k // f.filters * f.channels - self._seen(block).start
            there = shifted(to, channel * f.taps * lanes + lane)
            calls.append(
                Work(Loop((row,), copy, lanes=False), [shifted(self.weight, k * row), there])
            )
        return calls

    # -- Winograd ------------------------------------------------------------------------------

    @cached_property
    def pieces(self) -> Pieces | None:
        """How Winograd's algorithm cuts it, where that pays."""
        f = self.filters
        square = f.kernel == (f.kernel[0],) * 2 and f.stride == f.dilation == (1, 1)
        if not square or f.groups > 1 or self.near == 1:
            return None
        size: Any = self.group.shape[2:]
        every = [
            Pieces(Form(tile, f.kernel[0]), size, f.channels, f.filters, self.plan.lanes)
            for tile in tiles_of(self.plan.accuracy, f.kernel[0])
            if tile[0] <= size[0] and tile[1] <= size[1]
        ]
        best = min(every, key=lambda pieces: pieces.cost, default=None)
        return best if best is not None and best.cost < best.direct else None

    @cached_property
    def transformed(self) -> Ref:
        """Where the transformed image is; no other is needed at the same time."""
        assert self.pieces is not None
        return Storage("shared", (self.pieces.image,)).ref

    def transform(self, thread: int, threads: int) -> list[Work]:
        """A thread's part of the image's transform."""
        assert self.pieces is not None
        blocks = share(self.pieces.blocks, thread, min(threads, self.threads))
        if not blocks:
            return []
        kernel = ImageTransform(self.pieces, len(blocks), self.strides)
        to = shifted(self.transformed, blocks.start * self.plan.lanes)
        return [Work(kernel, [shifted(self.x, blocks.start * self.strides[0]), to])]

    def _products(self, blocks: range) -> list[Work]:
        """Some vectors of filters of the transformed image."""
        assert self.pieces is not None
        pieces, expression = self.pieces, self.group.expression()
        kernel = WinogradProducts(pieces, len(blocks), expression)
        weights = shifted(self.scratch, self.packed)
        room = shifted(weights, pieces.weights)
        ends = ended(expression, self.group.pointers, 0, blocks.start)
        return [
            *(call for i, n in enumerate(blocks) for call in self._packed(n, i)),
            Work(FiltersTransform(pieces, len(blocks)), [self.scratch, weights]),
            Work(kernel, [self.transformed, weights, room, *ends]),
        ]


def convolution(plan: ChannelPlan, operation: Operation, group: Group) -> Job:
    """The job of a convolution, for which others may be added before."""
    params, (image, weight) = operation.params, operation.args
    window, groups = params["window"], params["groups"]
    k, c = weight.shape[:2]
    filters = Filters(c, k // groups, window.kernel, window.stride, window.dilation, groups)
    depthwise = c == 1 and k == groups > 1
    lanes = depthwise or image in plan.uses.channels
    x = _bordered(plan, image, params["padding"], lanes)
    strides: Any = x.strides if lanes else x.strides[1:]
    top, left = tasks.before(params)
    layer = _Layer(
        plan, filters, shifted(x, -(top * strides[1] + left * strides[2])), strides,
        (top, image.shape[2]), plan.lanes if lanes else 1, plan.dense(weight), group,
        depthwise,
    )  # fmt: skip
    if layer.pieces is None:
        return Job("conv", layer.calls, group)
    plan.add(Job("winograd_image", layer.transform))
    return Job("winograd", layer.calls, group)
