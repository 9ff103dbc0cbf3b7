"""ONNX files as Modules."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from operator import attrgetter
from typing import Any

import numpy as np

from ... import nn
from ..._core.context import per_thread
from ..._core.tensor import Tensor, as_tensor
from ...errors import ArgumentError, DataError, ShapeError, TinygradCnnError
from ...typing import Array, TensorLike
from . import _elementwise, _shapes, _windows  # noqa: F401 (they register their operators)
from ._batch import freed_reshapes
from ._operators import OPERATORS, Operator
from ._parsing import Input, Node, Parsed, parse

__all__ = ["OnnxModel", "import_onnx"]

_DEEPEST = 16  # parts of a name that become modules


def import_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """Read an ONNX file into a Module that runs, is differentiated, trained and compiled.

    Nothing of the file is executed: it is data, checked before use. The initialisers become
    parameters under their own names, ``features.0.weight`` in ``model.features``; the running
    statistics of batch normalisation become buffers. A file that was written for a fixed number
    of images takes any number if each operator provably treats the images one by one.

    Args:
        path: of the file; arrays that it holds outside must lie in its folder or below.

    Returns:
        The model, in evaluation mode; ``train()`` lets dropout drop and batch normalisation use
        the statistics of the batch.

    Raises:
        DataError: the file is damaged, or has operators or attributes that are not supported,
            all of which are listed.
        ArgumentError: there is no such file.
        MissingExtraError: ``onnx`` is not installed.
    """
    parsed = parse(path)
    _check_supported(parsed, os.fspath(path))
    try:
        return OnnxModel(parsed).eval()
    except (ArgumentError, ShapeError, ArithmeticError, IndexError, TypeError) as error:
        raise DataError(f"{os.fspath(path)}: can't be built: {error}") from None


class OnnxModel(nn.Module):
    """What ``import_onnx`` makes: the operators of a file, in order.

    Attributes:
        inputs: name, dtype and shape of what it takes; None stands for a free length.
        output_names: of what it returns: a Tensor, or a tuple of several.
        metadata: the properties of the file.
        batch_is_free: whether any number of images may be given.
    """

    def __init__(self, parsed: Parsed) -> None:
        super().__init__()
        self.inputs, self.output_names = tuple(parsed.inputs), tuple(parsed.outputs)
        self.metadata = parsed.metadata
        freed = freed_reshapes(parsed)
        self.batch_is_free = freed is not None or any(
            i.shape is not None and i.shape[:1] == (None,) for i in parsed.inputs
        )
        self._constants: dict[str, Array] = {}
        self._held: dict[str, Any] = {}  # by the name in the file, how to get the Tensor
        arrays = parsed.arrays | _constants_of(parsed)
        for name, kind in _kinds_of(arrays, parsed).items():
            self._hold(name, arrays[name], kind if name in parsed.arrays else f"Constant {kind}")
        self._steps = tuple(
            _step(node, parsed.opset, number in (freed or ()))
            for number, node in enumerate(parsed.nodes)
            if node.op != "Constant"
        )

    def _hold(self, name: str, array: Array, kind: str) -> None:
        """Keep an array as Parameter, as buffer, or as what a recording knows."""
        if kind.endswith("Static") or array.dtype.kind != "f":
            array.flags.writeable = False
            self._constants[name] = array
            return
        path = _path(name)
        owner: nn.Module = self
        where = ""
        for part in path[:-1]:
            child = vars(owner).get(part)
            if not isinstance(child, nn.Module):
                part, child = _free(owner, part), nn.Module()
                owner.add_module(part, child)
            owner, where = child, f"{where}{part}."
        last = _free(owner, path[-1])
        if kind == "Tensor":
            setattr(owner, last, nn.Parameter(array))
        else:
            owner.register_buffer(last, Tensor(array), persistent=kind == "Buffer")
        self._held[name] = attrgetter(where + last)

    def forward(self, *inputs: TensorLike) -> Any:
        """Run the operators.

        Raises:
            ShapeError: an input has another shape than the file says.
        """
        if len(inputs) != len(self.inputs):
            names = ", ".join(i.name for i in self.inputs)
            raise ArgumentError(f"the model takes {names}: {len(self.inputs)}, got {len(inputs)}")
        values: dict[str, Any] = dict(self._constants)
        values.update((name, get(self)) for name, get in self._held.items())
        for declared, given in zip(self.inputs, inputs, strict=True):
            values[declared.name] = self._checked(declared, as_tensor(given))
        for step in self._steps:
            step.run(values, self.training)
        found = tuple(as_tensor(values[name]) for name in self.output_names)
        return found[0] if len(found) == 1 else found

    def _checked(self, declared: Input, x: Tensor) -> Tensor:
        expected = declared.shape
        if expected is not None:
            free = (None,) if self.batch_is_free else expected[:1]
            wanted = (*free, *expected[1:])
            fits = len(wanted) == x.ndim and all(
                n is None or n == m for n, m in zip(wanted, x.shape, strict=True)
            )
            if not fits:
                shown = ", ".join("any" if n is None else str(n) for n in wanted)
                raise ShapeError(f"input {declared.name!r}: expected ({shown}), got {x.shape}")
        if declared.dtype is not None and declared.dtype.kind == "f" and x.dtype.kind != "f":
            return x.astype(declared.dtype)
        return x

    def extra_repr(self) -> str:
        """What it takes and returns."""
        return f"{', '.join(i.name for i in self.inputs)} -> {', '.join(self.output_names)}"


class _Step:
    """An operator with its attributes, and the names of its operands and results."""

    def __init__(self, node: Node, known: Operator, attributes: dict[str, Any]) -> None:
        self.node, self.known, self.attributes = node, known, attributes
        self.kinds = [known.kind(i) for i in range(len(node.inputs))]
        self.olds = {
            p.name: np.array(node.attributes[p.name])
            for p in known.operands[len([*filter(None, node.inputs)]) :]
            if p.name in node.attributes
        }
        self.trains = "training" in known.given

    def run(self, values: dict[str, Any], training: bool) -> None:
        """Add the results to the values."""
        node, settings = self.node, self.attributes
        if self.trains:
            settings = {**settings, "training": training}
        operands = [values[name] if name else None for name in node.inputs]
        # What does not depend on the images is computed at once, also where it is recorded.
        known = not any(isinstance(o, Tensor) for o in operands) or node.op == "Shape"
        given = [_operand(*pair) for pair in zip(operands, self.kinds, strict=True)]
        with _untraced() if known else nullcontext(), _named(node):
            made = self.known.function(*given, **self.olds, **settings)
            results = made if isinstance(made, list) else [made]
            results = [result.data for result in results] if known else results
        values.update(zip(node.outputs, results, strict=False))


def _operand(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "Static":
        return np.asarray(value.data if isinstance(value, Tensor) else value)
    return as_tensor(value)


@contextmanager
def _named(node: Node) -> Iterator[None]:
    """An error that says nothing of the operator becomes one that does."""
    try:
        yield
    except TinygradCnnError:
        raise
    except (ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
        raise DataError(f"{node.op} {node.name!r:.60}: {error}") from None


@contextmanager
def _untraced() -> Iterator[None]:
    context = per_thread.context
    tracer, context.tracer = context.tracer, None
    try:
        yield
    finally:
        context.tracer = tracer


def _step(node: Node, opset: int, frees_batch: bool) -> _Step:
    known = OPERATORS[node.op]
    settings = {k: v for k, v in node.attributes.items() if k in known.attributes}
    given = {"opset": opset, "outputs": len(node.outputs), "frees_batch": frees_batch}
    settings.update((k, v) for k, v in given.items() if k in known.given)
    return _Step(node, known, settings)


# -- names and roles ---------------------------------------------------------------------------


def _constants_of(parsed: Parsed) -> dict[str, Array]:
    """The results of the operators that hold an array."""
    make = OPERATORS["Constant"].function
    nodes = [node for node in parsed.nodes if node.op == "Constant"]
    return {node.outputs[0]: np.asarray(make(**node.attributes).data) for node in nodes}


def _kinds_of(arrays: dict[str, Array], parsed: Parsed) -> dict[str, str]:
    """What arrays are for: "Buffer" if an operator tracks it, "Static" if all must know it."""
    kinds = {name: "Tensor" for name in parsed.outputs if name in arrays}
    for node in parsed.nodes:
        for number, name in enumerate(node.inputs):
            if name in arrays and kinds.get(name) != "Buffer":
                kind = OPERATORS[node.op].kind(number)
                kinds[name] = kind if kind != "Static" else kinds.get(name, kind)
    return kinds


def _path(name: str) -> list[str]:
    """A name in a file as attributes of modules in each other."""
    parts = [re.sub(r"\W", "_", part) for part in re.split(r"[./:]+", name) if part]
    parts = parts[: _DEEPEST - 1] + ["_".join(parts[_DEEPEST - 1 :])] * (len(parts) >= _DEEPEST)
    return [f"p{part}" if part.startswith("_") else part for part in parts] or ["unnamed"]


_HIDDEN = {*dir(OnnxModel), "inputs", "output_names", "metadata", "batch_is_free"}


def _free(owner: nn.Module, name: str) -> str:
    """An attribute that ``owner`` has not, named like this."""
    found, number = name, 1
    while found in _HIDDEN or found in vars(owner):
        found, number = f"{name}_{number}", number + 1
    return found


def _check_supported(parsed: Parsed, path: str) -> None:
    """Say of all that is not supported at once.

    Raises:
        DataError: there is something.
    """
    refused: Counter[str] = Counter()
    for node in parsed.nodes:
        known = OPERATORS.get(node.op)
        if known is None:
            refused[node.op] += 1
            continue
        problems = [*known.problems(node)]
        problems += [known.refusal(node)] if not problems and known.refusal(node) else []
        refused.update(f"{node.op} {problem}" for problem in problems)
    if refused:
        lines = [f"  {what:.200}, {count}x" for what, count in sorted(refused.items())]
        raise DataError(f"{path}: not supported:\n" + "\n".join(lines))
