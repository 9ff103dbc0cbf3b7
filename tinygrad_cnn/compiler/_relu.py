"""What is known of relu(x) = max(x, 0): less is kept and moved for its gradient.

Nothing is rounded otherwise, and NaN passes as before; where an infinite gradient meets a window
without a positive pixel, the NaN that it becomes may lie at another pixel of the window.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._symbols import Operation, Symbol, symbols_in

Users = Mapping[Symbol, Sequence[Operation]]


def rectified(operations: Sequence[Operation], outputs: Sequence[Any]) -> list[Operation]:
    """The same operations, where a gradient asks the result of relu alone, after pools."""
    return _after_pools(_asking_results(operations), set(symbols_in(tuple(outputs))))


def _asking_results(operations: Iterable[Operation]) -> list[Operation]:
    """Ask whether relu(x) > 0, not whether x > 0: x itself need not be kept."""
    results: dict[Symbol, Symbol] = {}
    found = []
    for operation in operations:
        x = _rectified_by(operation)
        if x is not None:
            results.setdefault(x, operation.result)
        elif operation.name == "greater" and _is_zero(operation.args[1]):
            x, zero = operation.args
            if isinstance(x, Symbol) and x in results:
                operation = _changed(operation, (results[x], zero))
        found.append(operation)
    return found


def _rectified_by(operation: Operation) -> Symbol | None:
    """The x of max(x, 0), or None."""
    if operation.name == "maximum":
        for zero, x in (operation.args, operation.args[::-1]):
            if _is_zero(zero) and isinstance(x, Symbol):
                return x
    return None


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _changed(old: Operation, args: tuple[Any, ...], result: Symbol | None = None) -> Operation:
    """The same operation of other operands."""
    return Operation(
        old.name, old.function, args, old.params, old.result if result is None else result,
        old.scope, old.code, old.instruction,
    )  # fmt: skip


def _after_pools(operations: list[Operation], outputs: set[Symbol]) -> list[Operation]:
    """The largest of relu(x) is relu of the largest x: it has fewer numbers, and so has its mask.

    Where no x of a window is positive, both ways have no gradient; else both have the same winner.
    """
    users: dict[Symbol, list[Operation]] = {}
    for operation in operations:
        for operand in set(operation.operands()):
            users.setdefault(operand, []).append(operation)
    replaced: dict[Operation, list[Operation]] = {}
    for operation in operations:
        if _rectified_by(operation) is not None and operation.result not in outputs:
            replaced |= _exchanged(operation, users, outputs) or {}
    return [new for old in operations for new in replaced.get(old, (old,))]


def _exchanged(
    relu: Operation, users: Users, outputs: set[Symbol]
) -> dict[Operation, list[Operation]] | None:
    """What stands in place of a relu, the one pool after it and their gradients."""
    x, y = _rectified_by(relu), relu.result
    of_y = users.get(y, [])
    pools = [user for user in of_y if user.name == "max_pool"]
    if len(pools) != 1 or not _sees_pixels(pools[0].params["placed"]):
        return None
    [pool] = pools
    largest = Symbol(pool.result.shape, y.dtype, y.tracer)
    replaced = {
        relu: [],
        pool: [
            _changed(pool, (x,), largest),
            _changed(relu, (largest, 0.0), pool.result),
        ],
    }
    for mask in (user for user in of_y if user is not pool and user.name == "greater"):
        replaced[mask] = []
        for product in users.get(mask.result, []):
            gradient = _masked(product, mask.result)
            if (
                gradient is None
                or gradient.args[1] is not y
                or gradient.params != pool.params
                or users[gradient.result] != [product]
            ):
                return None
            replaced[gradient] = []
            positive = Symbol(largest.shape, np.dtype(bool), y.tracer)
            kept = Symbol(largest.shape, y.dtype, y.tracer)
            g = gradient.args[0]
            replaced[product] = [
                _changed(mask, (pool.result, 0.0), positive),
                _changed(product, (g, positive), kept),
                _changed(gradient, (kept, x), product.result),
            ]
    gone = {operation.result for operation in replaced if operation not in (pool, relu)}
    if any(user not in replaced for user in of_y) or gone & outputs - {
        new[-1].result for new in replaced.values() if new
    }:
        return None
    return replaced


def _masked(product: Operation, mask: Symbol) -> Operation | None:
    """The gradient of a pool that a mask is multiplied with, or None."""
    if product.name != "multiply" or product.args[1] is not mask:
        return None
    g = product.args[0]
    made = g.operation if isinstance(g, Symbol) else None
    return made if made is not None and made.name == "max_pool_gradient" else None


def _sees_pixels(placed: Any) -> bool:
    """Whether every window of a pool has a pixel: one without has -inf, which is not rectified."""
    window = placed.window
    size = tuple(n + a + b for n, (a, b) in zip(placed.size, placed.padding, strict=True))
    ends = zip(placed.size, placed.padding, window.kernel, window.stride, window.dilation,
               window.output_size(size), strict=True)  # fmt: skip
    return all(
        before < kernel and (count - 1) * stride - before < n and dilation == 1
        for n, (before, _), kernel, stride, dilation, count in ends
    )
