"""Convolutions, pools and products: which kernels do them, and what these work on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from ....typing import Shape
from ..._symbols import Operation, Symbol
from ..kernels.loops import add_arrays
from ..kernels.winograd import FilterTransform
from ..kernels.winograd_choice import Tile, worthwhile
from ..kernels.winograd_weight import WinogradWeightUnpack
from . import tasks
from .analysis import COMMON
from .batch import VIEWS, unsupported
from .groups import Group
from .storage import Border, Ref, Storage

if TYPE_CHECKING:
    from .planner import Plan


def place(plan: Plan, operation: Operation) -> None:
    """Add the tasks of a layer to the plan."""
    stage = plan.analysis.stage[operation]
    match operation.name:
        case "conv_weight_gradient":
            _weight_gradient(plan, operation, stage)
        case "linear_weight_gradient":
            g, x = plan.find(operation.args[0]), plan.find(operation.args[1])
            _check_dense(operation, g, x)
            part = sum_over_threads(plan, operation.result)
            plan.zeroed.remove(part)  # it is written, not added to
            plan.written.append(part)
            plan.add(tasks.linear_weight_gradient(stage, g, x, part.ref))
        case "linear" | "linear_input_gradient":
            _linear(plan, operation, stage)
        case _:
            _by_image(plan, operation, stage)


def _by_image(plan: Plan, operation: Operation, stage: int) -> None:
    """A convolution, a pool or a gradient of one, with what follows it."""
    name, args, params, result = operation.name, operation.args, operation.params, operation.result
    group = Group(result.shape, True, result, plan.is_stored)
    if name in ("conv", "conv_input_gradient"):
        task = _convolution(plan, operation, group, stage)
    else:
        image = args[-1].shape[1:]
        switches = _switches(plan, operation, image) if name.startswith("max") else None
        task = tasks.pool(name, group, stage, plan.find(args[0]), switches, image, params)
    if result in plan.analysis.stored:
        group.store(result, plan.storage(result).ref, plan.find)
    plan.add(task, result)


def _linear(plan: Plan, operation: Operation, stage: int) -> None:
    x, w = plan.find(operation.args[0]), plan.find(operation.args[1])
    _check_dense(operation, x)
    across = operation.name == "linear_input_gradient"
    out = plan.storage(operation.result).ref
    plan.add(tasks.linear(stage, x, w, out, across=across), operation.result)


def _check_dense(operation: Operation, *refs: Ref) -> None:
    if not all(ref.dense and ref.lanes for ref in refs):
        raise unsupported(operation, "an operand does not lie side by side in memory")


def _switches(plan: Plan, operation: Operation, image: Shape) -> Ref | None:
    """Where the winners of a max-pool are noted, if a gradient asks for them."""
    pooled, placed = operation.args[-1], operation.params["placed"]
    wanted = any(
        user.name == "max_pool_gradient"
        and user.args[1] is pooled
        and user.params["placed"] == placed
        for user in plan.analysis.users[pooled]
    )
    if not wanted:
        return None
    key = (id(pooled), placed)
    if key not in plan.switches:
        count = tasks.switch_numbers(image, operation.params, plan.lanes, plan.itemsize)
        plan.switches[key] = Storage("block", (-(-count // plan.lanes),), plan.lanes)
    return plan.switches[key].ref


# -- convolution -----------------------------------------------------------------------------


def _tile(plan: Plan, operation: Operation, role: str) -> Tile | None:
    """The tile of Winograd's convolution where it pays, else None."""
    window, params = operation.params["window"], operation.params
    r = window.kernel[0]
    plain = window.kernel == (r, r) and window.stride == window.dilation == (1, 1)
    if not plain or params["groups"] != 1:
        return None
    if role == "forward":
        k, c, *_ = operation.args[1].shape
        size: Any = operation.result.shape[2:]
    else:
        k, c, *_ = operation.args[2].shape
        size = operation.args[1 if role == "input" else 0].shape[2:]
    return worthwhile(c, k, size, r, plan.accuracy, plan.lanes).get(role)


def _convolution(plan: Plan, operation: Operation, group: Group, stage: int) -> tasks.Task:
    args, params = operation.args, operation.params
    turned = operation.name == "conv_input_gradient"
    role, w = ("input", args[2]) if turned else ("forward", args[1])
    border = _gradient_border(operation) if turned else params["padding"]
    x = bordered(plan, args[0], border, stage)
    weights = _dense(plan, operation, w, stage)
    tile = _tile(plan, operation, role)
    if tile is not None:
        transformed = _filters(plan, w, weights, tile, turned, stage)
        if transformed is not None:
            corner = tasks.before(params) if not turned else _first_tap(operation)
            what = (transformed, w.shape, tile, plan.lanes, turned)
            return tasks.winograd(group, stage, x, corner, *what)
    if turned:
        return tasks.input_gradient(group, stage, x, weights, params)
    return tasks.convolution(group, stage, x, weights, params)


def _first_tap(operation: Operation) -> tuple[int, int]:
    """How far before the gradient's first element the turned filters begin."""
    (top, _), (left, _) = operation.params["padding"]
    rows, columns = operation.params["window"].kernel
    return rows - 1 - top, columns - 1 - left


def _dense(plan: Plan, operation: Operation, w: Symbol, stage: int) -> Ref:
    """Weights side by side: themselves, or a copy of what is a view of others."""
    ref = plan.find(w)
    if ref.dense:
        return ref
    ready = max(plan.analysis.ready.get(w, 0), 0)
    if plan.analysis.stages[ready] != COMMON or ready >= stage:
        raise unsupported(operation, "its weights are a view that cannot be copied beforehand")
    if w not in plan.weights:
        to = Storage("common", w.shape)
        group = Group(w.shape, False, None, plan.is_stored)
        group.copy(w, to.ref, plan.find)
        plan.add(tasks.loop(group, ready))
        plan.weights[w] = to.ref
    return plan.weights[w]


def _filters(plan: Plan, w: Symbol, ref: Ref, tile: Tile, turned: bool, stage: int) -> Ref | None:
    """The transformed filters, made by all threads in an earlier stage, or None."""
    ready = max(plan.analysis.ready.get(w, 0), 0)
    if plan.analysis.stages[ready] != COMMON or ready >= stage:
        return None
    key = (w, tile, turned)
    if key not in plan.filters:
        k, c, r, _ = w.shape
        kernel = FilterTransform(c, k, r, tile, turned)
        storage = Storage("common", (kernel.transformed,))
        plan.filters[key] = storage.ref
        rows = c if turned else k

        def part(start: int, count: int) -> Any:
            return kernel, [*tasks.rows(kernel.row, (ref, storage.ref), start), count]

        plan.add(tasks.Task(
            "filter_transform", ready, None, lambda: [ref, storage.ref],
            split=lambda t, threads: _share(part, rows, t, threads, rows * c * k >= tasks.SPLIT),
        ))  # fmt: skip
    return plan.filters[key]


def _share(part: Any, rows: int, thread: int, threads: int, split: bool) -> Any:
    """One thread's part of so many rows, or None: all of them are thread 0's if it is little."""
    if not split or rows < threads:
        return part(0, rows) if thread == 0 else None
    start, stop = rows * thread // threads, rows * (thread + 1) // threads
    return part(start, stop - start)


def _weight_gradient(plan: Plan, operation: Operation, stage: int) -> None:
    params, result = operation.params, operation.result
    g = plan.find(operation.args[0])
    x = bordered(plan, operation.args[1], params["padding"], stage)
    tile = _tile(plan, operation, "weight")
    if tile is None:
        part = sum_over_threads(plan, result)
        plan.add(tasks.weight_gradient(stage, g, x, part.ref, params))
        return
    task, kernel = tasks.winograd_weight(stage, g, x, result.shape, params, tile, plan.lanes)
    k, c, r, _ = result.shape
    part = Storage("thread", (kernel.sums,))
    total = Storage("common", (kernel.sums,))
    _sum_over_threads(plan, part, total.ref, plan.analysis.ready[result])
    out = plan.storage(result).ref

    end = WinogradWeightUnpack(c, k, r, plan.lanes, tile)

    def unpack(start: int, count: int) -> Any:
        return end, [*tasks.rows(end.row, (total.ref, out), start), count]

    plan.add(tasks.Task(
        "winograd_unpack", plan.analysis.ready[result], None, lambda: [total.ref, out],
        split=lambda t, threads: _share(unpack, c, t, threads, kernel.sums >= tasks.SPLIT),
    ), result)  # fmt: skip
    plan.add(task(part.ref))


def sum_over_threads(plan: Plan, result: Symbol) -> Storage:
    """Where each thread adds up its part of a shared result, which are added in the end."""
    part = Storage("thread", result.shape)
    _sum_over_threads(plan, part, plan.storage(result).ref, plan.analysis.ready[result], result)
    return part


def _sum_over_threads(
    plan: Plan, part: Storage, out: Ref, stage: int, makes: Symbol | None = None
) -> None:
    """Clear each thread's part in the beginning, and add them up in this stage."""
    plan.zeroed.append(part)
    count, threads = math.prod(part.shape), plan.threads

    def share(start: int, length: int) -> Any:
        moved = (part.ref._replace(offset=start), out._replace(offset=out.offset + start))
        return add_arrays(length, threads), list(moved)

    plan.add(tasks.Task(
        "sum_of_threads", stage, None, lambda: [part.ref, out],
        split=lambda t, threads: _share_numbers(share, count, t, threads),
    ), makes)  # fmt: skip


def _share_numbers(share: Any, count: int, thread: int, threads: int) -> Any:
    """One thread's part of so many numbers, in whole cache lines."""
    if count < tasks.SPLIT or threads == 1:
        return share(0, count) if thread == 0 else None
    start, stop = tasks.share(count, thread, threads)
    return share(start, stop - start)


# -- borders ----------------------------------------------------------------------------------


def borders(plan: Plan) -> dict[Symbol, Border]:
    """The zeros around images and gradients that their convolutions want."""
    found: dict[Symbol, Border] = {}
    for operation in plan.program.operations:
        if not operation.name.startswith("conv"):
            continue
        if len(operation.params["window"].kernel) != 2:
            raise unsupported(operation, "there are kernels for images alone")
        symbol, border = _wanted(operation)
        if _can_have_border(plan, symbol):
            had = found.get(symbol, ((0, 0), (0, 0)))
            found[symbol] = tuple(
                (max(a, c), max(b, d)) for (a, b), (c, d) in zip(had, border, strict=True)
            )
    return found


def _wanted(operation: Operation) -> tuple[Symbol, Border]:
    if operation.name == "conv":
        return operation.args[0], operation.params["padding"]
    if operation.name == "conv_weight_gradient":
        return operation.args[1], operation.params["padding"]
    return operation.args[0], _gradient_border(operation)


def _gradient_border(operation: Operation) -> Border:
    g, x, w = operation.args
    shape = Ref(Storage("common", w.shape), w.shape, ())
    border: Border = tasks.gradient_border(shape, x.shape[2:], g.shape[2:], operation.params)
    return border


def _can_have_border(plan: Plan, symbol: Symbol) -> bool:
    made = symbol.operation
    if made is not None and made.name in VIEWS:
        return False
    return may_have_gaps(plan, symbol)


def may_have_gaps(plan: Plan, symbol: Symbol) -> bool:
    """Whether nobody needs all elements of an image side by side."""
    return not any(
        user.name == "reshape" or user.name.startswith("linear")
        for user in plan.analysis.users[symbol]
    )


def bordered(plan: Plan, symbol: Symbol, border: Border, stage: int) -> Ref:
    """A value with zeros around it, copied if it does not lie so."""
    ref = plan.find(symbol)
    own = ref.storage.border or ((0, 0),) * len(border)
    whole = ref == ref.storage.ref or not any(map(any, border))
    if whole and all(a >= c and b >= d for (a, b), (c, d) in zip(own, border, strict=True)):
        return ref
    key = (symbol, border)
    if key not in plan.copies:
        to = Storage("block", plan.dims(symbol), plan.lanes, border)
        group = Group(symbol.shape, True, None, plan.is_stored)
        group.copy(symbol, to.ref, plan.find)
        plan.add(tasks.loop(group, stage))
        plan.copies[key] = to.ref
    return plan.copies[key]
