"""Loops whose length is given when they run, so that many share their code."""

from __future__ import annotations

import pytest

pytest.importorskip("llvmlite")

from loop_cases import TYPES, check, dense

from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
from tinygrad_cnn.compiler.lanes.kernels.loops import Loop, Reduction, counted


def update(length, axes=0):
    """An optimiser's update of a parameter, by numbers that are read once; axes of length 1."""
    one = dense((length,)), Place((0,))
    loads = [p._replace(strides=(*p.strides, *[0] * axes)) for p in (*one, one[0], one[1])]
    steps = (
        Step("divide", (1, 3)), Step("multiply", (4, 2)), Step("subtract", (0, 5)),
        Step("maximum", (6, 0.25)),
    )  # fmt: skip
    stores = ((6, loads[0]), (7, loads[0]))
    return Loop((length, *[1] * axes), Expression(0, tuple(loads), steps, stores), lanes=False)


@TYPES
def test_loops_that_are_given_their_length(dtype):
    lengths = [*range(2, 12), 31, 32, 33, 63, 64, 65, 1000]
    loops = [update(length, axes=length % 3) for length in lengths]
    assert len({counted(loop)[0] for loop in loops}) == 1
    assert [counted(loop)[1] for loop in loops] == [(n,) for n in lengths]
    check(loops, dtype)


def test_loops_that_keep_their_length():
    """With two axes, with reductions, or with numbers that are not side by side."""
    far, two = Place((3,)), Place((50, 1))
    for lengths, place in (((8,), far), ((8, 9), two)):
        expression = Expression(0, (place,), (), ((0, place),))
        loop = Loop(lengths, expression, lanes=False)
        assert counted(loop) == (loop, ())
    total = Reduction("sum", 0, Place(()))
    expression = Expression(0, (dense((8,)),))
    loop = Loop((8,), expression, 1, (total,), lanes=False)
    assert counted(loop) == (loop, ())
