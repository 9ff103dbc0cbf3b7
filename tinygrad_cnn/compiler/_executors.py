"""What can run a program, in the order in which it is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import GraphError
from ._layers import SWAPS
from ._program import Runner

if TYPE_CHECKING:
    from ._function import Compiled
    from ._trace import Trace
    from ._tracer import Swap


class UnsupportedError(GraphError):
    """An executor cannot run a program, and why."""


class Executor(NamedTuple):
    """A way to run programs.

    Attributes:
        name: what ``compile(executor=...)`` calls it.
        build: makes a program ready; UnsupportedError where it cannot.
        swaps: the compositions that are recorded whole for it.
        declines: why it need not be tried with these arguments, or nothing.
    """

    name: str
    build: Callable[[Trace, Compiled[Any, Any]], Runner]
    swaps: dict[str, Swap]
    declines: Callable[[Sequence[Any]], str] = lambda leaves: ""


def _plain(trace: Trace, compiled: Compiled[Any, Any]) -> Runner:
    program = trace.program
    return lambda arrays: program(*arrays)


def _no_scalars(leaves: Sequence[Any]) -> str:
    others = (f"{leaf.dtype} {leaf.shape}" for leaf in leaves if leaf.shape or leaf.dtype != float)
    other = next(others, "")
    return other and f"an argument is {other}, not a single float64"


def _scalars(trace: Trace, compiled: Compiled[Any, Any]) -> Runner:
    from .scalars import build

    return build(trace, compiled)


def _lanes(trace: Trace, compiled: Compiled[Any, Any]) -> Runner:
    from .lanes.executor import build

    return build(trace, compiled)


def _planned(trace: Trace, compiled: Compiled[Any, Any]) -> Runner:
    from .planned import build

    return build(trace, compiled)


_NO_SWAPS: dict[str, Swap] = {}
_FEWER_PASSES = {"batch_norm": SWAPS["batch_norm"]}
EXECUTORS: dict[str, Executor] = {
    executor.name: executor
    for executor in (
        Executor("scalars", _scalars, _NO_SWAPS, _no_scalars),
        Executor("lanes", _lanes, SWAPS),
        Executor("numpy", _planned, _FEWER_PASSES),
        Executor("plain", _plain, _NO_SWAPS),
    )
}


def chain(name: str) -> Iterator[Executor]:
    """The executors to try."""
    if name == "auto":
        yield from EXECUTORS.values()
    else:
        yield EXECUTORS[name]
