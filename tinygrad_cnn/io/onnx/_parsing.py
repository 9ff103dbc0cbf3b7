"""ONNX files as plain data, checked: what is read is bounded by the size of the file."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import ArgumentError, DataError
from ...typing import Array, Shape
from ._library import library

__all__ = ["DTYPES", "Input", "Node", "Parsed", "parse"]

_MOST_BYTES = 2**31  # what a protocol buffer may have
_MOST_NODES = 100_000
_MOST_AXES = 32
_OPSETS = range(6, 29)

# By the numbers of TensorProto.DataType: the dtype, and the field that holds it if not raw_data.
DTYPES: dict[int, tuple[str, str]] = {
    1: ("<f4", "float_data"), 2: ("u1", "int32_data"), 3: ("i1", "int32_data"),
    4: ("<u2", "int32_data"), 5: ("<i2", "int32_data"), 6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"), 9: ("?", "int32_data"), 10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"), 12: ("<u4", "uint64_data"), 13: ("<u8", "uint64_data"),
}  # fmt: skip


class Node(NamedTuple):
    """One operator.

    Attributes:
        op: its type; one of another domain than ONNX's has that in front.
        name: of the node, or of its first result.
        inputs, outputs: names of values; one that is left out is empty.
        attributes: integers, floats, texts, arrays, tuples of these; None for a graph.
    """

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Input(NamedTuple):
    """An input of the graph: its dtype if it is said, and its lengths, None where they are free."""

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | None, ...] | None


class Parsed(NamedTuple):
    """What a file holds.

    Attributes:
        opset: which version of ONNX's operators.
        inputs: those that must be given.
        outputs: names of values.
        arrays: initialisers by name.
        nodes: in an order that works.
        metadata: the properties of the file.
    """

    opset: int
    inputs: list[Input]
    outputs: list[str]
    arrays: dict[str, Array]
    nodes: list[Node]
    metadata: dict[str, str]


def parse(path: str | os.PathLike[str]) -> Parsed:
    """Read a file; nothing of it is carried out.

    Raises:
        DataError: it is damaged, too large, or not ONNX.
        ArgumentError: there is no such file.
        MissingExtraError: ``onnx`` is not installed.
    """
    onnx = library("reading an ONNX file")
    from google.protobuf.message import DecodeError

    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"import_onnx: expected the path of a file, got {path!r:.60}")
    file = Path(path)
    try:
        if not file.is_file():
            raise ArgumentError(f"import_onnx: there is no file {str(file)!r}")
        size = file.stat().st_size
        if size >= _MOST_BYTES:
            raise DataError(f"{file}: {size} bytes, and an ONNX file has less than {_MOST_BYTES}")
        model = onnx.ModelProto.FromString(file.read_bytes())
        return _Reader(file).model(model)
    except DecodeError:
        raise DataError(f"{file}: damaged, or no ONNX file") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: a name in it is no text") from None
    except OSError as error:
        raise DataError(f"{file}: can't be read: {error.strerror}") from None


class _Reader:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.folder = file.resolve().parent

    def refuse(self, what: str) -> DataError:
        return DataError(f"{self.file}: {what}")

    def model(self, model: Any) -> Parsed:
        graph = model.graph
        if not model.HasField("graph") or not graph.output:
            raise self.refuse("no ONNX model: it has no graph, or one without outputs")
        if len(graph.node) > _MOST_NODES:
            raise self.refuse(f"{len(graph.node)} nodes, at most {_MOST_NODES} are read")
        opset = self._opset(model)
        if graph.sparse_initializer:
            raise self.refuse("sparse initialisers are not read")
        arrays = {
            self.text(t.name): self.array(t, f"initialiser {t.name!r:.60}")
            for t in graph.initializer
        }
        nodes = [self._node(node) for node in graph.node]
        inputs = [self._input(i) for i in graph.input if i.name not in arrays]
        outputs = [self.text(output.name) for output in graph.output]
        metadata = {self.text(p.key): self.text(p.value) for p in model.metadata_props}
        if len(arrays) != len(graph.initializer):
            raise self.refuse("two initialisers have one name")
        parsed = Parsed(opset, inputs, outputs, arrays, nodes, metadata)
        self._check_order(parsed)
        return parsed._replace(nodes=_without_unused(parsed))

    def _opset(self, model: Any) -> int:
        versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
        if not versions:
            raise self.refuse("it does not say which version of the operators it uses")
        if versions[0] not in _OPSETS:
            raise self.refuse(
                f"opset {versions[0]}: those from {_OPSETS[0]} to {_OPSETS[-1]} are read"
            )
        return int(versions[0])

    def _check_order(self, parsed: Parsed) -> None:
        """Each value is made once, and before it is used: there is no cycle."""
        known = {"", *parsed.arrays, *(i.name for i in parsed.inputs)}
        for node in parsed.nodes:
            late = [name for name in node.inputs if name not in known]
            if late:
                raise self.refuse(
                    f"{node.op} {node.name!r:.60} uses {late[0]!r:.60}, which nothing makes before"
                )
            twice = [name for name in node.outputs if name and name in known]
            if twice or len(set(filter(None, node.outputs))) < len([*filter(None, node.outputs)]):
                raise self.refuse(f"{node.op} {node.name!r:.60} makes a value that there is")
            known.update(node.outputs)
        lost = [name for name in parsed.outputs if name not in known or not name]
        if lost:
            raise self.refuse(f"nothing makes the output {lost[0]!r:.60}")

    def _input(self, value: Any) -> Input:
        self.text(value.name)
        if not value.type.HasField("tensor_type"):
            raise self.refuse(f"input {value.name!r:.60} is no tensor")
        kind = value.type.tensor_type
        dtype = np.dtype(DTYPES[kind.elem_type][0]) if kind.elem_type in DTYPES else None
        if not kind.HasField("shape"):
            return Input(value.name, dtype, None)
        if len(kind.shape.dim) > _MOST_AXES:
            raise self.refuse(f"input {value.name!r:.60} has {len(kind.shape.dim)} axes")
        dims = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
        if any(n is not None and n < 0 for n in dims):
            raise self.refuse(f"input {value.name!r:.60} has a length below 0")
        return Input(value.name, dtype, tuple(n or None for n in dims))

    def _node(self, node: Any) -> Node:
        domain = "" if node.domain in ("", "ai.onnx") else f"{self.text(node.domain)}."
        op, inputs = domain + self.text(node.op_type), tuple(map(self.text, node.input))
        outputs = tuple(map(self.text, node.output))
        name = self.text(node.name) or next(iter(outputs), "")
        attributes = {self.text(a.name): self._attribute(a, node) for a in node.attribute}
        if len(attributes) != len(node.attribute):
            raise self.refuse(f"{op} {name!r:.60} has an attribute twice")
        return Node(op, name, inputs, outputs, attributes)

    def text(self, value: Any) -> str:
        """A text of the file, which comes as bytes if it is none."""
        if not isinstance(value, str):
            raise self.refuse(f"a name in it is no text: {value!r:.60}")
        return value

    def _attribute(self, attribute: Any, node: Any) -> Any:
        read = _ATTRIBUTES.get(attribute.type)
        if read is None or attribute.ref_attr_name:
            return None  # a graph or the like: the operator that has it is not supported
        if attribute.type == 4:
            return self.array(attribute.t, f"attribute {attribute.name!r:.60} of {node.op_type}")
        return read(attribute)

    # -- arrays ----------------------------------------------------------------------------

    def array(self, tensor: Any, what: str) -> Array:
        """The array of a TensorProto, after its length was compared with its shape."""
        shape = tuple(tensor.dims)
        if tensor.data_type not in DTYPES:
            raise self.refuse(f"{what}: elements of type {tensor.data_type} are not read")
        if len(shape) > _MOST_AXES or any(n < 0 for n in shape) or tensor.HasField("segment"):
            raise self.refuse(f"{what}: shape {shape!r:.60}")
        code, _ = DTYPES[tensor.data_type]
        dtype, size = np.dtype(code), math.prod(shape)
        if tensor.data_location == 1:
            data = self._external(tensor, size * dtype.itemsize, what)
        elif tensor.HasField("raw_data"):
            data = tensor.raw_data
        else:
            return self._listed(tensor, shape, what)
        if len(data) != size * dtype.itemsize:
            raise self.refuse(f"{what}: {len(data)} bytes for shape {shape} of {dtype}")
        native = dtype.newbyteorder("=")
        return np.frombuffer(data, dtype).astype(native).reshape(shape)  # a copy, to be written to

    def _listed(self, tensor: Any, shape: Shape, what: str) -> Array:
        """The array of numbers that stand one by one; half precision as its bits."""
        code, field = DTYPES[tensor.data_type]
        dtype, values = np.dtype(code), getattr(tensor, field)
        if len(values) != math.prod(shape):
            raise self.refuse(f"{what}: {len(values)} elements for shape {shape}")
        native = dtype.newbyteorder("=")
        if field != "int32_data":
            return np.array(values, native).reshape(shape)
        raw = np.array(values, np.int64)
        kept = raw.astype(np.uint16).view(np.float16) if dtype == np.float16 else raw.astype(native)
        if not np.array_equal(raw, kept.view(np.uint16) if dtype == np.float16 else kept):
            raise self.refuse(f"{what}: a number that {dtype} can't hold")
        return kept.reshape(shape)

    def _external(self, tensor: Any, expected: int, what: str) -> bytes:
        """Bytes of another file, which lies in the folder of the model or below."""
        entries = {self.text(e.key): self.text(e.value) for e in tensor.external_data}
        location = entries.get("location", "")
        try:
            offset, length = int(entries.get("offset", 0)), int(entries.get("length", expected))
            path = (self.folder / location).resolve()
            inside = path.is_relative_to(self.folder) and not Path(location).is_absolute()
        except (ValueError, OSError):
            raise self.refuse(f"{what}: damaged place of its data: {entries!r:.80}") from None
        if not location or not inside or "\\" in location:
            raise self.refuse(f"{what}: its data lie in {location!r:.80}, outside of the folder")
        if not path.is_file():
            raise self.refuse(f"{what}: there is no file {location!r:.80} with its data")
        if length != expected or not 0 <= offset <= path.stat().st_size - length:
            raise self.refuse(
                f"{what}: {length} bytes at {offset} of {location!r:.80}, expected {expected} in"
                f" the file's {path.stat().st_size}"
            )
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def _without_unused(parsed: Parsed) -> list[Node]:
    """The nodes, of whose results those are left out that nobody asks for, such as masks."""
    used = {name for node in parsed.nodes for name in node.inputs} | set(parsed.outputs)
    return [
        node._replace(outputs=tuple(name if name in used else "" for name in node.outputs))
        for node in parsed.nodes
    ]


# By the numbers of AttributeProto.AttributeType; those that hold graphs are missing.
_ATTRIBUTES: dict[int, Callable[[Any], Any]] = {
    1: lambda a: float(a.f),
    2: lambda a: int(a.i),
    3: lambda a: a.s.decode("utf-8"),
    4: lambda a: a.t,
    6: lambda a: tuple(map(float, a.floats)),
    7: lambda a: tuple(map(int, a.ints)),
    8: lambda a: tuple(s.decode("utf-8") for s in a.strings),
}
