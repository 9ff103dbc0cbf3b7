"""What loops should compute, by NumPy, and a check of all of memory."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from tinygrad_cnn.compiler.lanes.expression import Place
from tinygrad_cnn.compiler.lanes.kernels.loops import counted
from tinygrad_cnn.compiler.lanes.library import build
from tinygrad_cnn.compiler.lanes.target import host

NUMPY = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "exp": np.exp,
    "greater": np.greater,
    "where": np.where,
}
REDUCTIONS = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}
NEUTRAL = {"sum": 0.0, "prod": 1.0, "max": -math.inf, "min": math.inf}
SIZE = 6000
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def lanes_of(dtype):
    return host().lanes(np.dtype(dtype).itemsize)


def aligned(values, dtype):
    """A copy that starts at a multiple of 64 bytes."""
    memory = np.zeros(values.nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    copy = memory[start : start + values.size * np.dtype(dtype).itemsize].view(dtype)
    copy[:] = values
    return copy


def arrays_for(loop, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [aligned(rng.normal(size=SIZE), dtype) for _ in loop.pointers]


def view(array, place, lengths, lanes):
    """What a loop sees of an operand: its axes, and the lanes."""
    strides = [stride * array.itemsize for stride in (*place.strides, place.lanes)]
    return as_strided(array[place.offset :], (*lengths, lanes), strides)


def expected(loop, arrays, lanes):
    """The arrays that a loop should leave, in float64."""
    lanes = lanes if loop.lanes else 1
    arrays = [array.astype(np.float64) for array in arrays]
    loads, stores = loop.expression.loads, loop.expression.stores
    full = (*loop.lengths, lanes)
    values = [view(a, p, loop.lengths, lanes) for p, a in zip(loads, arrays, strict=False)]
    for operation, operands in loop.expression.steps:
        values.append(NUMPY[operation](*(values[o] if isinstance(o, int) else o for o in operands)))
    values = [np.array(np.broadcast_to(value, full), np.float64) for value in values]
    for (number, place), array in zip(stores, arrays[len(loads) :], strict=False):
        view(array, place, loop.lengths, lanes)[...] = values[number]
    for reduction, array in zip(loop.reductions, arrays[loop.expression.pointers :], strict=True):
        combine = REDUCTIONS[reduction.operation]
        value = values[reduction.value]
        if reduction.images is not None:
            value[..., reduction.images :] = NEUTRAL[reduction.operation]
        axes = tuple(range(loop.kept, len(loop.lengths)))
        over_lanes = loop.lanes and not reduction.place.lanes
        total = combine.reduce(value, axes + (len(full) - 1,) * over_lanes, keepdims=False)
        total = total[..., None] if over_lanes else total
        width = 1 if over_lanes else lanes
        there = view(array, reduction.place, loop.lengths[: loop.kept], width)
        there[...] = combine(there, total) if reduction.accumulate else total
    return arrays


def check(loops, dtype):
    """Build all loops at once, run each, and compare all of memory.

    Those that can be given their length when they run are run in this way, too.
    """
    calls = [(loop, loop, ()) for loop in loops] + [(loop, *counted(loop)) for loop in loops]
    library = build([kernel for _, kernel, _ in calls], np.dtype(dtype).itemsize)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    for loop, kernel, count in calls:
        arrays = arrays_for(loop, dtype)
        wanted = expected(loop, arrays, lanes_of(dtype))
        library.call(kernel, *arrays, *count)
        for name, array, want in zip(loop.pointers, arrays, wanted, strict=True):
            largest = np.abs(want[np.isfinite(want)]).max()
            np.testing.assert_allclose(
                array, want, rtol=tolerance, atol=tolerance * largest, err_msg=f"{name} {loop}"
            )


def dense(lengths, unit=1, border=0, offset=0, lanes=True):
    """A place whose last axis is followed by a border."""
    strides, stride = [], unit
    for length in reversed(lengths):
        strides.append(stride)
        stride *= length + border
    return Place(tuple(reversed(strides)), offset, lanes)
