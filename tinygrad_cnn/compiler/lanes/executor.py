"""The executor for lane kernels."""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .._executors import UnsupportedError
from .._program import Runner

if TYPE_CHECKING:
    from .._function import Compiled
    from .._trace import Trace


def build(trace: Trace, compiled: Compiled[Any, Any]) -> Runner:
    """The native step of a trace.

    Raises:
        UnsupportedError: llvmlite is not installed, or there are no kernels for what it does.
    """
    if importlib.util.find_spec("llvmlite") is None:
        raise UnsupportedError("llvmlite is not installed (extra 'fast')")
    from ..threads import get_num_threads
    from .plan.planner import Plan, check_dtypes
    from .plan.runner import LaneRunner
    from .target import host

    program = trace.program
    itemsize = check_dtypes(program, trace.tracer.draws)
    batched = [*trace.arguments, *trace.tracer.draws]
    lanes, threads = host().lanes(itemsize), get_num_threads()
    if _is_one_image(trace):
        from .channels.planner import ChannelPlan
        from .channels.runner import ChannelRunner

        with suppress(UnsupportedError):
            return ChannelRunner(ChannelPlan(program, lanes, itemsize, threads, compiled.accuracy))
    plan = Plan(program, batched, lanes, itemsize, threads, compiled.accuracy, trace.aliases)
    return LaneRunner(plan)


def _is_one_image(trace: Trace) -> bool:
    """Whether a program goes forward alone, from a batch of one."""
    images = max((s for s in trace.arguments if s.ndim), key=lambda s: s.ndim, default=None)
    forward = not trace.aliases and not trace.counts[1]
    return forward and images is not None and images.shape[0] == 1
