"""Tensors among Python's and NumPy's own: operators, conversions, copies."""

from __future__ import annotations

import copy
import operator
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import DtypeError, GraphError, ShapeError

ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.truediv, operator.pow)
COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)


def variable(values: Any, **options: Any) -> Tensor:
    return tc.tensor(values, requires_grad=True, **options)


@pytest.mark.parametrize("op", [*ARITHMETIC, operator.matmul])
@pytest.mark.parametrize("wrap", [np.asarray, tc.tensor, tc.as_tensor, variable])
def test_operators_of_arrays_and_tensors_give_tensors(op: Any, wrap: Any) -> None:
    a, b = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 1.0], [0.5, 3.0]])
    for result in (op(wrap(a), tc.tensor(b)), op(tc.tensor(a), wrap(b))):
        assert type(result) is Tensor
        np.testing.assert_array_equal(result.numpy(), op(a, b))


@pytest.mark.parametrize("op", ARITHMETIC)
@pytest.mark.parametrize(
    "scalar", [2, 2.0, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)]
)
def test_operators_of_scalars_and_tensors_give_tensors(op: Any, scalar: Any) -> None:
    x = variable(3.0)
    for result, expected in ((op(scalar, x), op(2.0, 3.0)), (op(x, scalar), op(3.0, 2.0))):
        assert type(result) is Tensor
        assert type(result.data) is np.float64
        assert result.item() == expected


@pytest.mark.parametrize("op", ARITHMETIC)
def test_python_numbers_are_weak(op: Any) -> None:
    for x in (tc.tensor(np.float32(2)), tc.tensor(np.ones(2, np.float32))):
        assert {op(x, 2).dtype, op(2.5, x).dtype, op(x, x).dtype} == {np.dtype(np.float32)}


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_are_arrays(op: Any) -> None:
    a, b = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    for left, right in ((variable(a), b), (a, variable(b)), (variable(a), variable(b))):
        result = op(left, right)
        assert type(result) is np.ndarray
        np.testing.assert_array_equal(result, op(a, b))


def test_comparison_with_no_number() -> None:
    x = tc.tensor([1.0, 2.0])
    assert (x == None) is False  # noqa: E711
    assert (x != "text") is True
    assert [None, x].index(x) == 1
    with pytest.raises(TypeError, match="not supported"):
        x < None  # noqa: B015


def test_hash_goes_by_identity() -> None:
    x, y = tc.tensor(1.0), tc.tensor(1.0)
    assert {x: "x", y: "y"}[x] == "x"
    assert len({x, y, x}) == 2


def test_length_iteration_and_truth() -> None:
    x = variable([[1.0, 2.0], [3.0, 4.0]])
    first, second = x
    (first * second).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert len(x) == 2
    assert bool(tc.tensor([[0.5]]))
    assert not tc.tensor(0.0)
    for act in (lambda: len(tc.tensor(1.0)), lambda: iter(tc.tensor(1.0)), lambda: bool(x)):
        with pytest.raises(ShapeError):
            act()


def test_conversion_to_python_numbers() -> None:
    x = tc.tensor([2.5])
    assert (float(x), int(x), x.item(), x.tolist()) == (2.5, 2, 2.5, [2.5])
    assert f"{x:.2f}|{x}" == "2.50|tensor([2.5])"
    assert [10, 20, 30][tc.tensor(1)] == 20
    with pytest.raises(DtypeError, match="is no index"):
        [10, 20][tc.tensor(1.0)]
    with pytest.raises(ShapeError, match="exactly one element"):
        tc.ones(2).item()


@pytest.mark.parametrize(
    ("tensor", "text"),
    [
        (tc.tensor(3.0), "tensor(3.)"),
        (tc.tensor([1, 2]), "tensor([1, 2])"),
        (tc.tensor(np.float32(1)), "tensor(1., dtype=float32)"),
        (variable([1.0]), "tensor([1.], requires_grad=True)"),
        (variable(1.0) * 2, "tensor(2., node=multiply)"),
        (tc.tensor([[1.0], [2.0]]), "tensor([[1.],\n        [2.]])"),
    ],
)
def test_repr(tensor: Tensor, text: str) -> None:
    assert repr(tensor) == text


def test_numpy_reads_tensors() -> None:
    x = variable([1.0, 2.0])
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, dtype=np.float32).dtype == np.float32
    assert (np.shape(x), np.ndim(x), np.size(x), np.argmax(x)) == ((2,), 1, 2, 1)
    assert np.allclose(x, [1.0, 2.0], rtol=tc.tensor(1e-9))
    assert np.array_equal(x, x)
    assert np.array2string(x) == np.array2string(x.numpy())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: np.concatenate([x, x]),
            r"numpy\.concatenate of .* use tc\.concatenate",
        ),
        (lambda x: np.sum(x), r"use tc\.sum, or \.numpy\(\)"),
        (lambda x: np.amax(x), r"use tc\.max, or"),
        (lambda x: np.where(x.numpy() > 0, x, 0.0), r"use tc\.where, or"),
        (lambda x: np.linalg.norm(x), r"numpy\.linalg\.norm of a Tensor .* tc\.norm"),
        (lambda x: np.unique(x), r"gradient: use \.numpy\(\) for an array without one"),
    ],
)
def test_numpy_functions_that_would_lose_the_gradient_are_refused(call: Any, message: str) -> None:
    with pytest.raises(DtypeError, match=message):
        call(variable([1.0, 2.0]))


def test_ufuncs_that_would_lose_the_gradient_are_refused() -> None:
    with pytest.raises(TypeError):
        np.exp(variable([1.0, 2.0]))


def test_methods_that_copy_or_convert_let_the_gradient_pass() -> None:
    x = variable([1.0, 2.0])
    for y, dtype in ((x.copy(), "float64"), (x.double(), "float64"), (x.float(), "float32")):
        assert y.dtype == dtype
        assert not np.shares_memory(y, x)
        assert tc.gradients(y.sum(), [x])[0].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", [int, float])
def test_floor_division_and_remainder_are_pythons(dtype: type) -> None:
    a, b = np.array([-7, -6, 0, 6, 7], dtype), np.array([3, -4, 2, 4, -3], dtype)
    x, y = tc.tensor(a), tc.tensor(b)
    for ours, numpys in ((x // y, a // b), (x % y, a % b), (7 // y, 7 // b), (7 % y, 7 % b)):
        np.testing.assert_array_equal(ours, numpys, strict=True)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
@pytest.mark.parametrize("data", [2.0, [1.0, 2.0]])
def test_leaves_are_copied_with_gradient_and_name(duplicate: Any, data: Any) -> None:
    x = variable(data, name="w")
    (x * x).sum().backward()
    twin = duplicate(x)
    assert (twin.name, twin.requires_grad, twin.tolist()) == ("w", True, x.tolist())
    assert twin.grad.tolist() == x.grad.tolist()
    with tc.no_grad():
        twin += 1.0
    (twin * 3).sum().backward()
    assert x.tolist() == data
    assert x.grad.tolist() == (np.asarray(data) * 2).tolist()
    assert not duplicate(tc.tensor(data)).requires_grad
    with pytest.raises(GraphError, match=r"use \.detach\(\) first"):
        duplicate(x * 2)


def test_scalars_are_numpy_scalars() -> None:
    x = variable(2.0)
    for y in (x, x * 3, tc.exp(x), tc.ones(3).sum(), tc.ones(3)[0], x.reshape(()), tc.erf(x)):
        assert type(y.data) is np.float64
        assert y.shape == ()
    (x * x).backward()
    assert type(x.grad.data) is np.float64


def test_the_example_of_micrograds_readme() -> None:
    """Published with micrograd (Karpathy 2020)."""
    a, b = variable(-4.0), variable(2.0)
    c = a + b
    d = a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert (f"{g:.4f}", f"{a.grad:.4f}", f"{b.grad:.4f}") == ("24.7041", "138.8338", "645.5773")
