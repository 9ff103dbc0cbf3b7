"""Patterns of operations for which there is something better than one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._symbols import Operation, Symbol, symbols_in


def rewritten(operations: Sequence[Operation], results: Sequence[Any]) -> list[Operation]:
    """The same program with products with the columns of windows as single operations.

    The columns then need not all be there at once.
    """
    outputs = set(symbols_in(tuple(results)))
    users: dict[Symbol, list[Operation]] = {}
    for operation in operations:
        for operand in set(operation.operands()):
            users.setdefault(operand, []).append(operation)
    made: dict[Symbol, Operation] = {}
    gone: set[Symbol] = set()
    for operation in operations:
        found: dict[Symbol, Operation] | None = None
        if operation.name == "im2col":
            found = _products(operation, users, outputs)
        elif operation.name == "col2im":
            found = _product_before(operation, users, outputs)
        if found is not None:
            made |= found
            gone |= (
                _between(operation, users)
                if operation.name == "im2col"
                else {operation.result, *operation.operands()} - set(found)
            )
    kept = (operation for operation in operations if operation.result not in gone)
    return [made.get(operation.result, operation) for operation in kept]


def _products(
    operation: Operation, users: dict[Symbol, list[Operation]], outputs: set[Symbol]
) -> dict[Symbol, Operation] | None:
    """The products with the columns, or None if the columns are needed otherwise."""
    [x], found = operation.args, {}
    for symbol, name in ((s, n) for s, n in _columns(operation, users)):
        for user in users.get(symbol, []):
            if user.name == "transpose" and symbol is operation.result:
                continue
            if not _is_product(user) or user.args[1] is not symbol or user.args[0] is symbol:
                return None
            found[user.result] = _replaced(user, name, (user.args[0], x), operation.params)
        if symbol in outputs:
            return None
    return found


def _columns(
    operation: Operation, users: dict[Symbol, list[Operation]]
) -> Iterable[tuple[Symbol, str]]:
    """The columns and what they are transposed, each with the name of products with them."""
    yield operation.result, "convolve"
    for user in users.get(operation.result, []):
        if user.name == "transpose":
            yield user.result, "correlate"


def _between(operation: Operation, users: dict[Symbol, list[Operation]]) -> set[Symbol]:
    return {symbol for symbol, _ in _columns(operation, users)}


def _product_before(
    operation: Operation, users: dict[Symbol, list[Operation]], outputs: set[Symbol]
) -> dict[Symbol, Operation] | None:
    [columns] = operation.args
    before = columns.operation
    if before is None or not _is_product(before) or len(users[columns]) > 1 or columns in outputs:
        return None
    seen, widths = operation, ((0, 0),) * len(operation.params["shape"])
    if operation.result not in outputs and [u.name for u in users[operation.result]] == ["crop"]:
        [seen] = users[operation.result]
        widths = seen.params["widths"]
    window = operation.params["window"]
    reach = [(0, 0), (0, 0), *((extent - 1, extent - 1) for extent in window.extent)]
    around = tuple((a - c, b - d) for (a, b), (c, d) in zip(reach, widths, strict=True))
    if _is_better_turned(operation, before) and min(map(min, around)) >= 0:
        params = {"window": window, "widths": around}
        return {seen.result: _replaced(seen, "convolve_turned", before.args, params)}
    made = _replaced(operation, "convolve_back", before.args, operation.params)
    return {operation.result: made}


def _is_better_turned(operation: Operation, product: Operation) -> bool:
    """Whether to read windows of the gradient, which stride 1 allows, not to add to the images'.

    The columns that are read have the channels of the gradient; those that are added, which
    takes twice as long, have the channels of the images.
    """
    stride, (_, channels, *_) = operation.params["window"].stride, operation.params["shape"]
    return set(stride) == {1} and product.args[0].shape[1] <= 2 * channels


def _is_product(operation: Operation) -> bool:
    operands = operation.args
    return operation.name == "matmul" and all(
        isinstance(x, Symbol) and x.ndim == 2 for x in operands
    )


def _replaced(
    operation: Operation, name: str, args: tuple[Any, ...], params: dict[str, Any]
) -> Operation:
    return Operation(
        name, operation.function, args, params, operation.result, operation.scope,
        operation.code, operation.instruction,
    )  # fmt: skip
