"""What runs where, what does not, and why."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ._entry import Entry
from ._function import Compiled
from ._symbols import Symbol


def explain(function: Any) -> str:
    """What a compiled function does for each kind of arguments it was called with.

    For each of them the executor and its kernels, and why the ones before it did not take it; or
    why it runs as it is written, with the line.

    Raises:
        ArgumentError: the function is not compiled, or was not called yet.

    >>> import tinygrad_cnn as tc
    >>> double = tc.compile(lambda x: x + x)
    >>> _ = double(tc.ones(2, 3))
    >>> print(tc.compiler.explain(double))  # doctest: +ELLIPSIS
    <lambda> with float64 (2, 3):
      ...
    """
    if not isinstance(function, Compiled):
        raise ArgumentError(f"explain: {function!r:.60} is no function that tc.compile returned")
    if not function.entries:
        raise ArgumentError("explain: call the function first: it is recorded at its first call")
    name = getattr(function.function, "__qualname__", "the function")
    parts = []
    for key, entry in function.entries.items():
        parts.append(f"{name} with {_arguments(key)}:")
        lines = (
            [f"as it is written, in eager mode: {entry}"] if isinstance(entry, str) else _of(entry)
        )
        parts += [f"  {line}" for line in lines]
    return "\n".join(parts)


def _arguments(key: tuple[Any, ...]) -> str:
    _, *arrays, recording, _ = key
    described = ", ".join(f"{array[1]} {array[0]}" for array in arrays) or "no arrays"
    return described + ("" if recording else ", under no_grad")


def _of(entry: Entry) -> list[str]:
    trace = entry.trace
    gradients = sum(isinstance(g, Symbol) for g in trace.gradient_symbols)
    lines = [
        f"{entry.executor}: {len(trace.program.operations)} operations, {gradients} gradients"
        + (", then the recorded actions of optimisers and the like" if trace.tracer.actions else "")
    ]
    describe = getattr(getattr(entry.runner, "runner", entry.runner), "describe", None)
    if describe is not None:
        lines += [f"  {line}" for line in describe()]
    return lines + [f"not {reason}" for reason in entry.declined]
