# ruff: noqa: E501  (one line for each operation)
"""Every formula says what the engine computes: as NumPy to the last digits, and as mathematics."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cases import CASES, REGISTERED, Case, apart, given, normal, positive
from evaluated import Evaluated, assert_same, engine, upstreams

import tinygrad_cnn as tc
from tinygrad_cnn._graph import Vertex, read
from tinygrad_cnn.explain import _standalone, derive
from tinygrad_cnn.explain.formulas import (
    FORMULAS,
    in_words,
    local_factor,
    passed,
    statement,
)
from tinygrad_cnn.explain.mathml import mathml


def _split(function: Callable[..., Any]) -> Callable[..., Any]:
    def under_split(*xs: Any) -> Any:
        with tc.conventions(ties="split"):
            return function(*xs)

    return under_split


_TIES = given([[[1.0, 3.0], [3.0, 0.5]], [[3.0, 1.0], [2.0, 2.0]]])
_ROWS = np.array([2, 0, 2])
_WITH_ZEROS = given([[0.0, 2.0, 1.5], [0.5, 3.0, 1.0], [0.0, 1.0, 0.0]])
MORE = [
    *(
        Case(f"{f.__name__} {axis} {ties}", make(lambda x, f=f, a=axis: f(x, axis=a)), (_TIES,))
        for f in (tc.max, tc.min)
        for axis in (None, 0, 2, (1, 2), (2, 0), ())
        for ties, make in (("first", lambda g: g), ("split", _split))
    ),
    *(
        Case(f"{f.__name__} {ties}", make(f), (given([1.0, 2.0, 3.0]), given([[2.0], [3.0]])))
        for f in (tc.maximum, tc.minimum)
        for ties, make in (("first", lambda g: g), ("split", _split))
    ),
    Case("max keepdims split", _split(lambda x: tc.max(x, (0, 2), keepdims=True)), (_TIES,)),
    Case("max of NaN", lambda x: tc.max(x, 0), (given([[1.0, np.nan], [np.nan, np.nan]]),)),
    Case("max of NaN split", _split(lambda x: tc.min(x, 0)), (given([[1.0, np.nan], [np.nan, np.nan]]),)),
    Case("prod zeros", lambda x: tc.prod(x, 1), (_WITH_ZEROS,)),
    Case("prod zeros 0", lambda x: tc.prod(x, 0, keepdims=True), (_WITH_ZEROS,)),
    Case("prod zeros all", tc.prod, (_WITH_ZEROS,)),
    Case("cumsum 1 of 3", lambda x: tc.cumsum(x, 1), (normal(2, 3, 2),)),
    Case("cumsum of a vector", lambda x: tc.cumsum(x, 0), (normal(4),)),
    Case("x ** 0.5", lambda x: x**0.5, (positive(2, 3),)),
    Case("x ** 1.1", lambda x: x**1.1, (positive(2, 3),)),
    Case("x ** -1", lambda x: x**-1, (positive(2, 3),)),
    Case("x ** 1e-7", lambda x: x**1e-7, (positive(2),)),
    Case("x ** p, p a variable", lambda x, p: x**p, (positive(2, 3), given(2.0))),
    Case("0 ** y", tc.power, (given([0.0, 0.0, 2.0]), given([0.0, 2.0, 0.0]))),
    Case("sigmoid of large", tc.sigmoid, (given([-800.0, 800.0]),)),
    Case("where, a column", lambda x, y: tc.where(np.array([[True], [False]]), x, y), (normal(3), normal(2, 1))),
    Case("where nan", lambda x, y: tc.where(np.array([True, False]), x, y), (given([1.0, np.nan]), given([np.inf, 2.0]))),
    Case("transpose", lambda x: tc.transpose(x), (normal(2, 3),)),
    Case("transpose nothing", lambda x: tc.transpose(x, 0, 1), (normal(2, 3),)),
    Case("transpose of a number", lambda x: tc.transpose(x), (normal(),)),
    Case("reshape to a number", lambda x: tc.reshape(x, ()), (normal(1, 1),)),
    Case("reshape a number", lambda x: tc.reshape(x, (1, 1)), (normal(),)),
    Case("flip nothing", lambda x: tc.flip(x, ()), (normal(2, 3),)),
    Case("flip 1", lambda x: tc.flip(x, 1), (normal(2, 3),)),
    Case("broadcast a number", lambda x: tc.broadcast_to(x, (2, 3)), (normal(),)),
    Case("broadcast to a number", lambda x: tc.broadcast_to(x, ()), (normal(),)),
    Case("broadcast both ways", lambda x: tc.broadcast_to(x, (2, 3, 4)), (normal(3, 1),)),
    Case("sum_to a number", lambda x: tc.sum_to(x, ()), (normal(2, 3),)),
    Case("concatenate three", lambda *xs: tc.concatenate(xs, 1), (normal(2, 1), normal(2, 3), normal(2, 2))),
    Case("concatenate vectors", lambda *xs: tc.concatenate(xs), (normal(2), normal(3))),
    Case("stack numbers", lambda *xs: tc.stack(xs), (normal(), normal(salt=1))),
    Case("stack last", lambda *xs: tc.stack(xs, -1), (normal(2, 3), normal(2, 3, salt=1))),
    Case("pad images", lambda x: tc.pad(x, [(0, 0), (0, 0), (1, 1), (2, 0)]), (normal(1, 2, 2, 3),)),
    Case("pad -inf", lambda x: tc.pad(x, [(0, 0), (1, 0)], -np.inf), (normal(2, 2),)),
    Case("pad 0.5", lambda x: tc.pad(x, [(2, 1)], 0.5), (normal(2),)),
    Case("pad a number", lambda x: tc.pad(x, []), (normal(),)),
    Case("crop nothing", lambda x: tc.crop(x, [(0, 0), (0, 0)]), (normal(2, 2),)),
    Case("astype of the other byte order", lambda x: tc.astype(x, ">f8"), (normal(2),)),
    Case("index of rows", lambda x: x[np.arange(3), _ROWS], (normal(3, 4),)),
    Case("index of given rows", lambda x: x[np.array([1, 0, 1]), _ROWS], (normal(3, 4),)),
    Case("index of a grid", lambda x: x[np.arange(3)[:, None], _ROWS[None, :]], (normal(3, 4),)),
    Case("index of one row", lambda x: x[1], (normal(3, 4),)),
    Case("index of NumPy's integer", lambda x: x[np.int64(1), -1], (normal(3, 4),)),
    Case("index of all kinds", lambda x: x[1, ..., None, ::-2, _ROWS], (normal(2, 2, 3, 4),)),
    Case("index of slices", lambda x: x[:, 1:, None, -2:], (normal(2, 2, 3),)),
    Case("index of nothing", lambda x: x[()], (normal(2),)),
    Case("index of a tuple of one", lambda x: x[(_ROWS,)], (normal(3, 2),)),
    Case("index of truth", lambda x: x[np.array([[True, False], [True, True]])], (normal(2, 2),)),
    Case("index of truth and number", lambda x: x[True, 0], (normal(2, 2),)),
    Case("scatter_add broadcast", lambda x: tc.scatter_add(x, _ROWS, (4,)), (normal(),)),
    Case("scatter_add rows", lambda x: tc.scatter_add(x, (np.arange(3), _ROWS), (3, 4)), (normal(3),)),
    Case("scatter_add slice", lambda x: tc.scatter_add(x, (slice(1, None), 0), (3, 4)), (normal(1),)),
    Case("matmul of stacks", tc.matmul, (normal(2, 1, 3, 4), normal(5, 4, 2))),
    Case("matmul of a stack and a matrix", tc.matmul, (normal(2, 3, 4), normal(4, 2))),
    Case("matmul of a row and a stack", tc.matmul, (normal(1, 1, 4), normal(2, 4, 2))),
    Case("matmul of vectors", tc.matmul, (normal(3), normal(3, salt=1))),
    Case("einsum of three", lambda *xs: tc.einsum("ij,jk,k->i", *xs), (normal(2, 3), normal(3, 2), normal(2))),
    Case("einsum to a number", lambda *xs: tc.einsum("i,i->", *xs), (normal(3), normal(3, salt=1))),
    Case("einsum with a number", lambda *xs: tc.einsum(",ij->ji", *xs), (normal(), normal(2, 3))),
    Case("einsum of rows", lambda *xs: tc.einsum("ij,j->ij", *xs), (normal(2, 3), normal(3))),
    Case("max_pool, overlapping and dilated", lambda x: tc.functional.max_pool2d(x, (2, 3), (1, 2), 1, 2), (apart(2, 2, 6, 7),)),
    Case("max_pool of equals", lambda x: tc.functional.max_pool2d(x, 2, 1), (given(np.ones((1, 1, 3, 3))),)),
]  # fmt: skip
ALL = pytest.mark.parametrize("case", [*CASES, *MORE], ids=lambda case: case.name)


def _operations(case: Case) -> Iterator[Vertex]:
    variables = [tc.Tensor(x, requires_grad=True) for x in case.inputs]
    y = case.function(*variables)
    if y.node is not None:
        yield from (vertex for vertex in read(y) if vertex.operation)


def test_every_primitive_has_a_formula_with_a_rule_for_each_argument() -> None:
    for name, primitive in REGISTERED.items():
        formula = FORMULAS[name]
        if isinstance(primitive.vjps, tuple):
            assert not isinstance(formula.rules, type(FORMULAS["einsum"].rules))
            assert [r is None for r in formula.rules] == [r is None for r in primitive.vjps]
        else:
            assert formula.rules[17] is not None


@ALL
def test_numpy_text_computes_the_result(case: Case) -> None:
    for vertex in _operations(case):
        found = Evaluated(vertex).forward()
        assert_same(found, vertex.value, 1e-13)
        assert found.dtype == vertex.spec.dtype


@ALL
def test_numpy_text_of_the_rules_is_what_the_engine_passes_on(case: Case) -> None:
    for vertex in _operations(case):
        for index, flows in enumerate(vertex.flows):
            if flows:
                for g in upstreams(vertex):
                    found = Evaluated(vertex).backward(index, g)
                    assert_same(found, engine(vertex, index, g), 1e-12)


@ALL
def test_rules_take_a_number_for_the_gradient_of_a_number(case: Case) -> None:
    """The gradient of the loss by itself is the literal 1.0 in generated code."""
    for vertex in _operations(case):
        for index, flows in enumerate(vertex.flows):
            if flows and not vertex.shape:
                found = Evaluated(vertex).backward(index, 1.0)
                assert_same(found, engine(vertex, index, np.float64(1.0)), 1e-12)


@ALL
def test_a_local_factor_is_what_upstream_is_multiplied_by(case: Case) -> None:
    for vertex in _operations(case):
        names = [f"x_{i}" for i in range(len(vertex.operands))]
        for index, flows in enumerate(vertex.flows):
            if not flows:
                continue
            has_local = bool(local_factor(vertex, index, names, "y"))
            assert has_local != bool(in_words(vertex, index)), vertex.operation
            if has_local:
                op = Evaluated(vertex)
                rule = op.formula.rules[index]
                assert rule is not None
                g = upstreams(vertex)[0]
                product, factor = (
                    op.value(op.text(rule.numpy), g=upstream) for upstream in (g, np.ones_like(g))
                )
                assert_same(np.broadcast_to(product, vertex.shape), g * factor, 1e-12)


@ALL
def test_latex_is_understood(case: Case) -> None:
    for vertex in _operations(case):
        names = [rf"W_{{\mathrm{{fc{i}}}}}" for i in range(len(vertex.operands))]
        assert "<math" in mathml(statement(vertex, names, "y_{1}"), display=True)
        for index, flows in enumerate(vertex.flows):
            if flows:
                assert mathml(passed(vertex, index, names, "y_{1}", r"\mathrm{d}y_{1}"))
                assert mathml(local_factor(vertex, index, names, "y_{1}")) is not None


@pytest.mark.parametrize(
    "helper",
    [h for _, h in inspect.getmembers(_standalone, inspect.isfunction)],
    ids=lambda h: h.__name__,
)
def test_helpers_stand_alone_and_say_what_they_do(helper: Any) -> None:
    source = inspect.getsource(helper)
    names = {node.id for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    assert not names & ({*vars(_standalone)} - {"np"}), "a helper uses another"
    assert helper.__doc__.endswith((".", ")"))


# -- in a derivation -----------------------------------------------------------------------------------


_FINITE = [case for case in MORE if all(np.isfinite(x).all() for x in case.inputs)]


@pytest.mark.parametrize("case", _FINITE, ids=lambda case: case.name)
def test_generated_code_reproduces_autograd(case: Case) -> None:
    """It is compared as it is made: settings, given arrays and helpers arrive there."""
    variables = [tc.Tensor(x, requires_grad=True) for x in case.inputs]
    y = case.function(*variables)
    weights = np.random.default_rng(0).uniform(0.5, 1.5, y.shape)
    source = derive((y * weights).sum()).numpy("primitives")
    assert "tinygrad" not in source
