"""An ONNX graph while it is written: names for values, constants and operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..._core.context import layer_path
from ...compiler._symbols import Operation, Symbol
from ...errors import ArgumentError
from ...typing import DTypeLike
from ._recording import Dims, Recorded

__all__ = ["Graph", "UnsupportedError"]

_LONGEST = 2**63 - 1


class UnsupportedError(Exception):
    """An operation that has no form in ONNX; the message says why."""


class Graph:
    """The nodes of a graph, in order, and the arrays it holds.

    Attributes:
        nodes: protocol buffers of operators.
        initializers: arrays by name.
        names: of each symbol that has a value by now.
        wanted: names that symbols shall get: those of outputs.
        input: the name of the first input.
        output_names: in order.
    """

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded
        self.nodes: list[Any] = []
        self.initializers: dict[str, Any] = {}
        self.names: dict[Symbol, str] = {}
        self.wanted: dict[Symbol, str] = {}
        self.input = ""
        self.output_names: list[str] = []
        self._taken: set[str] = set()
        self._constants: dict[Any, str] = {}
        self._where: Operation | None = None

    def reserve(self, name: str) -> str:
        """A name of which there is one: this, or this with a number."""
        found, number = name, 1
        while found in self._taken:
            found, number = f"{name}_{number}", number + 1
        self._taken.add(found)
        return found

    def begin(self, operation: Operation) -> None:
        """Say which operation the nodes that follow belong to."""
        self._where = operation

    def node(self, op: str, inputs: Sequence[str], *, last: bool = False, **attributes: Any) -> str:
        """Add an operator; the name of its result. The last of an operation has its result."""
        from onnx import helper

        place = layer_path(self._where.scope) if self._where else ""
        result = self._where.result if self._where and last else None
        name = self.reserve(f"{place}/{op}" if place else op)
        output = self.wanted.get(result, name) if result is not None else name
        if result is not None:
            self.names[result] = output
        self.nodes.append(helper.make_node(op, list(inputs), [output], name, **attributes))
        return output

    def constant(self, value: Any, dtype: DTypeLike = None) -> str:
        """A number or array that is part of the graph; the same one once."""
        from onnx import numpy_helper

        array = np.asarray(value, dtype)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            where, self._where = self._where, None
            name = self.reserve("constant")
            tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
            self._constants[key] = self.node("Constant", [], value=tensor)
            self._where = where
        return self._constants[key]

    def integers(self, values: Sequence[int]) -> str:
        """A list of integers as operators take shapes and axes."""
        return self.constant([max(min(v, _LONGEST), -_LONGEST) for v in values], np.int64)

    def cast(self, name: str, have: DTypeLike, want: DTypeLike) -> str:
        """A value in another dtype."""
        if np.dtype(have) == np.dtype(want):
            return name
        return self.node("Cast", [name], to=element_type(want))

    def value(self, pair: Dims, dtype: DTypeLike = None) -> str:
        """The name of an operand: a symbol, or a constant that the batch has no influence on."""
        x = pair.first
        if isinstance(x, Symbol):
            name = self.names[x]
            return name if dtype is None else self.cast(name, x.dtype, dtype)
        if not pair.is_fixed:
            raise UnsupportedError(f"with a constant that depends on the batch: {pair.first!r:.60}")
        return self.constant(x, dtype)

    def batch(self) -> str:
        """The number of examples, as a list of one integer."""
        shape = self.node("Shape", [self.input])
        return self.node("Slice", [shape, self.integers([0]), self.integers([1])])

    def lengths(self, dims: Sequence[int | None]) -> str:
        """A shape; None stands for the number of examples."""
        if None not in dims:
            return self.integers(dims)  # type: ignore[arg-type]
        batch = self.batch()
        parts = [batch if n is None else self.integers([n]) for n in dims]
        return self.node("Concat", parts, axis=0)

    def dims(self, shape: Dims) -> list[int | None]:
        """A shape with None for each length that is the number of examples.

        Raises:
            UnsupportedError: a length depends on it in another way.
        """
        found: list[int | None] = []
        for a, b in zip(shape.first, shape.second, strict=True):
            if a != b and (a, b) != self.recorded.batches:
                raise UnsupportedError(f"a length that depends on the batch ({a} of {b})")
            found.append(a if a == b else None)
        return found


def element_type(dtype: DTypeLike) -> int:
    """The number that ONNX has for a dtype.

    Raises:
        UnsupportedError: it has none.
    """
    from onnx import helper

    try:
        return int(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
    except (KeyError, ValueError):
        raise UnsupportedError(f"of dtype {np.dtype(dtype)}") from None


def check_size(arrays: Sequence[Any]) -> None:
    """Refuse what no file of one part can hold.

    Raises:
        ArgumentError: more than 2 GB.
    """
    total = sum(array.nbytes for array in arrays)
    if total >= 2**31 - 2**20:
        raise ArgumentError(
            f"export_onnx: the parameters take {total / 1e9:.2f} GB, and an ONNX file holds 2 GB"
        )
