"""Fused loops against NumPy, over shapes, strides, widths and kinds of reductions."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from loop_cases import REDUCTIONS, TYPES, aligned, arrays_for, check, dense, lanes_of

from tinygrad_cnn.compiler.lanes.expression import Expression, Place, Step
from tinygrad_cnn.compiler.lanes.kernels.loops import Loop, Reduction, add_arrays, add_lanes
from tinygrad_cnn.compiler.lanes.library import build
from tinygrad_cnn.errors import ArgumentError

RELU = (Step("maximum", (0, 0.0)),)
SCALED = (Step("multiply", (0, 1)), Step("add", (3, 2)), Step("maximum", (4, 0.0)))


@TYPES
def test_loops_over_a_block(dtype):
    n = lanes_of(dtype)
    loops = []
    for lengths in (
        (),
        (1,),
        (2,),
        (3,),
        (4,),
        (5,),
        (13,),
        (1, 7),
        (3, 4),
        (2, 3, 5),
        (2, 1, 3, 3),
    ):
        whole = dense(lengths, n)
        padded = dense(lengths, n, border=2, offset=3 * n)
        turned = Place(dense(lengths[::-1], n).strides[::-1])
        loops += [
            Loop(lengths, Expression(0, (whole,), RELU, ((1, whole),))),
            Loop(lengths, Expression(0, (padded,), RELU, ((1, whole), (0, padded)))),
            Loop(lengths, Expression(0, (turned,), RELU, ((1, padded),))),
        ]
        if lengths:
            # a number for each index of the first axis, as the parameters of channels have
            channel = Place((1, *[0] * (len(lengths) - 1)), 2, lanes=False)
            expression = Expression(0, (whole, channel, channel), SCALED, ((5, padded),))
            loops.append(Loop(lengths, expression))
    check(loops, dtype)


@TYPES
def test_what_does_not_depend_on_inner_axes(dtype):
    """Values of outer loops, of constants alone, and stores outside of the inner loop."""
    n = lanes_of(dtype)
    whole, channel = dense((3, 4, 5), n), Place((1, 0, 0), lanes=False)
    lane = Place((0, n, 0))
    steps = (
        Step("exp", (1,)),  # 3: once for a channel
        Step("add", (2, 3)),  # 4: once for a row
        Step("multiply", (0, 4)),  # 5
        Step("add", (2.0, 3.0)),  # 6: once
        Step("multiply", (5, 6)),  # 7
    )
    stores = ((7, whole), (3, Place((n, 0, 0))), (6, dense((3, 4, 5), n)))
    check([Loop((3, 4, 5), Expression(0, (whole, channel, lane), steps, stores))], dtype)


@TYPES
def test_masks_are_stored_and_counted(dtype):
    n = lanes_of(dtype)
    steps = (Step("greater", (0, 0.25)), Step("where", (1, 0, -1.0)))
    whole, flat = dense((3, 5), n), Place((1,))
    count = (Reduction("sum", 1, Place((n,))), Reduction("min", 2, Place((n,))))
    total = (Reduction("sum", 1, Place(())),)
    block = Expression(0, (whole,), steps, ((1, whole), (2, whole)))
    shared = Expression(0, (flat,), steps, ((1, flat), (2, flat)))
    check([Loop((3, 5), block, 1, count), Loop((4 * n + 3,), shared, 1, total, False)], dtype)


@TYPES
def test_reductions_of_a_block(dtype):
    n = lanes_of(dtype)
    loops = []
    shapes = (
        ((), 0),
        ((1,), 1),
        ((10,), 1),
        ((3,), 0),
        ((5, 7), 1),
        ((4, 3, 6), 2),
        ((2, 9, 2), 1),
    )
    for lengths, reduced in shapes:
        kept = lengths[: len(lengths) - reduced]
        whole, padded = dense(lengths, n), dense(lengths, n, border=1, offset=n)
        channels_last = Place(dense((*lengths[len(kept) :], *kept), n).strides)
        inward = channels_last.strides
        inner = Place((*inward[reduced:], *inward[:reduced]))  # the kept axes are closer
        one_each = dense(kept, 1, lanes=False)
        for operation, accumulate in (
            ("sum", True),
            ("max", False),
            ("min", True),
            ("prod", False),
        ):
            expression = Expression(
                0, (whole, padded, inner), (Step("add", (0, 1)),), ((3, inner),)
            )
            reductions = (
                Reduction(operation, 3, dense(kept, n, offset=n), accumulate),
                Reduction("sum", 2, one_each, accumulate),
                Reduction(operation, 2, dense(kept, n), not accumulate, images=n - 1),
                Reduction("max", 0, one_each, images=1),
            )
            loops.append(Loop(lengths, expression, reduced, reductions))
            loops.append(
                Loop(
                    lengths,
                    Expression(0, (inner,)),
                    reduced,
                    (Reduction(operation, 0, dense(kept, n)),),
                )
            )
    check(loops, dtype)


@TYPES
def test_loops_over_shared_arrays(dtype):
    n = lanes_of(dtype)
    loops = []
    for lengths in (
        (1,),
        (n - 1,),
        (n,),
        (n + 1,),
        (7 * n + 3,),
        (3, 5),
        (3, 4 * n + 1),
        (2, 3, n),
    ):
        whole = dense(lengths, offset=1)
        gaps = dense(lengths, 2)
        number = Place((0,) * len(lengths), 5)
        row = Place((*[0] * (len(lengths) - 1), 1))
        for place in (whole, gaps, dense(lengths, border=1), Place(row.strides, 2)):
            expression = Expression(0, (whole, number, place), SCALED, ((5, whole),))
            loops.append(Loop(lengths, expression, lanes=False))
        strided = Expression(0, (whole, number, row), SCALED, ((5, gaps),))
        loops.append(Loop(lengths, strided, lanes=False))
    check(loops, dtype)


@TYPES
def test_reductions_of_shared_arrays(dtype):
    n = lanes_of(dtype)
    loops = []
    for lengths, reduced in (
        ((9 * n + 5,), 1),
        ((n - 1,), 1),
        ((3, 4 * n + 2), 1),
        ((2, 3, 2 * n), 2),
    ):
        kept = lengths[: len(lengths) - reduced]
        whole = dense(lengths)
        for operation in REDUCTIONS:
            for accumulate in (False, True):
                reductions = (Reduction(operation, 1, dense(kept, offset=1), accumulate),)
                expression = Expression(0, (whole,), (Step("multiply", (0, 0.5)),))
                loops.append(Loop(lengths, expression, reduced, reductions, lanes=False))
    # columns are kept: (2n + 3 columns, 5 rows)
    columns = Expression(0, (Place((1, 2 * n + 3)),))
    total = (Reduction("sum", 0, Place((1,))), Reduction("max", 0, Place((1,))))
    loops.append(Loop((2 * n + 3, 5), columns, 1, total, lanes=False))
    check(loops, dtype)


@TYPES
@pytest.mark.parametrize("target", ["avx2", "sse2"])
def test_lesser_machines(monkeypatch, dtype, target):
    monkeypatch.setenv("TINYGRAD_CNN_TARGET", target)
    n = lanes_of(dtype)
    channel, whole = Place((1, 0), lanes=False), dense((3, 11), n)
    scaled = Expression(0, (whole, channel, channel), SCALED, ((5, whole),))
    sums = (Reduction("sum", 5, Place((n,)), images=n - 1), Reduction("max", 0, Place((n,))))
    flat = Expression(
        0, (Place((1,)), Place((0,))), (Step("multiply", (0, 1)),), ((2, Place((1,))),)
    )
    total = (Reduction("sum", 2, Place(())),)
    check([Loop((3, 11), scaled, 1, sums), Loop((29,), flat, 1, total, lanes=False)], dtype)


@TYPES
def test_in_place(dtype):
    """An optimiser's step: a parameter and its velocity are read and written."""
    flat, number = Place((1,)), Place((0,))
    steps = (
        Step("multiply", (1, 0.9)),
        Step("add", (4, 2)),  # v = 0.9 v + g
        Step("multiply", (5, 3)),
        Step("subtract", (0, 6)),  # p = p - lr v
    )
    stores = ((7, flat), (5, flat))
    loop = Loop((101,), Expression(0, (flat, flat, flat, number), steps, stores), lanes=False)
    parameter, velocity, gradient, rate, *_ = arrays_for(loop, dtype)
    new_velocity = 0.9 * velocity[:101] + gradient[:101]
    new_parameter = parameter[:101] - rate[0] * new_velocity
    library = build([loop], np.dtype(dtype).itemsize)
    library.call(loop, parameter, velocity, gradient, rate, parameter, velocity)
    np.testing.assert_allclose(velocity[:101], new_velocity, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(parameter[:101], new_parameter, rtol=1e-5, atol=1e-6)


@TYPES
def test_nan_passes_through_every_reduction(dtype):
    n = lanes_of(dtype)
    reductions = tuple(Reduction(operation, 0, Place(())) for operation in REDUCTIONS)
    loop = Loop((11,), Expression(0, (Place((n,)),)), 1, reductions)
    library = build([loop], np.dtype(dtype).itemsize)
    for index in range(11):
        arrays = arrays_for(loop, dtype)
        arrays[0][index * n + 1] = np.nan
        library.call(loop, *arrays)
        for result in arrays[1:]:
            assert np.isnan(result[1])
            assert np.isfinite(np.delete(result[:n], 1)).all()


@TYPES
def test_lanes_that_do_not_count_may_hold_anything(dtype):
    n = lanes_of(dtype)
    place = Place((), lanes=False)
    reductions = tuple(Reduction(o, 0, place, images=1) for o in ("sum", "max"))
    loop = Loop((6,), Expression(0, (Place((n,)),)), 1, reductions)
    arrays = arrays_for(loop, dtype)
    block = arrays[0][: 6 * n].reshape(6, n)
    block[:, 1:] = np.nan
    build([loop], np.dtype(dtype).itemsize).call(loop, *arrays)
    np.testing.assert_allclose(arrays[1][0], block[:, 0].sum(), rtol=1e-5)
    assert arrays[2][0] == block[:, 0].max()


@TYPES
def test_a_sum_over_the_batch(dtype):
    """Two blocks, of which the last has fewer images: by lane first, then over the lanes."""
    n = lanes_of(dtype)
    x = np.random.default_rng(1).normal(size=(n + 2, 3, 4)).astype(dtype)
    blocks = np.concatenate([x, np.repeat(x[-1:], n - 2, axis=0)])
    blocks = blocks.reshape(2, n, 3, 4).transpose(0, 2, 3, 1)  # (blocks, C, pixels, lanes)
    by_lane = Place((n,))

    def sums(accumulate, images):
        total = Reduction("sum", 0, by_lane, accumulate, images)
        return Loop((3, 4), Expression(0, (Place((4 * n, n)),)), 1, (total,))

    first, last, end = sums(False, None), sums(True, 2), add_lanes(3, n, scale=0.5)
    library = build([first, last, end], np.dtype(dtype).itemsize)
    partial, total = aligned(np.zeros(3 * n), dtype), aligned(np.zeros(3), dtype)
    library.call(first, aligned(blocks[0].ravel(), dtype), partial)
    library.call(last, aligned(blocks[1].ravel(), dtype), partial)
    library.call(end, partial, total)
    np.testing.assert_allclose(total, 0.5 * x.sum((0, 2), np.float64), rtol=1e-5)


@TYPES
def test_arrays_are_added_in_order(dtype):
    for count in (1, 3, 50):
        loops = [add_arrays(count, arrays) for arrays in (1, 2, 3, 5)]
        library = build(loops, np.dtype(dtype).itemsize)
        for loop in loops:
            arrays = arrays_for(loop, dtype)
            total = arrays[0].copy()
            for array in arrays[1:-1]:
                total = total + array
            library.call(loop, *arrays)
            np.testing.assert_array_equal(arrays[-1][:count], total[:count])


@TYPES
def test_any_alignment_of_shared_arrays(dtype):
    loop = add_arrays(37, 2)
    library = build([loop], np.dtype(dtype).itemsize)
    for shift in range(4):
        x, y, out = (array[shift : shift + 37] for array in arrays_for(loop, dtype))
        library.call(loop, x, y, out)
        np.testing.assert_array_equal(out, x + y)


def test_mistakes():
    with pytest.raises(ArgumentError, match="expected 2 strides"):
        Loop((3, 4), Expression(0, (Place((1,)),)))
    with pytest.raises(ArgumentError, match="1 reduced: expected 1 strides"):
        Loop((3, 4), Expression(0, (Place((4, 1)),)), 1, (Reduction("sum", 0, Place((4, 1))),))
    with pytest.raises(ArgumentError, match="needs an element"):
        Loop((3, 0), Expression(0, (Place((0, 1)),)))
    total = Reduction("sum", 0, Place(()), images=3)
    with pytest.raises(ArgumentError, match="shared arrays, which have no images"):
        Loop((3,), Expression(0, (Place((1,)),)), 1, (total,), lanes=False)
    with pytest.raises(ArgumentError, match="0 arrays, expected 1 or more"):
        add_arrays(3, 0)
