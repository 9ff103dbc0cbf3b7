"""Layers of one image: the jobs that do them, and the borders that they want."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..._symbols import Operation, Symbol
from ..plan import tasks
from ..plan.batch import is_elementwise, unsupported
from ..plan.groups import Group
from ..plan.storage import Border, Ref
from .convolutions import convolution
from .jobs import Job, Work, ended, job, share, shifted
from .product import Product

if TYPE_CHECKING:
    from .planner import ChannelPlan


def place(plan: ChannelPlan, operation: Operation) -> None:
    """Add the job of a layer to the plan."""
    result, name = operation.result, operation.name
    group = plan.group(result, result)
    if name == "conv":
        made = convolution(plan, operation, group)
    elif name == "linear":
        made = _product(plan, operation, group)
    else:
        source = plan.vectors(operation.args[0])
        image = (source.shape[0], *operation.args[0].shape[2:])
        made = job(tasks.pool(name, group, 0, source, None, image, operation.params))
    if result in plan.uses.stored:
        plan.store(group, result)
    plan.made(result, made)


def borders(plan: ChannelPlan) -> dict[Symbol, Border]:
    """The zeros that convolutions want around the images that operations of the program make."""
    found: dict[Symbol, Border] = {}
    for operation in plan.program.operations:
        if operation.name != "conv":
            continue
        x, border = operation.args[0], operation.params["padding"]
        if len(border) != 2:
            raise unsupported(operation, "there are kernels for images alone")
        made = x.operation
        if made is None or not (made.name in ("conv", "max_pool", "average_pool")
                                or is_elementwise(made)):  # fmt: skip
            continue
        had = found.get(x, ((0, 0), (0, 0)))
        found[x] = tuple((max(a, c), max(b, d)) for (a, b), (c, d) in zip(had, border, strict=True))
    return {symbol: border for symbol, border in found.items() if any(map(any, border))}


# -- products --------------------------------------------------------------------------------


def _product(plan: ChannelPlan, operation: Operation, group: Group) -> Job:
    x, w = (_by_rows(plan, operand) for operand in operation.args)
    (rows, inputs), outputs = x.shape, w.shape[0]

    def calls(thread: int, threads: int) -> list[Work]:
        part = share(plan.blocks(outputs), thread, threads, outputs * inputs)
        if not part:
            return []
        start, stop = part.start * plan.lanes, min(part.stop * plan.lanes, outputs)
        expression = group.expression()
        kernel = Product(rows, stop - start, inputs, x.strides[0], w.strides[0], expression)
        ends = ended(expression, group.pointers, 1, start)
        return [Work(kernel, [x, shifted(w, start * w.strides[0]), *ends])]

    return Job("linear", calls, group)


def _by_rows(plan: ChannelPlan, operand: Any) -> Ref:
    """A matrix whose rows lie densely."""
    ref = plan.plain(operand)
    return ref if ref.strides[1] == 1 else plan.dense(operand)
