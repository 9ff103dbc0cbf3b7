"""Constant factors with a meaning: counts of examples and pixels, and famous numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ..._core.node import Node
from .._edits.edit import is_operation
from .._trace import Trace

_FAMOUS = {
    "2": 2.0,
    "3": 3.0,
    "4": 4.0,
    "10": 10.0,
    "ln 10": math.log(10.0),
    "ln 2": math.log(2.0),
    "pi": math.pi,
    "2 pi": 2 * math.pi,
    "sqrt 2": math.sqrt(2.0),
    "e": math.e,
}


def named(constant: float, trace: Trace) -> str | None:
    """What a positive constant is, such as ``1/N`` or ``ln 10``; None if it has no name."""
    for name, value in _known(trace):
        if value > 1 and math.isclose(constant, value, rel_tol=1e-7):
            return name
        if value > 1 and math.isclose(constant, 1.0 / value, rel_tol=1e-7):
            return f"1/({name})" if "*" in name or " " in name else f"1/{name}"
    return None


def _known(trace: Trace) -> Iterator[tuple[str, float]]:
    yield from ((f"N = {n}", float(n)) for n in sorted(averaged(trace)))
    for variable in trace.inputs:
        if variable is None:
            continue
        shape = variable.shape
        if shape:
            yield f"{shape[0]}, the length of {variable.name}", float(shape[0])
        if len(shape) == 4:
            n, c, h, w = shape
            yield f"C = {c}", float(c)
            yield f"H*W = {h * w}", float(h * w)
            yield f"N*H*W = {n * h * w}", float(n * h * w)
        elif len(shape) == 2:
            yield f"{shape[1]}, the width of {variable.name}", float(shape[1])
    yield f"the number of outputs, {trace.output.size}", float(trace.output.size)
    yield from _FAMOUS.items()


def averaged(trace: Trace) -> set[int]:
    """The counts of the means in the function."""
    counts = set()
    for node in trace.nodes:
        if node.primitive is None or node.primitive.name != "divide" or node.args is None:
            continue
        total, divisor = _shifted_by_constants(node.parents[0]), node.args[1]
        if np.ndim(divisor) or not float(divisor).is_integer() or divisor <= 1:
            continue
        in_mean = node.scope is not None and node.scope.name == "mean"
        of_sum = total is not None and total.primitive is not None and total.primitive.name == "sum"
        if in_mean or of_sum:
            counts.add(int(divisor))
    return counts


def _shifted_by_constants(vertex: Node | None) -> Node | None:
    """What constants were added to, such as the sum of the margins in (sum - N) / N."""
    while is_operation(vertex, "add", "subtract"):
        parts = [part for part in vertex.parents if part is not None]  # type: ignore[union-attr]
        if len(parts) != 1:
            break
        [vertex] = parts
    return vertex


def summed(trace: Trace, name: str) -> set[int]:
    """The counts over which the gradient of a parameter is a sum: of examples and positions.

    An input that holds an example in each row has a gradient without such a sum.
    """
    variables = [v for v in trace.inputs if v is not None]
    counts: set[int] = set()
    if name != variables[0].name:  # the first holds the examples themselves
        lengths = trace.output.shape or variables[0].shape[:1]
        for size in range(1, len(lengths) + 1):
            counts.update(math.prod(some) for some in itertools.combinations(lengths, size))
    for node in trace.nodes:
        in_mean = node.scope is not None and node.scope.name == "mean"
        if node.primitive is not None and node.primitive.name == "sum" and not in_mean:
            counts.add(np.size(node.args[0]) // max(np.size(node.ans), 1))  # type: ignore[index]
    for node in trace.nodes:  # a row that is looked up several times
        index = node.params.get("index", ())
        for part in index if isinstance(index, tuple) else (index,):
            if isinstance(part, np.ndarray) and part.dtype.kind in "iu" and part.size:
                counts.update(int(n) for n in np.unique(part, return_counts=True)[1])
                counts.add(part.size)
    return counts


def dropout_scales(trace: Trace) -> set[float]:
    """The factors 1/(1 - p) of constant masks that hold nothing else than them and zeros."""
    scales = set()
    for node in trace.nodes:
        if node.primitive is None or node.primitive.name != "multiply" or node.args is None:
            continue
        for arg, parent in zip(node.args, node.parents, strict=True):
            if parent is None and np.ndim(arg):
                values = np.unique(arg)
                if len(values) == 2 and values[0] == 0 and values[1] > 0 and values[1] != 1:
                    scales.add(float(values[1]))
    return scales
