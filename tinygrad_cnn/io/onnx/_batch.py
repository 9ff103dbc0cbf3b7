"""Whether a file that was written for so many images can take any number of them.

It can where each operator treats the images one by one, from the inputs to the outputs. A value
is followed as long as its first axis is known to be the batch: each rule below says when an
operator keeps it so. What no rule covers ends the proof, and the batch stays as the file has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ...typing import Array
from ._parsing import Node, Parsed

__all__ = ["freed_reshapes"]

_ALONE = frozenset((
    "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Dropout", "GlobalAveragePool",
    "GlobalMaxPool", "InstanceNormalization", "LRN", "MaxPool", "Abs", "Cast", "Ceil", "Clip",
    "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid",
    "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh", "ThresholdedRelu",
))  # fmt: skip
_TOGETHER = frozenset((
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max",
    "Mean", "Min", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor",
))  # fmt: skip


class _Proof:
    """What is known so far.

    Attributes:
        axes: of each value whose first axis is the batch how many it has.
        constants: the values that the images have no part in; the array where it is known.
        freed: the numbers of the Reshapes that write the batch down.
    """

    def __init__(self, parsed: Parsed, batch: int) -> None:
        self.batch, self.opset = batch, parsed.opset
        self.axes = {i.name: len(i.shape or ()) for i in parsed.inputs}
        self.constants: dict[str, Array | None] = dict(parsed.arrays)
        self.freed: set[int] = set()

    def follows(self, number: int, node: Node) -> bool:
        """Whether the results of an operator are known as well as its operands."""
        names = [name for name in node.inputs if name]
        if all(name in self.constants for name in names):
            value = node.attributes.get("value") if node.op == "Constant" else None
            self.constants.update(dict.fromkeys(node.outputs, value))
            if node.op == "Reshape" and names[1:]:
                self._reshaped(node, names)
            return True
        axes = self._axes_after(number, node, names)
        if axes is None:
            return False
        self.axes.update(dict.fromkeys(filter(None, node.outputs), axes))
        return True

    def _reshaped(self, node: Node, names: list[str]) -> None:
        """A constant under another shape, of which the lengths are enough."""
        target = self.constants[names[1]]
        if target is not None and target.size and np.all(target > 0):
            shape = tuple(map(int, target.ravel()))
            self.constants[node.outputs[0]] = np.broadcast_to(np.float32(0), shape)

    def _axes_after(self, number: int, node: Node, names: list[str]) -> int | None:
        x = self.axes.get(names[0])
        others = names[1:]
        if node.op in _ALONE:
            return x if all(name in self.constants for name in others) else None
        if node.op in _TOGETHER:
            return self._together(names)
        if node.op in ("Concat", "Einsum"):
            same = all(self.axes.get(name) == x for name in names) and node.op == "Concat"
            return x if x and same and node.attributes.get("axis", 0) % x else None
        if x is None or any(name not in self.constants for name in others):
            return None
        rule = _RULES.get(node.op)
        return None if rule is None else rule(self, x, node, number)

    def _together(self, names: list[str]) -> int | None:
        found = {self.axes[name] for name in names if name in self.axes}
        if len(found) != 1 or any(n not in self.axes and n not in self.constants for n in names):
            return None
        [axes] = found
        for name in names:
            if name not in self.axes:
                constant = self.constants[name]
                if constant is None or constant.ndim > axes:
                    return None
                if constant.ndim == axes and constant.shape[0] != 1:
                    return None
        return axes

    def listed(self, node: Node, place: int, attribute: str) -> list[int] | None:
        """Integers that are an operand or an attribute, if they are known."""
        if len(node.inputs) > place and node.inputs[place]:
            found = self.constants.get(node.inputs[place])
            return None if found is None else [int(v) for v in found.ravel()]
        values = node.attributes.get(attribute)
        return None if values is None else list(values)


def freed_reshapes(parsed: Parsed) -> frozenset[int] | None:
    """The numbers of the nodes whose first length shall be that of the batch given.

    None where it can't be shown that each image is treated by itself, or inputs have no first
    axis of one known length.
    """
    batches = {i.shape[0] if i.shape else None for i in parsed.inputs}
    [batch] = batches if len(batches) == 1 else [None]
    if batch is None:
        return None
    proof = _Proof(parsed, batch)
    if not all(proof.follows(number, node) for number, node in enumerate(parsed.nodes)):
        return None
    return frozenset(proof.freed) if all(o in proof.axes for o in parsed.outputs) else None


def _reshape(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    target = proof.listed(node, 1, "shape")
    if not target or node.attributes.get("allowzero"):
        return None
    if target[0] == proof.batch:  # rows stay rows: the elements keep their order
        proof.freed.add(number)
    return len(target) if target[0] in (0, proof.batch) else None


def _matmul(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    right = proof.constants[node.inputs[1]]
    return x if right is not None and right.ndim == 2 and x >= 2 else None


def _gemm(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    bias = proof.constants[node.inputs[2]] if len(node.inputs) > 2 and node.inputs[2] else 0
    rows = 1 if bias is None or np.ndim(bias) < 2 else np.shape(bias)[0]
    return None if bias is None or node.attributes.get("transA") or rows != 1 else 2


def _softmax(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    return x if node.attributes.get("axis", -1 if proof.opset >= 13 else 1) % x else None


def _reduce(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    axes = proof.listed(node, 1, "axes")
    if not axes or any(axis % x == 0 for axis in axes):
        return None
    return x if node.attributes.get("keepdims", 1) else x - len({axis % x for axis in axes})


def _squeeze(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    axes = proof.listed(node, 1, "axes")
    return x - len(axes) if axes and all(axis % x for axis in axes) else None


def _unsqueeze(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    axes = proof.listed(node, 1, "axes")
    return x + len(axes) if axes and all(a % (x + len(axes)) for a in axes) else None


def _slice(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    axes = proof.listed(node, 3, "axes")
    return x if axes and all(axis % x for axis in axes) else None


def _pad(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    pads = proof.listed(node, 1, "pads")
    whole = pads is not None and len(pads) == 2 * x and not (len(node.inputs) > 3)
    return x if whole and not pads[0] and not pads[x] else None  # type: ignore[index]


def _transpose(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    return x if (node.attributes.get("perm") or (1,))[0] == 0 else None


def _along(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    return x if node.attributes.get("axis", 0) % x else None


def _flatten(proof: _Proof, x: int, node: Node, number: int) -> int | None:
    return 2 if node.attributes.get("axis", 1) in (1, 1 - x) else None


_Rule = Callable[[_Proof, int, Node, int], int | None]
_RULES: Mapping[str, _Rule] = {
    "Flatten": _flatten, "Gemm": _gemm, "LogSoftmax": _softmax, "MatMul": _matmul, "Pad": _pad,
    "Reshape": _reshape, "Slice": _slice, "Softmax": _softmax, "Split": _along,
    "Squeeze": _squeeze, "Transpose": _transpose, "Unsqueeze": _unsqueeze,
    "ReduceL1": _reduce, "ReduceL2": _reduce, "ReduceMax": _reduce, "ReduceMean": _reduce,
    "ReduceMin": _reduce, "ReduceProd": _reduce, "ReduceSum": _reduce,
}  # fmt: skip
