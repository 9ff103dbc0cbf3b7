"""Patterns of operations for which there is something better than one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .._symbols import Operation, Symbol, symbols_in


def rewritten(operations: Sequence[Operation], outputs: Sequence[Any]) -> list[Operation]:
    """The same program with convolutions as single operations, and shorter lives."""
    return _convolutions(_from_rectified(operations), set(symbols_in(tuple(outputs))))


def _from_rectified(operations: Iterable[Operation]) -> list[Operation]:
    """Ask whether relu(x) > 0, not whether x > 0: x itself can then be overwritten."""
    rectified: dict[Symbol, Symbol] = {}
    found = []
    for operation in operations:
        if operation.name == "maximum":
            for zero, x in (operation.args, operation.args[::-1]):
                if _is_zero(zero) and isinstance(x, Symbol):
                    rectified.setdefault(x, operation.result)
        elif operation.name == "greater" and _is_zero(operation.args[1]):
            x, zero = operation.args
            if x in rectified and rectified[x].shape == x.shape:
                operation = _replaced(operation, operation.name, (rectified[x], zero), {})
        found.append(operation)
    return found


def _is_zero(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0


def _convolutions(operations: list[Operation], outputs: set[Symbol]) -> list[Operation]:
    """Products with the columns of windows, which then need not all be there at once."""
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
                else set(operation.operands())
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
    made = _replaced(operation, "convolve_back", before.args, operation.params)
    return {operation.result: made}


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
