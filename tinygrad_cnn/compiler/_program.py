"""Programs: what a trace recorded, reduced to what its outputs need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ._relu import rectified
from ._symbols import Operation, Symbol, symbols_in

_FOLDED = 4096  # elements of the largest constant that is computed beforehand
_SPREADING = ("broadcast_to", "full")  # one number in many places: executors need not store it


class Program:
    """A pure function of arrays, as a list of operations in an order that works.

    Attributes:
        inputs: the symbols that are given, in order.
        operations: each after what it needs.
        outputs: what is asked for, in order: symbols, or constants.
    """

    def __init__(
        self, inputs: Sequence[Symbol], operations: Sequence[Operation], outputs: Sequence[Any]
    ) -> None:
        self.inputs, self.operations, self.outputs = list(inputs), list(operations), list(outputs)

    def __call__(self, *arrays: Any) -> list[Any]:
        """Run it by the operations' own functions, one after the other: what it means."""
        values: dict[Any, Any] = dict(zip(self.inputs, arrays, strict=True))
        for operation in self.operations:
            values[operation.result] = carried_out(operation, values)
        return [values.get(o, o) if isinstance(o, Symbol) else o for o in self.outputs]

    def part(self, inputs: Sequence[Symbol], outputs: Sequence[Any]) -> Program:
        """The program of other outputs, by the same operations."""
        return Program(inputs, needed(self.operations, outputs), outputs)

    def simplified(self) -> Program:
        """Without common subexpressions, constant ones and those that nothing needs.

        Gradients of relu ask its result alone.
        """
        replaced: dict[Symbol, Any] = {}
        known: dict[Any, Symbol] = {}
        kept = []
        for operation in self.operations:
            args, params = operation.args, operation.params
            if replaced:
                args, params = _replace(args, replaced), _replace(params, replaced)
            plain = _same(operation.name, args, params)
            if plain is not None:
                replaced[operation.result] = plain
                continue
            most = 1 if operation.name in _SPREADING else _FOLDED
            if _is_constant(args, params) and operation.result.size <= most:
                folded = operation.function(*args, **params)
                replaced[operation.result] = folded
                continue
            key = (operation.function, operation.name, *map(_key, args), _key(params))
            if key in known:
                replaced[operation.result] = known[key]
                continue
            made = Operation(
                operation.name, operation.function, args, params, operation.result,
                operation.scope, operation.code, operation.instruction,
            )  # fmt: skip
            known[key] = operation.result
            kept.append(made)
        outputs = [_replace(output, replaced) for output in self.outputs]
        kept = rectified(_bound(needed(kept, outputs)), outputs)
        return Program(self.inputs, _bound(needed(kept, outputs)), outputs)


def needed(operations: Sequence[Operation], outputs: Sequence[Any]) -> list[Operation]:
    """The operations that the outputs need, in the same order."""
    wanted = set(symbols_in(tuple(outputs)))
    found = []
    for operation in reversed(operations):
        if operation.result in wanted:
            wanted.update(operation.operands())
            found.append(operation)
    found.reverse()
    return found


def _bound(operations: list[Operation]) -> list[Operation]:
    """The same operations, which their results know from now on."""
    for operation in operations:
        operation.result.operation = operation
    return operations


def _is_constant(args: tuple[Any, ...], params: Mapping[str, Any]) -> bool:
    """Whether no symbol takes part; that one stands among the arguments is soon found."""
    if Symbol in map(type, args):
        return False
    return next(symbols_in((args, params)), None) is None


def _replace(value: Any, replaced: Mapping[Symbol, Any]) -> Any:
    kind = type(value)
    if kind is Symbol:
        return replaced.get(value, value)
    if kind is tuple:
        return tuple([_replace(item, replaced) for item in value])
    if kind is dict and value:
        return {key: _replace(item, replaced) for key, item in value.items()}
    return value


def _key(value: Any) -> Any:
    """What two equal operands share: arrays and symbols go by identity."""
    if isinstance(value, (Symbol, np.ndarray)):
        return id(value)
    if isinstance(value, tuple):
        return tuple([_key(item) for item in value])
    if isinstance(value, dict):
        return tuple(sorted([(key, _key(item)) for key, item in value.items()])) if value else ()
    if isinstance(value, slice):
        return ("slice", value.start, value.stop, value.step)
    if isinstance(value, float):  # 0.0 == -0.0, and NaN != NaN
        return (type(value), value.hex())
    try:
        hash(value)
    except TypeError:
        return id(value)
    return (type(value), value)


def _same(name: str, args: tuple[Any, ...], params: Mapping[str, Any]) -> Any:
    """The operand that an operation gives back unchanged, or None."""
    x = args[0] if args else None
    if not isinstance(x, Symbol):
        return None
    if name in ("reshape", "broadcast_to", "sum_to") and x.shape == params["shape"]:
        return x
    if name == "astype" and x.dtype == params["dtype"]:
        return x
    if name == "transpose" and params["axes"] == tuple(range(x.ndim)):
        return x
    if name == "sum" and not params["axis"]:
        return x
    if name in ("pad", "crop") and not any(map(any, params["widths"])):
        return x
    if name in ("multiply", "divide") and x.dtype.kind == "f" and _is_one(args[1]):
        return x
    return None


def _is_one(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == 1.0


def carried_out(operation: Operation, values: Mapping[Any, Any]) -> Any:
    """The result of an operation, from the values of its symbols."""
    args = [_value(arg, values) for arg in operation.args]
    if not operation.params:
        return operation.function(*args)
    return operation.function(
        *args, **{key: _value(item, values) for key, item in operation.params.items()}
    )


def _value(value: Any, values: Mapping[Any, Any]) -> Any:
    if isinstance(value, Symbol):
        return values[value]
    if type(value) is tuple:
        return tuple(_value(item, values) for item in value)
    return value


Runner = Callable[[Sequence[Any]], list[Any]]
