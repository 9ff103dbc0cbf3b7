"""Which values have the batch along their first axis, and which are shared by all images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import Any

import numpy as np

from ..._executors import UnsupportedError
from ..._infer import ELEMENTWISE
from ..._program import Program
from ..._symbols import Operation, Symbol

VIEWS = frozenset(("broadcast_to", "crop", "flip", "getitem", "reshape", "transpose"))
UNSTORED = VIEWS | {"full"}  # nothing is computed for them: they are read where they are needed
ALIASES = frozenset(("astype", "item"))
REDUCED = frozenset(("max", "min", "prod", "sum", "sum_to"))
BY_IMAGE = frozenset(("average_pool", "average_pool_gradient", "conv", "conv_input_gradient",
                      "max_pool", "max_pool_gradient"))  # fmt: skip
LINEAR = frozenset(("linear", "linear_input_gradient"))
OVER_BATCH = frozenset(("conv_weight_gradient", "linear_weight_gradient"))
LONGEST = 32  # elementwise operations in a row without a result in memory
HEAVY = BY_IMAGE | LINEAR | OVER_BATCH


def is_elementwise(operation: Operation) -> bool:
    """Whether it computes each element from those of its operands at the same place."""
    return operation.name in ELEMENTWISE or operation.name in ALIASES


def reduced_axes(operation: Operation) -> tuple[int, ...]:
    """The axes of the operand that a reduction sums or the like."""
    x = operation.args[0]
    if operation.name == "sum_to":
        shape = operation.params["shape"]
        added = x.ndim - len(shape)
        stretched = (i + added for i, n in enumerate(shape) if n == 1 != x.shape[i + added])
        return (*range(added), *stretched)
    return tuple(operation.params["axis"])


def leaves(root: Operation, stored: Set[Symbol]) -> Iterator[Symbol]:
    """What an operation needs that is not computed on the way, from what is stored."""
    seen: set[Symbol] = set()
    stack = list(root.operands())
    while stack:
        symbol = stack.pop()
        if symbol in seen:
            continue
        seen.add(symbol)
        inner = symbol.operation
        if symbol in stored or inner is None or not is_elementwise(inner):
            yield symbol
        else:
            stack += inner.operands()


def viewed(symbol: Symbol) -> Symbol | None:
    """What a view, or a view of one, shows; None where it shows a constant."""
    while symbol.operation is not None and symbol.operation.name in UNSTORED:
        source = symbol.operation.args[0] if symbol.operation.args else None
        if not isinstance(source, Symbol):
            return None
        symbol = source
    return symbol


class Batch:
    """The batch of a program.

    Attributes:
        size: how many images it has.
        symbols: the values that have them along their first axis.
        uniform: shared values stretched to such a shape: all rows of them are the same.
    """

    def __init__(self, program: Program, arguments: Iterable[Symbol]) -> None:
        given = [s for s in arguments if s.ndim]
        if not given:
            raise UnsupportedError("no argument is an array with a batch")
        self.size = max(given, key=lambda s: s.ndim).shape[0]
        if self.size < 1:
            raise UnsupportedError("the batch is empty")
        self.symbols = {s for s in given if s.shape[0] == self.size}
        self.uniform: set[Symbol] = set()
        for operation in program.operations:
            if self._is_batched(operation):
                self.symbols.add(operation.result)

    def _is_batched(self, operation: Operation) -> bool:
        inside = [o for o in operation.operands() if o in self.symbols]
        name, result = operation.name, operation.result
        if not inside:
            if name in ("broadcast_to", "full") and result.ndim and result.shape[0] == self.size:
                source = operation.args[0] if operation.args else None
                if source is None or np.ndim(source) < result.ndim or np.shape(source)[0] == 1:
                    self.uniform.add(result)
            elif (
                name in VIEWS
                and result.shape[:1] == (self.size,)
                and any(operand in self.uniform for operand in operation.operands())
            ):
                self.uniform.add(result)
            if name in HEAVY:
                raise unsupported(operation, "none of its operands has the batch")
            return False
        if is_elementwise(operation):
            self._check_elementwise(operation, inside)
            return True
        if name in REDUCED:
            return 0 not in reduced_axes(operation)
        if name in VIEWS:
            return self._view(operation)
        if name in BY_IMAGE | LINEAR:
            weighted = name.startswith(("conv", "linear"))
            if not self._has(operation.args[0]) or (weighted and self._has(operation.args[-1])):
                raise unsupported(operation, "its weights have the batch, or its images have not")
            return True
        if name in OVER_BATCH:
            if not (self._has(operation.args[0]) and self._has(operation.args[1])):
                raise unsupported(operation, "an operand has not the batch")
            return False
        raise unsupported(operation, "there is no kernel for it")

    def _has(self, operand: Any) -> bool:
        """Whether an operand has the batch; arrays of the function's own have not."""
        return isinstance(operand, Symbol) and operand in self.symbols

    def _check_elementwise(self, operation: Operation, inside: list[Symbol]) -> None:
        shape = operation.result.shape
        if not shape or shape[0] != self.size or any(o.ndim != len(shape) for o in inside):
            raise unsupported(operation, "the batch meets another axis")
        for other in operation.args:
            if isinstance(other, Symbol) and (other in self.symbols or other in self.uniform):
                continue
            if np.ndim(other) == len(shape) and np.shape(other)[0] != 1:
                why = "an operand has a row for each image, but is no argument"
                raise unsupported(operation, why)

    def _view(self, operation: Operation) -> bool:
        x, result, params = operation.args[0], operation.result, operation.params
        kept = bool(result.ndim) and result.shape[0] == self.size
        match operation.name:
            case "transpose":
                kept = params["axes"][0] == 0
            case "getitem":
                index = plain_index(params["index"], x.ndim)
                kept = index is not None and bool(index) and index[0] == slice(None)
            case "crop":
                kept = not any(params["widths"][0])
            case "flip":
                axis = params["axis"]
                kept = 0 not in (axis if isinstance(axis, tuple) else (axis,))
            case "broadcast_to":
                kept = kept and x.ndim == result.ndim
        if not kept:
            raise unsupported(operation, "it moves or splits the batch")
        return True


def plain_index(index: Any, ndim: int) -> tuple[Any, ...] | None:
    """A basic index with every axis named, or None."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(not isinstance(p, (slice, int, type(None), type(Ellipsis))) for p in parts):
        return None
    if any(isinstance(p, bool) for p in parts):
        return None
    if any(p is Ellipsis for p in parts):
        at = next(i for i, p in enumerate(parts) if p is Ellipsis)
        named = sum(p is not None for p in parts) - 1
        parts = (*parts[:at], *(slice(None),) * (ndim - named), *parts[at + 1 :])
    named = sum(p is not None for p in parts)
    return (*parts, *(slice(None),) * (ndim - named))


def unsupported(operation: Operation, why: str) -> UnsupportedError:
    """The error for an operation that there are no kernels for."""
    where = f" at {operation.source}" if operation.source else ""
    return UnsupportedError(f"{operation.name} of shape {operation.result.shape}{where}: {why}")
