# ruff: noqa: E501  (one line for each operation)
"""What a reader sees of a formula, and formulas of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from cases import normal, positive
from evaluated import Evaluated, assert_same, engine

import tinygrad_cnn as tc
from tinygrad_cnn._core.primitive import every as registry_every
from tinygrad_cnn._core.primitive import registry
from tinygrad_cnn._graph import Vertex, read
from tinygrad_cnn.errors import ArgumentError, DtypeError, GraphError
from tinygrad_cnn.explain import derive
from tinygrad_cnn.explain._formula import fill
from tinygrad_cnn.explain.formulas import (
    FORMULAS,
    Rule,
    every,
    formula,
    in_words,
    local_factor,
    passed,
    statement,
)

# -- what a reader sees ------------------------------------------------------------------------------


def _vertex(y: tc.Tensor) -> Vertex:
    return read(y).result


def _variable(*shape: int) -> tc.Tensor:
    return tc.Tensor(positive(*shape), requires_grad=True)


_X, _Y, _M = _variable(2, 3), _variable(3), _variable(4, 3)


@pytest.mark.parametrize(
    ("y", "forward", "backward"),
    [
        (_X.sum(), "x0.sum()", "np.full((2, 3), g)"),
        (_X.sum(axis=0), "x0.sum(axis=0)", "np.broadcast_to(g, (2, 3))"),
        (_X.sum(axis=1), "x0.sum(axis=1)", "np.broadcast_to(g[:, None], (2, 3))"),
        (_X.sum(axis=1, keepdims=True), "x0.sum(axis=1, keepdims=True)", "np.broadcast_to(g, (2, 3))"),
        (_X.T, "x0.T", "g.T"),
        (_X @ _M.T, "x0 @ x1", "g @ x1.T"),
        (_Y + _X, "x0 + x1", "g.sum(axis=0)"),
        (_X**2, "x0 ** x1", "g * 2 * x0"),
        (tc.maximum(_X, 0.0), "np.maximum(x0, x1)", "g * (x0 >= x1)"),
        (_X[np.arange(2), np.array([2, 1])], "x0[np.arange(2), labels]", "scatter_add(g, (np.arange(2), labels), (2, 3))"),
        (_X[:, 1:], "x0[:, 1:]", "scatter_add(g, np.s_[:, 1:], (2, 3))"),
        (_X.reshape(6), "x0.reshape(6)", "g.reshape(2, 3)"),
        (tc.pad(_X, [(0, 0), (1, 1)]), "np.pad(x0, ((0, 0), (1, 1)))", "g[:, 1:-1]"),
        (tc.concatenate([_X, _X]), "np.concatenate([x0, x1])", "g[:2]"),
        (tc.im2col(_variable(1, 1, 3, 3), 2), "im2col(x0, (2, 2))", "col2im(g, (1, 1, 3, 3), (2, 2))"),
        (tc.im2col(_variable(1, 1, 3, 3), 1, 2), "im2col(x0, (1, 1), stride=(2, 2))", "col2im(g, (1, 1, 3, 3), (1, 1), stride=(2, 2))"),
        (tc.im2col(_variable(1, 1, 3), 2), "im2col(x0, (2,))", "col2im(g, (1, 1, 3), (2,))"),
    ],
)  # fmt: skip
def test_numpy_reads_as_a_teacher_would_write_it(y: tc.Tensor, forward: str, backward: str) -> None:
    op = Evaluated(_vertex(y))
    names = op.names | {"labels": "labels"}
    assert fill(op.text(op.formula.numpy), names) == forward
    template = op.passed(op.formula, 0)[1]
    assert fill(template, op.names | {"labels": "labels"}) == backward


def test_statement_and_what_is_passed_on_are_written_with_the_names_given() -> None:
    vertex = _vertex(_X * _Y)
    assert statement(vertex, ["X", "s"], "Z") == r"Z = X \odot s"
    assert passed(vertex, 0, ["X", "s"], "Z", "g") == r"g \odot s"
    assert (
        passed(vertex, 1, ["X", "s"], "Z", "g") == r"\sum_{\text{axis 0}} \left( g \odot X \right)"
    )
    assert local_factor(vertex, 1, ["X", "s"], "Z") == "X"
    assert in_words(vertex, 1) == ""
    assert in_words(_vertex(_X.sum()), 0) == "repeated along the summed axes"


def test_a_power_is_written_with_its_exponent_unless_that_is_a_variable() -> None:
    assert statement(_vertex(_X**3), ["x", "3"], "y") == "y = {x}^{3}"
    assert local_factor(_vertex(_X**3), 0, ["x", "3"], "y") == r"3 \, {x}^{2}"
    two = tc.tensor(2.0, requires_grad=True)
    assert local_factor(_vertex(_X**two), 0, ["x", "p"], "y") == r"p \cdot {x}^{p - 1}"


def test_ties_change_the_local_factor() -> None:
    first = local_factor(_vertex(tc.maximum(_X, 0.0)), 0, ["x", "0"], "y")
    with tc.conventions(ties="split"):
        split = local_factor(_vertex(tc.maximum(_X, 0.0)), 0, ["x", "0"], "y")
    assert first == r"\mathbf{1}[x \ge 0]"
    assert split == r"\mathbf{1}[x > 0] + \frac{1}{2} \, \mathbf{1}[x = 0]"


def test_a_max_pool_is_told_from_other_switches() -> None:
    x = _variable(1, 1, 4, 4)
    pooled = read(tc.functional.max_pool2d(x, 2)).result
    assert statement(pooled, ["x"], "y") == (
        r"y = \operatorname{maxpool}_{2 \times 2,\, \text{stride } 2 \times 2}(x)"
    )
    others = _vertex(tc.gather_windows(x, np.zeros((1, 1, 2, 2), int), 2, 2))
    assert r"pick" in statement(others, ["x"], "y")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda v: statement(v, ["x"], "y"), ArgumentError, "expected 2 names"),
        (lambda v: statement(v, "xy", "y"), ArgumentError, "expected 2 names, got 'xy'"),
        (lambda v: statement(v.operands[0], [], "y"), GraphError, "a variable has no formula"),
        (lambda v: passed(v, 2, ["a", "b"], "y", "g"), GraphError, "no gradient on to operand 2"),
        (lambda v: passed(v, -1, ["a", "b"], "y", "g"), GraphError, "no gradient on to operand -1"),
        (lambda v: in_words(_vertex(tc.sign(_X) + _X).operands[0], 0), GraphError, "sign passes no gradient"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused(call: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call(_vertex(_X * _Y))


def test_a_freed_operation_is_refused() -> None:
    x = _variable(2)
    y = (x * np.ones(2)).sum()
    y.backward()
    vertex = read(y).vertices[-2]
    with pytest.raises(GraphError, match="let go of the operands"):
        statement(vertex, ["x"], "y")


# -- formulas of one's own ---------------------------------------------------------------------------


@pytest.fixture
def softplus() -> Iterator[Any]:
    name = "softplus_of_the_tests"
    yield tc.primitive(name, lambda x: np.logaddexp(0.0, x), (lambda g, ans, x: g * tc.sigmoid(x),))
    del registry[name]
    FORMULAS.pop(name, None)


def test_an_own_primitive_gets_a_formula(softplus: Any) -> None:
    rule = (r"\frac{$g}{1 + e^{-$0}}", "$g * sigmoid($0)")
    formula(
        softplus.name,
        latex=r"\ln(1 + e^{$0})",
        numpy="np.logaddexp(0, $0)",
        rules=[rule],
        helpers=["sigmoid"],
    )
    vertex = _vertex(softplus(_X))
    assert statement(vertex, ["x"], "y") == r"y = \ln(1 + e^{x})"
    assert passed(vertex, 0, ["x"], "y", "g") == r"\frac{g}{1 + e^{-x}}"
    g = normal(2, 3)
    assert_same(Evaluated(vertex).forward(), vertex.value, 1e-13)
    assert_same(Evaluated(vertex).backward(0, g), engine(vertex, 0, g), 1e-12)


def test_settings_and_functions_may_stand_in_a_formula_of_ones_own() -> None:
    name = "scaled_of_the_tests"
    scaled = tc.primitive(
        name,
        lambda x, *, by_number: by_number * x,
        (lambda g, ans, x, *, by_number: g * by_number,),
    )
    try:
        formula(
            name,
            latex=lambda op: r"${by_number} \, $0",
            numpy="${by_number} * $0",
            rules=[Rule(r"${by_number} \, $g", "$g * ${by_number}", "${by_number}")],
        )
        vertex = _vertex(scaled(_X, by_number=3))
        assert statement(vertex, ["x"], "y") == r"y = 3 \, x"
        assert local_factor(vertex, 0, ["x"], "y") == "3"
    finally:
        del registry[name], FORMULAS[name]


def test_any_number_of_arguments_takes_one_rule() -> None:
    name = "total_of_the_tests"
    total = tc.primitive(name, lambda *xs: sum(xs), registry_every(lambda i, g, ans, *xs: g))
    try:
        formula(
            name,
            latex=lambda op: " + ".join(f"${i}" for i in range(len(op.shapes))),
            numpy="np.add($0, $1)",
            rules=every(lambda i: Rule("$g", "$g", "1")),
        )
        assert statement(_vertex(total(_X, _X)), ["a", "b"], "c") == "c = a + b"
        with pytest.raises(DtypeError, match="any number of arguments"):
            formula(name, latex="$0", numpy="$0", rules=[("$g", "$g")])
    finally:
        del registry[name], FORMULAS[name]


def test_a_function_that_returns_an_unknown_placeholder_is_named(softplus: Any) -> None:
    formula(softplus.name, latex=lambda op: "$x", numpy="np.logaddexp(0, $0)", rules=[("$g", "$g")])
    with pytest.raises(ArgumentError, match=r"\$x in '\$x' stands for nothing"):
        statement(_vertex(softplus(_X)), ["x"], "y")
    with pytest.raises(ArgumentError, match=rf"formula of {softplus.name}: \$x stands for nothing"):
        derive(softplus(_X).sum())


def test_a_formula_that_is_wrong_is_no_silent_page(softplus: Any) -> None:
    formula(
        softplus.name, latex=r"\ln(1 + e^{$0})", numpy="np.logaddexp(0, $0)", rules=[("$g", "$g")]
    )
    with pytest.raises(GraphError):
        derive(softplus(_X).sum())


_RIGHT: dict[str, Any] = {"latex": "$0", "numpy": "$0", "rules": [("$g", "$g")]}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": "softpluss_of_the_tests"}, ArgumentError, "did you mean 'softplus_of_the_tests'"),
        ({"name": "nothing like it"}, ArgumentError, "define it with tinygrad_cnn.primitive"),
        ({"name": 3}, ArgumentError, "no primitive is called 3"),
        ({"rules": []}, ArgumentError, "1 arguments, got 0 rules"),
        ({"rules": [("$g", "$g")] * 2}, ArgumentError, "1 arguments, got 2 rules"),
        ({"rules": [None]}, ArgumentError, "argument 0 has a gradient rule, got None"),
        ({"rules": ["$g"]}, DtypeError, "expected a pair"),
        ({"rules": [("$g",)]}, DtypeError, "expected a pair"),
        ({"rules": ("$g", "$g")}, ArgumentError, "1 arguments, got 2 rules"),
        ({"rules": "$g"}, DtypeError, "one item for each argument"),
        ({"rules": Rule("$g", "$g")}, DtypeError, "one item for each argument"),
        ({"rules": [("$g", 1)]}, DtypeError, "rule 0: expected a text or a function, got 1"),
        ({"latex": "$x"}, ArgumentError, r"\$x stands for nothing; there are \$0, \$y"),
        ({"numpy": "$1"}, ArgumentError, r"\$1 stands for nothing"),
        ({"numpy": "$g"}, ArgumentError, r"\$g stands for nothing"),
        ({"latex": r"\softplus($0)"}, ArgumentError, r"of softplus_of_the_tests: mathml: unknown command \\softplus"),
        ({"latex": "{$0"}, ArgumentError, "expected }"),
        ({"numpy": "np.exp($0"}, ArgumentError, "is no Python"),
        ({"numpy": None}, DtypeError, "expected a text or a function, got None"),
        ({"helpers": ["sofmax"]}, ArgumentError, "no helper 'sofmax'; there are"),
        ({"helpers": "im2col"}, DtypeError, "helpers"),
    ],
)  # fmt: skip
def test_a_wrong_formula_is_refused_and_changes_nothing(
    softplus: Any, changes: dict[str, Any], error: type, message: str
) -> None:
    before = dict(FORMULAS)
    with pytest.raises(error, match=message):
        formula(**{"name": softplus.name, **_RIGHT, **changes})
    assert before == FORMULAS


def test_labels_may_be_called_as_the_result_is_in_a_template(rng: np.random.Generator) -> None:
    scores = tc.Tensor(rng.normal(size=(3, 4)), requires_grad=True)
    y = np.array([1, 0, 3])
    source = derive(-scores[np.arange(3), y].mean()).numpy("primitives")
    assert "scores[np.arange(3), y]" in source
    assert source.count("def ") == 2, "one helper, scatter_add, and the function"
