"""An operation whose texts are evaluated as they stand in the table of formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
from cases import Array

from tinygrad_cnn._graph import Vertex
from tinygrad_cnn.explain import _standalone
from tinygrad_cnn.explain._formula import Formula, Operation, fill
from tinygrad_cnn.explain.formulas import FORMULAS


class Evaluated(Operation):
    """An operation whose texts are evaluated, with plain NumPy and the helpers declared."""

    def __init__(self, vertex: Vertex) -> None:
        super().__init__(vertex)
        self.formula: Formula = FORMULAS[vertex.operation]
        self.names = {"y": "y", "g": "g"} | {str(i): f"x{i}" for i in range(len(vertex.operands))}
        self.space: dict[str, Any] = {f"x{i}": x for i, x in enumerate(self.values)}
        self.space |= {"y": vertex.value, "np": np}
        self.space |= {name: getattr(_standalone, name) for name in self.formula.helpers}

    def given(self, name: str, value: Any) -> str:
        assert isinstance(value, np.ndarray)
        assert value.ndim
        assert np.array_equal(self.space.setdefault(f"given_{name}", value), value)
        self.names[name] = f"given_{name}"
        return f"${{{name}}}"

    def value(self, template: str, **more: Any) -> Array:
        return np.asarray(eval(fill(template, self.names), {**self.space, **more}))

    def forward(self) -> Array:
        return self.value(self.text(self.formula.numpy))

    def backward(self, index: int, g: Any) -> Array:
        return self.value(self.passed(self.formula, index)[1], g=g)


def upstreams(vertex: Vertex) -> list[Any]:
    rng = np.random.default_rng([1, *vertex.shape])
    return [rng.uniform(0.5, 1.5, vertex.shape)[()] * sign for sign in (1.0, -2.0)]


def engine(vertex: Vertex, index: int, g: Any) -> Array:
    """What the engine passes on."""
    node: Any = vertex.node
    gradient = node.primitive.rule(index)(g, node.ans, *node.args, **node.params)
    if np.shape(gradient) != vertex.operands[index].shape and node.primitive.unbroadcast:
        gradient = node.primitive.unbroadcast(np.asarray(gradient), vertex.operands[index].shape)
    return np.asarray(gradient)


def assert_same(found: Array, expected: Any, rtol: float) -> None:
    """Equal to a relative error in the norm; NaN and the infinities in the same places."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    scale = np.linalg.norm(expected[finite])
    assert np.linalg.norm(found[finite] - expected[finite]) <= rtol * scale
