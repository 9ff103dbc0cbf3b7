"""Transformations of functions, with JAX's names: each takes a function and returns another.

Arguments may be numbers, arrays, Tensors, or tuples, lists and dictionaries of them; results
come back in the same structure. Every transformation nests in every other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ._core.backprop import consumers_first, gradients
from ._core.context import enable_grad, is_grad_enabled
from ._core.tensor import Tensor, as_tensor, raw
from .creation import zeros, zeros_like
from .errors import ArgumentError, DtypeError, ShapeError
from .ops import astype, reshape, stack
from .ops import sum as sum_

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]


def leaves(tree: Any) -> Iterator[Any]:
    """The numbers, arrays and Tensors in nested tuples, lists and dictionaries, in order."""
    if isinstance(tree, (tuple, list)):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        for key in tree:
            yield from leaves(tree[key])
    else:
        yield tree


def rebuild(tree: Any, items: Iterator[Any]) -> Any:
    """The structure of ``tree`` with its leaves replaced by ``items`` in order."""
    if isinstance(tree, (tuple, list)):
        parts = [rebuild(item, items) for item in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if isinstance(tree, dict):
        return {key: rebuild(tree[key], items) for key in tree}
    return next(items)


def _variable(value: Any) -> Tensor:
    """A fresh variable with this value, connected to the graph that it came from, if any.

    Differentiation by it leaves out every other use of the same Tensor.
    """
    if isinstance(value, Tensor) and value.requires_grad:
        return astype(value, value.dtype)
    if isinstance(value, (bool, int)):
        value = float(value)
    return Tensor(raw(value), requires_grad=True)


class _Traced:
    """One call of a function on fresh variables, ready to be differentiated.

    ``nested`` says whether the results depend on a variable from outside of the call, by which
    someone may differentiate them again: only then are gradients recorded.
    """

    def __init__(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Any, argnums: tuple[int, ...]
    ) -> None:
        for index in argnums:
            if not -len(args) <= index < len(args):
                raise ArgumentError(
                    f"argnums={index}: the function was given {len(args)} arguments"
                )
        recording = is_grad_enabled()
        with enable_grad():
            self.primals = [rebuild(args[i], map(_variable, leaves(args[i]))) for i in argnums]
            full = list(args)
            for index, primal in zip(argnums, self.primals, strict=True):
                full[index] = primal
            self.result = f(*full, **kwargs)
        self.variables: list[Tensor] = list(leaves(self.primals))
        self.outputs = [as_tensor(y) for y in leaves(self.result)]
        own = {v.node for v in self.variables}
        roots = [y.node for y in self.outputs if y.node is not None]
        self.nested = recording and any(
            node.primitive is None and node not in own for node in consumers_first(roots)
        )

    def value(self) -> Any:
        """What the function returned."""
        outputs = self.outputs if self.nested else [y.detach() for y in self.outputs]
        return rebuild(self.result, iter(outputs))

    def pull_back(self, weights: list[Any] | None, create_graph: bool = False) -> list[Tensor]:
        """The gradient of the weighted outputs by each variable; zeros without dependence."""
        dependent = [i for i, y in enumerate(self.outputs) if y.requires_grad]
        create_graph = create_graph or self.nested or _any_recorded(weights)
        found: list[Tensor | None] = [None] * len(self.variables)
        if dependent:
            found = gradients(
                [self.outputs[i] for i in dependent],
                self.variables,
                None if weights is None else [weights[i] for i in dependent],
                create_graph=create_graph,
                retain_graph=True,
            )
        return [
            zeros_like(v) if g is None else g for v, g in zip(self.variables, found, strict=True)
        ]

    def weights(self, tree: Any) -> list[Any]:
        """``tree`` as one weight for each output.

        Raises:
            ShapeError: another number of weights, or another shape.
        """
        weights = list(leaves(tree))
        shapes = [np.shape(raw(w)) for w in weights]
        if shapes != [y.shape for y in self.outputs]:
            raise ShapeError(
                f"weights {shapes} do not fit outputs {[y.shape for y in self.outputs]}"
            )
        return weights


def _any_recorded(values: Iterable[Any] | None) -> bool:
    """Whether someone outside may differentiate what is computed from these values."""
    return is_grad_enabled() and any(
        isinstance(v, Tensor) and v.requires_grad for v in values or ()
    )


def _check_function(f: Any, name: str) -> None:
    if not callable(f):
        raise DtypeError(f"{name}: expected a function, got {f!r:.60}")


def _several(owner: str, values: Any) -> tuple[Any, ...]:
    if not isinstance(values, (tuple, list)):
        raise DtypeError(f"{owner}: expected a tuple of arguments, got {values!r:.60}")
    return tuple(values)


def _numbers(argnums: int | tuple[int, ...]) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else tuple(argnums)


def value_and_grad(
    f: Callable[..., Any], argnums: int | tuple[int, ...] = 0
) -> Callable[..., tuple[Any, Any]]:
    """A function that returns the value of ``f`` and its gradient by the chosen arguments.

    Raises:
        DtypeError: ``f`` is no function.
        ShapeError: ``f`` returned something other than one number.

    >>> import tinygrad_cnn as tc
    >>> tc.value_and_grad(lambda x: x**3)(2.0)
    (tensor(8.), tensor(12.))
    """
    _check_function(f, "grad")

    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        call = _Traced(f, args, kwargs, _numbers(argnums))
        if len(call.outputs) != 1 or call.outputs[0].size != 1:
            shapes = [y.shape for y in call.outputs]
            raise ShapeError(f"grad needs a function that returns one number, got {shapes}")
        gradient = rebuild(call.primals, iter(call.pull_back(None)))
        return call.value(), gradient[0] if isinstance(argnums, int) else tuple(gradient)

    return differentiated


def grad(f: Callable[..., Any], argnums: int | tuple[int, ...] = 0) -> Callable[..., Any]:
    """A function that returns the gradient of ``f`` by the chosen arguments.

    Raises:
        ShapeError: ``f`` returned something other than one number.

    >>> import tinygrad_cnn as tc
    >>> tc.grad(lambda x: x**3)(2.0)
    tensor(12.)
    >>> tc.grad(tc.grad(lambda x: x**3))(2.0)
    tensor(12.)
    """
    both = value_and_grad(f, argnums)
    return lambda *args, **kwargs: both(*args, **kwargs)[1]


def vjp(f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """The value of ``f``, and a function from weights of its outputs to gradients.

    Vector times Jacobian: one backward pass for each call of the function returned.

    >>> import tinygrad_cnn as tc
    >>> y, pull_back = tc.vjp(lambda x: x**2, tc.tensor([1.0, 3.0]))
    >>> pull_back(tc.tensor([1.0, 10.0]))
    (tensor([ 2., 60.]),)
    """
    _check_function(f, "vjp")
    call = _Traced(f, primals, {}, tuple(range(len(primals))))

    def pull_back(weights: Any) -> tuple[Any, ...]:
        return tuple(rebuild(call.primals, iter(call.pull_back(call.weights(weights)))))

    return call.value(), pull_back


def jvp(f: Callable[..., Any], primals: Any, tangents: Any) -> tuple[Any, Any]:
    """The value of ``f`` and its directional derivative: Jacobian times vector.

    The gradient is linear in the weights of the outputs, with the transposed Jacobian as its
    matrix; differentiating it by the weights transposes once more (Townsend 2017). The same
    rules therefore serve both directions.

    Raises:
        ShapeError: the tangents have not the shapes of the primals.

    >>> import tinygrad_cnn as tc
    >>> tc.jvp(lambda x: x**2, (tc.tensor([1.0, 3.0]),), (tc.tensor([1.0, 0.5]),))
    (tensor([1., 9.]), tensor([2., 3.]))
    """
    _check_function(f, "jvp")
    primals = _several("jvp", primals)
    call = _Traced(f, primals, {}, tuple(range(len(primals))))
    directions = list(leaves(_several("jvp", tangents)))
    shapes = [np.shape(raw(t)) for t in directions]
    if shapes != [v.shape for v in call.variables]:
        raise ShapeError(
            f"tangents {shapes} do not fit primals {[v.shape for v in call.variables]}"
        )
    recorded = _any_recorded(directions)
    with enable_grad():
        weights = [zeros_like(y, requires_grad=True) for y in call.outputs]
        pulled = call.pull_back(weights, create_graph=True)
        linked = [(g, t) for g, t in zip(pulled, directions, strict=True) if g.requires_grad]
        found: list[Tensor | None] = [None] * len(weights)
        if linked:
            outputs, tangent = [g for g, _ in linked], [t for _, t in linked]
            create_graph = call.nested or recorded
            found = gradients(outputs, weights, tangent, create_graph=create_graph)
    pushed = [zeros_like(y) if t is None else t for y, t in zip(call.outputs, found, strict=True)]
    return call.value(), rebuild(call.result, iter(pushed))


def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """The Hessian of ``f`` at ``x`` times ``v``, without forming the matrix (Pearlmutter 1994).

    Raises:
        ShapeError: ``v`` has not the shape of ``x``.

    >>> import tinygrad_cnn as tc
    >>> tc.hvp(lambda x: (x**3).sum(), tc.tensor([1.0, 2.0]), tc.tensor([1.0, 1.0]))
    tensor([ 6., 12.])
    """
    shapes, given = ([np.shape(raw(item)) for item in leaves(tree)] for tree in (x, v))
    if given != shapes:
        raise ShapeError(f"hvp: a vector of shapes {given} does not fit the point's {shapes}")

    def slope(x: Any) -> Any:
        terms = [sum_(g * w) for g, w in zip(leaves(grad(f)(x)), leaves(v), strict=True)]
        return sum_(stack(terms))

    return grad(slope)(x)


def jacobian(f: Callable[..., Any], argnum: int = 0) -> Callable[..., Tensor]:
    """A function that returns all derivatives of one array by another.

    Its shape is that of the output followed by that of the argument; one backward pass for
    each element of the output.

    >>> import tinygrad_cnn as tc
    >>> tc.jacobian(lambda x: x**2)(tc.tensor([1.0, 3.0]))
    tensor([[2., 0.],
            [0., 6.]])
    """
    _check_function(f, "jacobian")

    def differentiated(*args: Any, **kwargs: Any) -> Tensor:
        call = _Traced(f, args, kwargs, (argnum,))
        if len(call.outputs) != 1 or len(call.variables) != 1:
            raise ShapeError("jacobian needs a function of one array that returns one array")
        [output], [variable] = call.outputs, call.variables
        units = np.eye(output.size, dtype=output.dtype).reshape(output.size, *output.shape)
        rows = [call.pull_back([unit])[0] for unit in units]
        if not rows:
            return zeros(*output.shape, *variable.shape)
        return reshape(stack(rows), (*output.shape, *variable.shape))

    return differentiated


def hessian(f: Callable[..., Any], argnum: int = 0) -> Callable[..., Tensor]:
    """A function that returns the matrix of second derivatives of a number by an array.

    >>> import tinygrad_cnn as tc
    >>> tc.hessian(lambda x: x[0] * x[1] ** 2)(tc.tensor([2.0, 3.0]))
    tensor([[0., 6.],
            [6., 4.]])
    """
    return jacobian(grad(f, argnum), argnum)
