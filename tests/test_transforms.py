"""Transformations against derivatives worked out by hand and each other, in all nestings."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError

A = np.array([[2.0, -1.0, 0.5], [0.0, 1.5, 3.0]])
X = np.array([0.5, -1.0, 2.0])
V = np.array([1.0, 2.0, -0.5])
W = np.array([0.5, -2.0])


def f(x: Any) -> Any:
    """R³ -> R²."""
    return tc.sin(tc.matmul(A, x)) * x[:2]


def f_jacobian(x: np.ndarray) -> np.ndarray:
    jacobian = np.cos(A @ x)[:, None] * A * x[:2, None]
    jacobian[[0, 1], [0, 1]] += np.sin(A @ x)
    return jacobian


def cubic(x: Any) -> Any:
    """Its gradient is 3 x² + s, its Hessian diag(6 x) + 1 1ᵀ, where s is the sum of x."""
    return (x**3).sum() + x.sum() ** 2 / 2


def hessian_of_cubic(x: np.ndarray) -> np.ndarray:
    return np.diag(6 * x) + 1.0


def close(actual: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=1e-12, atol=1e-13)


def test_grad_and_value() -> None:
    close(tc.grad(cubic)(X), 3 * X**2 + X.sum())
    value, gradient = tc.value_and_grad(cubic)(tc.tensor(X))
    close(value, (X**3).sum() + X.sum() ** 2 / 2)
    close(gradient, 3 * X**2 + X.sum())
    assert not value.requires_grad
    assert not gradient.requires_grad


@pytest.mark.parametrize(("argnums", "expected"), [(0, 3), (1, 2), (-1, 2), ((1, 0), (2, 3))])
def test_argnums(argnums: Any, expected: Any) -> None:
    found = tc.grad(lambda x, y, scale=1.0: x * y * scale, argnums)(2, 3.0, scale=1)
    assert type(found) is type(expected) or isinstance(found, tc.Tensor)
    close(found, expected)


def test_vjp_jvp_and_jacobian_agree() -> None:
    y, pull_back = tc.vjp(f, X)
    close(y, np.sin(A @ X) * X[:2])
    for _ in range(2):
        close(pull_back(W)[0], W @ f_jacobian(X))
    y, pushed = tc.jvp(f, (X,), (V,))
    close(y, np.sin(A @ X) * X[:2])
    close(pushed, f_jacobian(X) @ V)
    close(tc.jacobian(f)(X), f_jacobian(X))


def test_shapes_of_jacobians() -> None:
    x = np.arange(6.0).reshape(2, 3)
    jacobian = tc.jacobian(lambda scale, x: scale * x.T, 1)(2.0, x)
    assert jacobian.shape == (3, 2, 2, 3)
    close(jacobian, 2 * np.einsum("ik,jl->jikl", np.eye(2), np.eye(3)))
    assert tc.jacobian(lambda x: x * 2)(1.5).shape == ()
    assert tc.jacobian(lambda x: x[:0])(X).shape == (0, 3)
    close(tc.jacobian(lambda x: tc.tensor([1.0, 2.0]))(X), np.zeros((2, 3)))


def test_hvp_and_hessian() -> None:
    close(tc.hessian(cubic)(X), hessian_of_cubic(X))
    close(tc.hvp(cubic, X, V), hessian_of_cubic(X) @ V)
    close(tc.hessian(lambda y, x: cubic(x) * y, 1)(2.0, X), 2 * hessian_of_cubic(X))
    close(tc.hessian(lambda x: (x * 2).sum())(X), np.zeros((3, 3)))


def test_against_another_implementation() -> None:
    torch = pytest.importorskip("torch")
    from torch import func

    def ours(x: Any) -> Any:
        return (tc.exp(tc.tanh(tc.matmul(A, x))) ** 2).sum()

    def theirs(x: Any) -> Any:
        return (torch.exp(torch.tanh(torch.tensor(A) @ x)) ** 2).sum()

    hessian = func.jacrev(func.grad(theirs))  # torch's forward mode warns of its own accord
    x, v = torch.tensor(X), torch.tensor(V)
    close(tc.grad(ours)(X), func.grad(theirs)(x))
    close(tc.hessian(ours)(X), hessian(x))
    close(tc.hvp(ours, X, V), hessian(x) @ v)
    close(tc.jacobian(tc.hessian(ours))(X), func.jacrev(hessian)(x))
    close(tc.jvp(ours, (X,), (V,))[1], func.grad(theirs)(x) @ v)


# -- nesting --------------------------------------------------------------------------------

# Each makes the derivative of a function of one number by itself.
DERIVATIVES: dict[str, Any] = {
    "grad": tc.grad,
    "value_and_grad": lambda h: lambda x: tc.value_and_grad(h)(x)[1],
    "vjp": lambda h: lambda x: tc.vjp(h, x)[1](1.0)[0],
    "jvp": lambda h: lambda x: tc.jvp(h, (x,), (1.0,))[1],
    "jacobian": tc.jacobian,
    "gradients": lambda h: lambda x: tc.gradients(h(x), [x], create_graph=True)[0],
}
OUTER = [name for name in DERIVATIVES if name != "gradients"]  # that needs a variable


@pytest.mark.parametrize(("outer", "inner"), [*itertools.product(OUTER, DERIVATIVES)])
def test_every_transformation_nests_in_every_other(outer: str, inner: str) -> None:
    second = DERIVATIVES[outer](DERIVATIVES[inner](lambda x: tc.sin(x) * x**2))
    x = 0.7
    close(second(x), (2 - x**2) * np.sin(x) + 4 * x * np.cos(x))


@pytest.mark.parametrize("names", [*itertools.product(OUTER, repeat=3)])
def test_three_levels(names: tuple[str, ...]) -> None:
    def h(x: Any) -> Any:
        return x**4

    for name in names:
        h = DERIVATIVES[name](h)
    close(h(1.5), 24 * 1.5)


@pytest.mark.parametrize("transform", ["grad", "vjp", "jvp", "jacobian", "value_and_grad"])
def test_perturbations_are_not_confused(transform: str) -> None:
    """The classic example of Siskind and Pearlmutter (2005)."""
    inner, outer = DERIVATIVES[transform], tc.grad
    close(outer(lambda x: x * inner(lambda y: x + y)(1.0))(1.0), 1.0)
    close(outer(lambda x: x * inner(lambda y: x * y)(2.0))(3.0), 6.0)
    close(inner(lambda x: x * outer(lambda y: x * y * y)(x))(2.0), 24.0)


def test_vjp_and_jvp_are_linear_and_differentiable_in_the_vector() -> None:
    close(tc.grad(lambda v: (tc.jvp(f, (X,), (v,))[1] * W).sum())(V), W @ f_jacobian(X))
    close(tc.grad(lambda w: (tc.vjp(f, X)[1](w)[0] * V).sum())(W), f_jacobian(X) @ V)
    close(tc.grad(lambda v: (tc.hvp(cubic, X, v) * V).sum())(V), hessian_of_cubic(X) @ V)
    close(tc.jacobian(lambda v: tc.jvp(f, (X,), (v,))[1])(V), f_jacobian(X))


def test_the_derivative_of_a_jvp_by_the_primal() -> None:
    found = tc.grad(lambda x: tc.jvp(cubic, (x,), (V,))[1])(X)
    close(found, hessian_of_cubic(X) @ V)


# -- variables from outside -----------------------------------------------------------------


def test_a_result_that_depends_on_an_outer_variable_is_connected_to_it() -> None:
    w = tc.tensor(3.0, requires_grad=True)
    value, slope = tc.value_and_grad(lambda x: w * x**2)(2.0)
    (value + slope).backward()
    assert w.grad.item() == 4.0 + 4.0


def test_an_argument_that_is_a_variable_is_differentiated_by_twice() -> None:
    x = tc.tensor(2.0, requires_grad=True)
    slope = tc.grad(lambda x: x**3)(x)
    assert x.grad is None
    slope.backward()
    assert x.grad.item() == 12.0


def test_the_same_tensor_twice_counts_for_each_argument() -> None:
    x = tc.tensor(3.0, requires_grad=True)
    close(tc.grad(lambda a, b: a * a * b, (0, 1))(x, x), (18.0, 9.0))
    close(tc.grad(lambda a: a * x)(x), 3.0)


def test_no_grad_around_and_inside() -> None:
    w = tc.tensor(3.0, requires_grad=True)
    with tc.no_grad():
        slope = tc.grad(lambda x: w * x**2)(2.0)
    assert slope.item() == 12.0
    assert not slope.requires_grad

    def half(x: Any) -> Any:
        with tc.no_grad():
            constant = x * 2
        return constant * x

    close(tc.grad(half)(3.0), 6.0)
    with tc.no_grad():
        close(tc.grad(tc.grad(lambda x: x**3))(2.0), 12.0)
        close(tc.hvp(cubic, X, V), hessian_of_cubic(X) @ V)
    assert tc.is_grad_enabled()


# -- trees ----------------------------------------------------------------------------------


class Point(NamedTuple):
    x: Any
    y: Any


def test_arguments_are_trees() -> None:
    parameters = {"w": [X, 2.0], "b": (1, Point(3.0, np.float32(4)))}

    def loss(p: Any) -> Any:
        scale, (offset, point) = p["w"][1], p["b"]
        return (p["w"][0] * scale).sum() + offset**2 + point.x * point.y

    value, g = tc.value_and_grad(loss)(parameters)
    close(value, X.sum() * 2 + 1 + 12)
    assert list(g) == ["w", "b"]
    assert isinstance(g["b"][1], Point)
    close(g["w"][0], np.full(3, 2.0))
    close(g["w"][1], X.sum())
    close((g["b"][0], *g["b"][1]), (2.0, 4.0, 3.0))
    assert g["b"][1].y.dtype == np.float32


def test_results_are_trees() -> None:
    def both(x: Any, y: Any) -> Any:
        return {"sum": x + y, "others": (x * y, [1.0])}

    value, pull_back = tc.vjp(both, 2.0, 3.0)
    close(value["others"][0], 6.0)
    close(pull_back({"sum": 1.0, "others": (10.0, [5.0])}), (31.0, 21.0))
    value, pushed = tc.jvp(both, (2.0, 3.0), (1.0, 0.0))
    close((pushed["sum"], pushed["others"][0], pushed["others"][1][0]), (1.0, 3.0, 0.0))


def test_independence_gives_zeros_of_the_right_shape() -> None:
    gx, gy = tc.grad(lambda x, y: (x * 2).sum(), (0, 1))(X, np.ones((2, 2)))
    close(gx, np.full(3, 2.0))
    close(gy, np.zeros((2, 2)))
    close(tc.grad(lambda x: 3.0)(X), np.zeros(3))
    close(tc.jvp(lambda x: tc.ones(2), (X,), (V,))[1], np.zeros(2))


# -- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: tc.grad(lambda x: x * 2)(X), ShapeError, r"one number, got \[\(3,\)\]"),
        (lambda: tc.grad(lambda x: (x, x))(1.0), ShapeError, "one number"),
        (lambda: tc.grad(3), DtypeError, "grad: expected a function, got 3"),
        (lambda: tc.hessian(3), DtypeError, "grad: expected a function, got 3"),
        (lambda: tc.jacobian("f"), DtypeError, "jacobian: expected a function, got 'f'"),
        (lambda: tc.grad(cubic, 1)(X), ArgumentError, "argnums=1: the function was given 1"),
        (lambda: tc.grad(cubic)(np.arange(3)), DtypeError, "int64 Tensor can't require"),
        (lambda: tc.jvp(f, (X,), (W,)), ShapeError, r"tangents \[\(2,\)\] do not fit"),
        (
            lambda: tc.hvp(lambda x: (x**3).sum(), X, 1.0),
            ShapeError,
            r"shapes \[\(\)\] does not fit",
        ),
        (lambda: tc.vjp(f, X)[1](V), ShapeError, r"weights \[\(3,\)\] do not fit outputs"),
        (lambda: tc.jacobian(lambda x: (x, x))(X), ShapeError, "one array"),
        (lambda: tc.jacobian(lambda x: x[0])((X, X)), ShapeError, "one array"),
    ],
)
def test_errors(act: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        act()
    assert tc.is_grad_enabled()


def test_an_error_of_the_function_passes_through() -> None:
    def broken(x: Any) -> Any:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"), tc.no_grad():
        tc.grad(broken)(1.0)
    assert tc.is_grad_enabled()
