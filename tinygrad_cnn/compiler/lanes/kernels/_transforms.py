"""Winograd's transforms: Cook-Toom matrices, exact, and their application to matrices of vectors.

A convolution of a tile of n x n inputs with r x r taps, n = m + r - 1, gives m x m outputs:
``A' ((G g G') * (B' d B)) A``, with n² products in place of m² r². Rows and columns may differ
in m, and then have matrices of their own.

Source: A. Lavin and S. Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from typing import NamedTuple, TypeAlias

from ....errors import ArgumentError
from ..emit import Builder, Value

Matrix: TypeAlias = tuple[tuple[Fraction, ...], ...]

# Where the polynomials are evaluated, beside zero and infinity; each has its opposite, and shares
# half of the work with it. Five points at 0, 1, -1, 2 and -2 would double the rounding errors.
_POSITIVE = {
    3: [Fraction(1)],
    5: [Fraction(3, 4), Fraction(3, 2)],
    7: [Fraction(1), Fraction(2), Fraction(1, 2)],
}


class Transforms(NamedTuple):
    """The matrices of F(m x m, r x r), with n = m + r - 1.

    Attributes:
        output: A', (m, n).
        filter: G, (n, r).
        input: B', (n, n).
    """

    output: Matrix
    filter: Matrix
    input: Matrix


@cache
def cook_toom(m: int, r: int) -> Transforms:
    """The matrices for m outputs and r taps in each direction.

    Raises:
        ArgumentError: no points are known for these.

    >>> [[int(x) for x in row] for row in cook_toom(2, 3).output]
    [[1, 1, 1, 0], [0, 1, -1, 1]]
    """
    positive = _POSITIVE.get(m + r - 2)
    if min(m, r) < 2 or positive is None:
        raise ArgumentError(
            f"Winograd F({m} x {m}, {r} x {r}): expected m and r from 2 up, m + r of 5, 7 or 9"
        )
    points = [Fraction(0), *(sign * x for x in positive for sign in (1, -1))]
    others = [[z for z in points if z != x] for x in points]
    scales = [_polynomial(other, x) for x, other in zip(points, others, strict=True)]
    last = (*[Fraction(0)] * (r - 1), Fraction(1))
    return Transforms(
        output=tuple((*(x**i for x in points), Fraction(int(i == m - 1))) for i in range(m)),
        filter=(
            *(tuple(x**j / s for j in range(r)) for x, s in zip(points, scales, strict=True)),
            last,
        ),
        input=(
            *((*_coefficients(other), Fraction(0)) for other in others),
            tuple(_coefficients(points)),
        ),
    )


class Form(NamedTuple):
    """F(m x m', r x r): which transforms a convolution has, down and across.

    Attributes:
        tile: the rows and columns of the outputs of a tile, m and m'.
        kernel: the length of a filter, r.
    """

    tile: tuple[int, int]
    kernel: int

    @property
    def inputs(self) -> tuple[int, int]:
        """The rows and columns of the inputs of a tile."""
        return self.tile[0] + self.kernel - 1, self.tile[1] + self.kernel - 1

    @property
    def points(self) -> int:
        """How many products stand for a tile."""
        return self.inputs[0] * self.inputs[1]

    @property
    def matrices(self) -> tuple[Transforms, Transforms]:
        """Those down and those across."""
        return cook_toom(self.tile[0], self.kernel), cook_toom(self.tile[1], self.kernel)

    @property
    def output(self) -> tuple[Matrix, Matrix]:
        """A', down and across."""
        down, across = self.matrices
        return down.output, across.output

    @property
    def filter(self) -> tuple[Matrix, Matrix]:
        """G, down and across."""
        down, across = self.matrices
        return down.filter, across.filter

    @property
    def input(self) -> tuple[Matrix, Matrix]:
        """B', down and across."""
        down, across = self.matrices
        return down.input, across.input


def _polynomial(roots: Sequence[Fraction], x: Fraction) -> Fraction:
    """The value at x of the monic polynomial with these roots."""
    value = Fraction(1)
    for root in roots:
        value *= x - root
    return value


def _coefficients(roots: Sequence[Fraction]) -> list[Fraction]:
    """Of the monic polynomial with these roots, the constant first."""
    found = [Fraction(1)]
    for root in roots:
        shifted, scaled = ([Fraction(0), *found], [*(root * c for c in found), Fraction(0)])
        found = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return found


def transposed(matrices: tuple[Matrix, Matrix]) -> tuple[Matrix, Matrix]:
    """The matrices with their rows as columns."""
    down, across = matrices
    return tuple(zip(*down, strict=True)), tuple(zip(*across, strict=True))


def transform(
    builder: Builder, matrices: tuple[Matrix, Matrix], values: Sequence[Sequence[Value]]
) -> list[list[Value]]:
    """``down @ values @ across'`` of a matrix of vectors."""
    down, across = matrices
    columns = [apply(builder, down, column) for column in zip(*values, strict=True)]
    return [apply(builder, across, row) for row in zip(*columns, strict=True)]


def apply(builder: Builder, matrix: Matrix, values: Sequence[Value]) -> list[Value]:
    """``matrix @ values``; opposite points share their even and their odd half."""
    rows, columns = len(matrix), len(values)
    if rows >= columns:  # the points are along the rows
        made: list[Value] = [None] * rows
        for i in range(1, rows - 2, 2):
            plus, minus = matrix[i], matrix[i + 1]
            even = [(a + b) / 2 for a, b in zip(plus, minus, strict=True)]
            odd = [(a - b) / 2 for a, b in zip(plus, minus, strict=True)]
            scale = next(c for c in reversed(odd) if c)  # a factor costs nothing in the sum below
            s, d = (
                _combine(builder, even, values),
                _combine(builder, [c / scale for c in odd], values),
            )
            made[i], made[i + 1] = (
                _combine(builder, [Fraction(1), sign * scale], [s, d]) for sign in (1, -1)
            )
        return [
            _combine(builder, row, values) if value is None else value
            for row, value in zip(matrix, made, strict=True)
        ]
    halves, shared = [list(row) for row in matrix], list(values)
    for i in range(1, columns - 2, 2):
        x, y = shared[i], shared[i + 1]
        shared[i], shared[i + 1] = builder.ir.fadd(x, y), builder.ir.fsub(x, y)
        for row in halves:
            row[i], row[i + 1] = (row[i] + row[i + 1]) / 2, (row[i] - row[i + 1]) / 2
    return [_combine(builder, row, shared) for row in halves]


def _combine(builder: Builder, row: Sequence[Fraction], values: Sequence[Value]) -> Value:
    """The sum of products; ones cost an addition, and come first."""
    terms = [(c, v) for c, v in zip(row, values, strict=True) if c]
    terms.sort(key=lambda term: (term[0] != 1, abs(term[0]) != 1))
    first, total = terms[0]
    if first != 1:
        total = builder.ir.fmul(total, builder.splat(float(first)))
    for coefficient, value in terms[1:]:
        if coefficient == 1:
            total = builder.ir.fadd(total, value)
        elif coefficient == -1:
            total = builder.ir.fsub(total, value)
        else:
            total = builder.fma(value, builder.splat(float(coefficient)), total)
    return total
