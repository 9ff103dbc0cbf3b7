"""ONNX's operators as functions of Tensors: what each takes, in the order of the standard.

The signature of a function is what is supported. Positional parameters are operands: a
``Tensor``, a ``Buffer`` that training tracks, or ``Static``, an array that must be known, such as
a shape. Those after the star are attributes, with their kinds and defaults, but for ``opset``,
``training``, ``outputs`` (how many there are) and ``frees_batch``, which the importer gives. What
was an attribute in older versions and is an operand now may be given either way.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from ..._core.tensor import Tensor
from ...typing import Array
from ._parsing import Node

__all__ = ["OPERATORS", "Buffer", "Floats", "Ints", "Operator", "Static", "operator", "refuses"]

Static: TypeAlias = Array
Buffer: TypeAlias = Tensor
Ints: TypeAlias = tuple[int, ...]
Floats: TypeAlias = tuple[float, ...]

GIVEN = ("opset", "training", "outputs", "frees_batch")
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,), "float": (float,), "str": (str,), "Ints": (tuple,), "Floats": (tuple,),
    "Array": (np.ndarray,),
}  # fmt: skip
_REFUSED: dict[str, Callable[[dict[str, Any]], str]] = {}


class Operator:
    """A function that stands for an operator, and what its signature says."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function

    @cached_property
    def _parameters(self) -> list[inspect.Parameter]:
        return list(inspect.signature(self.function).parameters.values())

    @cached_property
    def operands(self) -> list[inspect.Parameter]:
        """The positional parameters."""
        return [p for p in self._parameters if p.kind is not p.KEYWORD_ONLY]

    @cached_property
    def attributes(self) -> dict[str, inspect.Parameter]:
        """Those after the star that files have."""
        found = [p for p in self._parameters if p.kind is p.KEYWORD_ONLY]
        return {p.name: p for p in found if p.name not in GIVEN}

    @cached_property
    def given(self) -> frozenset[str]:
        """What the importer gives."""
        return frozenset(p.name for p in self._parameters if p.name in GIVEN)

    def kind(self, number: int) -> str:
        """What an operand is: "Tensor", "Static" or "Buffer"."""
        parameter = self.operands[min(number, len(self.operands) - 1)]
        return str(parameter.annotation).partition(" ")[0]

    def problems(self, node: Node) -> Iterator[str]:
        """What of a node is not as the signature says."""
        operands = self.operands
        variadic = bool(operands) and operands[-1].kind is inspect.Parameter.VAR_POSITIONAL
        if len(node.inputs) > len(operands) and not variadic:
            yield f"with {len(node.inputs)} operands"
        for number, parameter in enumerate(operands):
            missing = number >= len(node.inputs) or not node.inputs[number]
            required = parameter.default is parameter.empty and not (
                variadic and number == len(operands) - 1 and number
            )
            if missing and required and parameter.name not in node.attributes:
                yield f"without the operand {parameter.name}"
        if len(node.outputs) > 1 and any(node.outputs[1:]) and "outputs" not in self.given:
            yield f"with {len(node.outputs)} results"
        yield from self._bad_attributes(node)

    def _bad_attributes(self, node: Node) -> Iterator[str]:
        olds = {p.name for p in self.operands if "Static" in str(p.annotation)}
        for name, value in node.attributes.items():
            if name in self.attributes:
                kind = str(self.attributes[name].annotation).partition(" ")[0]
                types = _KINDS[kind]
                whole = kind != "Ints" or all(isinstance(v, int) for v in value or ())
                if not isinstance(value, types) or not whole:
                    yield f"with the attribute {name}={value!r:.40}, which is no {kind}"
            elif name not in olds or not isinstance(value, (int, float, tuple)):
                yield f"with the attribute {name}={value!r:.40}"
        for name, parameter in self.attributes.items():
            if parameter.default is parameter.empty and name not in node.attributes:
                yield f"without the attribute {name}"

    def refusal(self, node: Node) -> str:
        """Why the values of its attributes are not supported; empty if they are."""
        return _REFUSED[self.name](node.attributes) if self.name in _REFUSED else ""


OPERATORS: dict[str, Operator] = {}


def operator(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a function stand for operators."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        OPERATORS.update({name: Operator(name, function) for name in names})
        return function

    return register


def refuses(*names: str) -> Callable[[Callable[[dict[str, Any]], str]], None]:
    """Let a function say which attributes of operators are not supported."""

    def register(function: Callable[[dict[str, Any]], str]) -> None:
        _REFUSED.update(dict.fromkeys(names, function))

    return register
