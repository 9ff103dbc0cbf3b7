"""Models written as ONNX files."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ... import nn
from ..._core.tensor import Tensor
from ..._files import file_path, replacing
from ...compiler._results import Computed, Fresh, Given, Itself
from ...compiler._symbols import Symbol
from ...compiler._trace import Trace
from ...errors import ArgumentError, DtypeError, ShapeError
from ...typing import Array, TensorLike
from ._graph import Graph, UnsupportedError, check_size, element_type
from ._library import library
from ._primitives import write
from ._recording import Dims, record

__all__ = ["export_onnx"]

OPSET, IR_VERSION = 17, 8  # of 2022: ONNX 1.12, read by ONNX Runtime from 1.12 on
_MOST_AXES, _MOST_ELEMENTS = 16, 2**28


def export_onnx(
    model: nn.Module,
    path: str | os.PathLike[str],
    example: TensorLike | tuple[int, ...] | Sequence[Any],
    *,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    free_batch: bool = True,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a model as it is used, in evaluation mode, for every runtime that reads ONNX.

    The model is recorded on two batches of different size, so that nothing in the file depends
    on their size: the first axis of each input and output is called ``batch`` and is free. What
    ONNX has as one operator, such as a convolution, is one in the file. Parameters have the
    names of ``state_dict``.

    Args:
        model: any Module of known operations that takes and returns Tensors.
        path: of the file, ``.onnx``.
        example: an input, (N, C, H, W), or its shape, or for several inputs a list of these.
            The values play no role.
        input_names: "input" by default, or "input_0", "input_1", ….
        output_names: likewise "output"; a dict that the model returns has its keys.
        free_batch: ``False`` fixes the number of examples at that of ``example``.
        metadata: texts for the properties of the file, such as the names of the classes.

    Returns:
        The path of the file: opset 17, IR version 8.

    Raises:
        ArgumentError: operations have no form in ONNX, all of which are listed, the model does
            other things for another number of examples, or a name is given twice.
        GraphError: the model can't be recorded.
        MissingExtraError: ``onnx`` is not installed.
    """
    library("writing an ONNX file")
    if not isinstance(model, nn.Module):
        raise DtypeError(f"export_onnx: expected a Module, got {type(model).__name__}")
    target = file_path(path, ".onnx")
    graph = Graph(record(model, _examples(model, example), free_batch))
    inputs = _declare(graph, model, input_names)
    _name_outputs(graph, output_names)
    _write_operations(graph)
    whole = _file(graph, type(model).__name__, inputs, metadata or {})
    with replacing(target) as file:
        file.write(whole.SerializeToString())
    return target


def _file(graph: Graph, name: str, inputs: list[Any], metadata: Mapping[str, str]) -> Any:
    """The protocol buffer of a whole file, checked."""
    onnx = library("writing an ONNX file")
    check_size(list(graph.initializers.values()))
    arrays = [onnx.numpy_helper.from_array(a, key) for key, a in graph.initializers.items()]
    made = onnx.helper.make_graph(graph.nodes, name, inputs, _outputs(graph), arrays)
    opset = onnx.helper.make_opsetid("", OPSET)
    whole = onnx.helper.make_model(
        made, opset_imports=[opset], ir_version=IR_VERSION, producer_name="tinygrad_cnn"
    )
    onnx.helper.set_model_props(whole, dict(metadata))
    onnx.checker.check_model(whole)
    return whole


# -- inputs and outputs --------------------------------------------------------------------------


def _examples(model: nn.Module, example: Any) -> list[Array]:
    """One array for each input."""
    if isinstance(example, (Tensor, np.ndarray)) or _is_shape(example):
        example = [example]
    if not isinstance(example, (list, tuple)) or not example:
        raise ArgumentError(
            f"export_onnx: example={example!r:.60}: expected an array, a shape such as"
            " (1, 3, 32, 32), or a list with one of them for each input"
        )
    parameter = next(model.parameters(), None)
    dtype = np.dtype(np.float32) if parameter is None else parameter.dtype
    found = [_example(one, dtype) for one in example]
    if any(not x.ndim or not x.size for x in found):
        shapes = ", ".join(str(x.shape) for x in found)
        raise ShapeError(f"export_onnx: example of shape {shapes}: expected (N, …), no axis empty")
    if len({len(x) for x in found}) > 1:
        raise ShapeError("export_onnx: the examples have different lengths along the first axis")
    return found


def _example(one: Any, dtype: np.dtype[Any]) -> Array:
    if not _is_shape(one):
        return np.asarray(one.data if isinstance(one, Tensor) else one)
    if len(one) > _MOST_AXES or min(one) < 1 or math.prod(one) > _MOST_ELEMENTS:
        raise ShapeError(
            f"export_onnx: example shape {one}: expected lengths of at least 1, and less than"
            f" {_MOST_ELEMENTS} elements"
        )
    return np.broadcast_to(np.zeros((), dtype), one)


def _is_shape(value: Any) -> bool:
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in value)
    )


def _declare(graph: Graph, model: nn.Module, given: Sequence[str] | None) -> list[Any]:
    """Name what the program is given: parameters, inputs, and arrays that the model captured."""
    first = graph.recorded.traces[0]
    keys = {id(tensor): key for key, tensor in reversed(model._state().items())}
    needed = {s for a, _ in graph.recorded.pairs for s in a.operands()}
    needed |= {s for s in _returned(first) if isinstance(s, Symbol)}
    for symbol, tensor in first.tracer.parameters.items():
        if symbol in needed:
            if id(tensor) not in keys:
                graph.names[symbol] = graph.constant(tensor.data)
                continue
            key = graph.names[symbol] = graph.reserve(keys[id(tensor)])
            graph.initializers[key] = np.asarray(tensor.data, order="C")
    for symbol, array in first.tracer.constants.items():
        if symbol in needed:
            graph.names[symbol] = graph.constant(array)
    if first.tracer.draws:
        raise ArgumentError("export_onnx: the model draws random numbers, which a graph can't")
    declared = []
    names = _names(given, "input", len(first.arguments), "input_names")
    for name, symbol in zip(names, first.arguments, strict=True):
        graph.names[symbol] = graph.reserve(name)
        graph.input = graph.input or graph.names[symbol]
        declared.append(_typed(graph, graph.names[symbol], symbol))
    return declared


def _name_outputs(graph: Graph, given: Sequence[str] | None) -> None:
    first = graph.recorded.traces[0]
    structure, returned = first.structure, _returned(first)
    is_dict = type(structure) is tuple and structure[0] is dict
    keys = [key for key, _ in structure[1:]] if is_dict else []
    if given is None and keys and all(isinstance(key, str) for key in keys):
        given = keys
    names = _names(given, "output", len(returned), "output_names")
    names = [graph.reserve(name) for name in names]
    graph.output_names = names
    computed = {a.result for a, _ in graph.recorded.pairs}
    for name, symbol in zip(names, returned, strict=True):
        if isinstance(symbol, Symbol) and symbol in computed:
            graph.wanted.setdefault(symbol, name)


def _outputs(graph: Graph) -> list[Any]:
    """The outputs declared; one that is no result of an operation of its own is copied."""
    declared = []
    traces = graph.recorded.traces
    pairs = zip(graph.output_names, *map(_returned, traces), strict=True)
    graph._where = None
    for name, first, second in pairs:
        if not isinstance(first, Symbol) or graph.names[first] != name:
            from onnx import helper

            source = graph.value(Dims(first, second))
            graph.nodes.append(helper.make_node("Identity", [source], [name], name))
        declared.append(_typed(graph, name, first))
    return declared


def _returned(trace: Trace) -> list[Any]:
    """What the model returns: symbols, or arrays that are the same each time."""
    found = []
    for source in trace.results.sources:
        if isinstance(source, Computed):
            found.append(trace.program.outputs[source.number])
        elif isinstance(source, Given):
            found.append(trace.arguments[source.number])
        elif isinstance(source, (Itself, Fresh)):
            value = source.value
            found.append(value.data if isinstance(value, Tensor) else value)
        else:
            raise ArgumentError("export_onnx: the model returns a number: return Tensors")
    if not found:
        raise ArgumentError("export_onnx: the model returns no Tensor")
    return found


def _names(given: Sequence[str] | None, kind: str, count: int, argument: str) -> list[str]:
    if given is None:
        return [kind] if count == 1 else [f"{kind}_{i}" for i in range(count)]
    names = [given] if isinstance(given, str) else list(given)
    if len(names) != count or len(set(names)) != count or not all(
        isinstance(name, str) and name for name in names
    ):  # fmt: skip
        raise ArgumentError(f"export_onnx: {argument}={given!r}: expected {count} different names")
    return names


def _typed(graph: Graph, name: str, value: Any) -> Any:
    from onnx import helper

    shapes = graph.recorded.shapes
    shape = shapes.get(value) if isinstance(value, Symbol) else None
    shape = shape or Dims(np.shape(value), np.shape(value))
    dims: list[Any] = []
    for a, b in zip(shape.first, shape.second, strict=True):
        dims.append(a if a == b else "batch" if (a, b) == graph.recorded.batches else None)
    dtype = np.asarray(value).dtype if not isinstance(value, Symbol) else value.dtype
    return helper.make_tensor_value_info(name, element_type(dtype), dims)


# -- operations ----------------------------------------------------------------------------------


def _write_operations(graph: Graph) -> None:
    """Write all, and say of all at once that can't be written.

    Raises:
        ArgumentError: one or more have no form in ONNX.
    """
    refused: Counter[str] = Counter()
    places: dict[str, str] = {}
    for pair in graph.recorded.pairs:
        try:
            write(graph, pair)
        except UnsupportedError as error:
            what = f"{pair.first.name} {error}".strip()
            refused[what] += 1
            places.setdefault(what, _place(pair.first))
            graph.names[pair.first.result] = "?"
    if refused:
        lines = [f"  {what}, {count}x, first in {places[what]}" for what, count in refused.items()]
        raise ArgumentError(
            "export_onnx: these operations of the model have no form in ONNX here:\n"
            + "\n".join(lines)
        )


def _place(operation: Any) -> str:
    where = operation.scope.path if operation.scope else "the model"
    return f"{where}, {operation.source}" if operation.source else where
