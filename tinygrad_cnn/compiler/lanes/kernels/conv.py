"""Convolution by its definition: the forward pass, and the gradient of its input.

Images have two axes in space; where there is one, they have a single row.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import gcd

from ..emit import Builder, Module, Value
from ..expression import Expression
from .correlation import Axis, Correlation, Terms


@dataclass(frozen=True)
class Filters:
    """What a convolution does in space. Its weights: (groups * filters, channels, *kernel).

    Attributes:
        channels, filters: of each group.
        kernel: rows and columns of taps.
        stride, dilation: along rows and columns.
    """

    channels: int
    filters: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @property
    def taps(self) -> int:
        """Of one filter on one channel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def weight(self) -> tuple[int, int]:
        """The strides of the weights' filters and channels."""
        return self.channels * self.taps, self.taps

    @property
    def steps(self) -> tuple[int, int]:
        """From a tap to the next among a filter's weights, along rows and columns."""
        return self.kernel[1], 1

    def axis(
        self, axis: int, outputs: int, rows: tuple[int, int] | None = None, width: int = 1
    ) -> Axis:
        """How the taps of an axis meet its outputs.

        Args:
            axis: 0 for rows, 1 for columns.
            outputs: how many there are.
            rows: (first, how many) of the places that are not padding; by default all.
            width: how many numbers a weight has.
        """
        taps, stride, dilation = self.kernel[axis], self.stride[axis], self.dilation[axis]
        first, size = rows or (0, (outputs - 1) * stride + (taps - 1) * dilation + 1)
        return Axis(outputs, taps, stride, -first, dilation, 0, self.steps[axis] * width, size)


def operands(epilogue: Expression) -> list[str]:
    """What each pointer of an epilogue is."""
    stored = epilogue.pointers - len(epilogue.loads)
    return [
        *(f"operand {i} of the epilogue" for i in range(len(epilogue.loads))),
        *(f"result {i} of the epilogue" for i in range(stored)),
    ]


@dataclass(frozen=True)
class Convolution:
    """The forward pass of one block: sums, which the epilogue receives as its value 0.

    acc[k, h, w] = the sum over c, i, j of
    weight[k, c, i, j] x[c, h stride + i dilation, w stride + j dilation]

    Channels of x that lie a multiple of 4096 bytes apart compete for one place in the cache:
    kernels of one tap take up to twice the time; a vector more between them cures it.

    Attributes:
        filters: the convolution.
        size: rows and columns of the output.
        x: strides of (channel, row, column); its pointer is at the first padded element.
        epilogue: over the axes (k, h, w), k counted through all groups.
        rows: (first, how many) of the rows of x that are not padding with zeros; by default
            all. Taps that meet the others are left out.
    """

    filters: Filters
    size: tuple[int, int]
    x: tuple[int, int, int]
    epilogue: Expression
    rows: tuple[int, int] | None = None

    @property
    def pointers(self) -> tuple[str, ...]:
        """The operands, then the epilogue's."""
        return ("x", "weight", *operands(self.epilogue))

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        f = self.filters
        rows, columns = f.axis(0, self.size[0], self.rows), f.axis(1, self.size[1])
        sums = Correlation(f.filters, f.channels, rows, columns, self.x, f.weight)

        def body(b: Builder, x: Value, weight: Value, *others: Value) -> None:
            def group(g: Value) -> None:
                def finish(k: Terms, h: Terms, w: Terms, acc: Value) -> None:
                    self.epilogue.emit(b, ([(g, f.filters), *k], h, w), others, [acc])

                x_in = b.at(x, [(g, f.channels * self.x[0]), (-rows.first, self.x[1])])
                weight_in = b.at(weight, [(g, f.filters * f.weight[0])])
                sums.emit(b, x_in, weight_in, finish)

            b.loop(0, f.groups, lambda g, _: group(g))

        module.kernel(name, len(self.pointers), body)


@dataclass(frozen=True)
class InputGradient:
    """The gradient of a convolution's input for one block; the epilogue receives it as value 0.

    acc[c, h, w] = the sum over k, i, j of
    weight[k, c, i, j] g[k, (h + top - i dilation) / stride, (w + left - j dilation) / stride]
    over the taps whose quotients are whole. Input places that are equal modulo the stride meet
    the same taps: each such phase is a convolution of g at stride 1, and nothing is multiplied
    by the zeros between. With a bias added by its epilogue it is a transposed convolution.

    Attributes:
        filters: the convolution.
        size: rows and columns of its input, without padding.
        outputs: rows and columns of its output.
        gradient: strides of g's (filter, row, column); its pointer is at the first element of
            the gradient itself, which lies in a ``border`` of zeros.
        epilogue: over the axes (c, h, w), c counted through all groups.
        padding: (top, left) of the convolution.
    """

    filters: Filters
    size: tuple[int, int]
    outputs: tuple[int, int]
    gradient: tuple[int, int, int]
    epilogue: Expression
    padding: tuple[int, int] = (0, 0)

    @property
    def pointers(self) -> tuple[str, ...]:
        """The operands, then the epilogue's."""
        return ("gradient", "weight", *operands(self.epilogue))

    @property
    def border(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """How many zeros the gradient must lie in: ((above, below), (left, right)).

        It is border by (taps - 1) dilation - padding at stride 1.
        """
        sides = []
        for axis in range(2):
            phases = [taps for _, taps in self._phases(axis) if taps.taps]
            lowest = min((t.first for t in phases), default=0)
            reads = (t.outputs - 1 + t.first + (t.taps - 1) * t.step for t in phases)
            beyond = max(reads, default=0) - (self.outputs[axis] - 1)
            sides.append((max(0, -lowest), max(0, beyond)))
        return sides[0], sides[1]

    def _phases(self, axis: int) -> list[tuple[int, Axis]]:
        """The first input place of each phase along an axis, and how its taps meet g.

        The taps are taken from the last to the first, so that they read g forwards.
        """
        f = self.filters
        stride, dilation = f.stride[axis], f.dilation[axis]
        step = f.steps[axis]
        apart = stride // gcd(stride, dilation)  # from one tap of a phase to the next
        phases = []
        for start in range(min(stride, self.size[axis])):
            place = start + self.padding[axis]
            taps = [i for i in range(f.kernel[axis]) if (place - i * dilation) % stride == 0]
            last = taps[-1] if taps else 0
            meeting = Axis(
                outputs=-(-(self.size[axis] - start) // stride),
                taps=len(taps),
                stride=1,
                first=(place - last * dilation) // stride,
                step=apart * dilation // stride,
                weight=last * step,
                weight_step=-apart * step,
                size=self.outputs[axis],
            )
            phases.append((start, meeting))
        return phases

    def emit(self, module: Module, name: str) -> None:
        """Write the function of this name into the module."""
        f = self.filters
        phases = list(product(self._phases(0), self._phases(1)))

        def body(b: Builder, g: Value, weight: Value, *others: Value) -> None:
            def phase(n: Value, top: int, rows: Axis, left: int, columns: Axis) -> None:
                def finish(c: Terms, h: Terms, w: Terms, acc: Value) -> None:
                    rows_at = _spread(h, f.stride[0], top), _spread(w, f.stride[1], left)
                    self.epilogue.emit(b, ([(n, f.channels), *c], *rows_at), others, [acc])

                gradient, filters = self.gradient, f.weight[::-1]
                sums = Correlation(f.channels, f.filters, rows, columns, gradient, filters)
                g_in = b.at(g, [(n, f.filters * gradient[0])])
                weight_in = b.at(weight, [(n, f.filters * f.weight[0])])
                sums.emit(b, g_in, weight_in, finish)

            def group(n: Value) -> None:
                for rows, columns in phases:
                    phase(n, *rows, *columns)

            b.loop(0, f.groups, lambda n, _: group(n))

        module.kernel(name, len(self.pointers), body)


def _spread(index: Terms, stride: int, start: int) -> Terms:
    """An index of a phase as one of the whole axis."""
    return [*((value, factor * stride) for value, factor in index), (start, 1)]
