"""Primitives as data, and the one place where an operation is carried out and recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from ..errors import GraphError, NonFiniteError, ShapeError
from .context import Context, per_thread
from .node import Node
from .origin import remember
from .tensor import Tensor, raw, wrap

Rule = Callable[..., Any]


class Rules(Protocol):
    """A rule, or None, for each argument: a tuple, or ``every``."""

    def __getitem__(self, index: int, /) -> Rule | None: ...


class every:
    """One rule for all arguments of a primitive that takes any number: ``rule(i, g, ans, *xs)``."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __getitem__(self, index: int) -> Rule:
        return partial(self.rule, index)


class Primitive:
    """An operation as data: a name, a forward function and its local-gradient rules.

    Attributes:
        name: what graphs and messages call it.
        forward: arrays in, one array out; settings are keyword-only; inputs stay unchanged.
        vjps: for each array argument its vector-Jacobian product
            ``rule(g, ans, *args, **params)``: from the gradient ``g`` of the result the
            gradient of the argument. ``None``: deliberately not differentiable.
        unbroadcast: what to do with a gradient that has the shape of the result where the
            argument was broadcast; without it, another shape is an error.
    """

    __slots__ = ("forward", "name", "unbroadcast", "vjps")

    def __init__(
        self,
        name: str,
        forward: Callable[..., Any],
        vjps: Rules,
        unbroadcast: Callable[[Any, tuple[int, ...]], Any] | None = None,
    ) -> None:
        self.name, self.forward, self.vjps, self.unbroadcast = name, forward, vjps, unbroadcast

    def rule(self, argument: int) -> Rule | None:
        """The rule of one argument.

        Raises:
            GraphError: none was given, not even ``None``.
        """
        try:
            return self.vjps[argument]
        except IndexError:
            raise GraphError(
                f"{self.name} has no gradient rule for argument {argument}: add one to its vjps,"
                " or None where it is deliberately not differentiable"
            ) from None

    def __call__(self, *args: Any, **params: Any) -> Any:
        return apply(self, *args, **params)

    def __repr__(self) -> str:
        return f"<Primitive {self.name}>"


registry: dict[str, Primitive] = {}


def primitive(
    name: str,
    forward: Callable[..., Any],
    vjps: Rules,
    unbroadcast: Callable[[Any, tuple[int, ...]], Any] | None = None,
) -> Primitive:
    """Define an operation: a forward function on arrays and a rule for each argument.

    Rules are written with operators and the functions of this package, which take arrays
    and Tensors alike, so that the same rule serves every order of differentiation.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> softplus = tc.primitive(
    ...     "my_softplus",
    ...     forward=lambda x: np.logaddexp(0.0, x),
    ...     vjps=(lambda g, ans, x: g * tc.sigmoid(x),),
    ... )
    >>> tc.grad(softplus)(0.0)
    tensor(0.5)
    """
    made = registry[name] = Primitive(name, forward, vjps, unbroadcast)
    return made


_ARRAYS = frozenset((np.ndarray, np.float64, np.float32, float, int))
_NO_PARAMS: dict[str, Any] = {}


def apply(primitive: Primitive, *args: Any, **params: Any) -> Tensor:
    """Carry out an operation and record it if a gradient may be wanted.

    With a Tensor among the arguments the result is a Tensor, as the signature says. Arrays
    alone give an array: that is how rules run in a first-order backward pass.
    """
    context = per_thread.context
    if context.tracer is not None:
        return context.tracer.apply(primitive, args, params)  # type: ignore[no-any-return]
    arrays = []
    parents = []
    any_tensor = any_node = False
    for arg in args:
        if isinstance(arg, Tensor):
            any_tensor = True
            node = arg.node
            if node is not None:
                any_node = True
            arrays.append(arg.data)
            parents.append(node)
        else:
            arrays.append(arg if type(arg) in _ARRAYS else raw(arg))
            parents.append(None)
    if context.check_finite:
        ans = _checked(primitive, arrays, params, context)
    else:
        try:
            ans = primitive.forward(*arrays, **params)
        except ValueError as error:
            if "could not be broadcast" not in str(error):
                raise
            raise ShapeError(f"{primitive.name}: {error}") from None  # names the shapes
    if type(ans) is np.ndarray and not ans.shape:
        ans = ans[()]
    if not any_tensor:
        return ans  # type: ignore[no-any-return]
    node = None
    if any_node and context.recording:
        saved, edges = tuple(arrays), tuple(parents)
        node = Node(primitive, saved, params, ans, edges, context.scope, sys._getframe(1))
    elif context.recording and context.scope is not None:
        remember(ans, primitive, tuple(arrays), params, context.scope, sys._getframe(1))
    return wrap(ans, node)


def binary_operator(primitive: Primitive) -> Callable[[Any, Any], Tensor]:
    """``apply`` for two operands and no settings, in half the time.

    Scalar graphs consist of little else than operators, and their cost is that of Python
    itself: the loop over the arguments is written out.
    """
    forward = primitive.forward

    def operate(x: Any, y: Any, /) -> Tensor:
        context = per_thread.context
        if context.check_finite or context.tracer is not None:
            return apply(primitive, x, y)
        x_node = y_node = None
        x_data, y_data = x, y
        if isinstance(x, Tensor):
            x_data, x_node = x.data, x.node
        elif type(x) not in _ARRAYS:
            x_data = raw(x)
        if isinstance(y, Tensor):
            y_data, y_node = y.data, y.node
        elif type(y) not in _ARRAYS:
            y_data = raw(y)
        try:
            ans = forward(x_data, y_data)
        except ValueError:
            return apply(primitive, x, y)  # raises the error that names the operation
        if type(ans) is np.ndarray and not ans.shape:
            ans = ans[()]
        result = Tensor.__new__(Tensor)
        result.data = ans
        if context.recording and (x_node is not None or y_node is not None):
            saved, edges = (x_data, y_data), (x_node, y_node)
            result.node = Node(
                primitive, saved, _NO_PARAMS, ans, edges, context.scope, sys._getframe(1)
            )
        else:
            result.node = None
            if context.recording and context.scope is not None:
                operands = (x_data, y_data)
                remember(ans, primitive, operands, _NO_PARAMS, context.scope, sys._getframe(1))
        return result

    return operate


def _checked(
    primitive: Primitive, arrays: Sequence[Any], params: dict[str, Any], context: Context
) -> Any:
    """The forward function, with an error if its result holds a NaN or an infinity."""
    with np.errstate(all="ignore"):  # the error says more than NumPy's warning
        ans = primitive.forward(*arrays, **params)
    if np.asarray(ans).dtype.kind not in "fc" or np.isfinite(ans).all():
        return ans
    where = f" in {context.scope.path}" if context.scope else ""
    source = Node(primitive, None, {}, None, (), None, sys._getframe(2)).source
    inputs = "; ".join(f"argument {i}: {_statistics(a)}" for i, a in enumerate(arrays))
    raise NonFiniteError(
        f"{primitive.name} made {_count(ans)} of {np.size(ans)} values{where}\n"
        f"  at {source}\n  {inputs}"
    )


def _count(values: Any) -> str:
    nan = int(np.isnan(values).sum())
    infinite = int(np.isinf(values).sum())
    counts = ((nan, "NaN"), (infinite, "infinite"))
    return " and ".join(f"{number} {kind}" for number, kind in counts if number)


def _statistics(values: Any) -> str:
    """Shape, dtype and range of an array, for messages."""
    array = np.asarray(values)
    text = f"{array.dtype}{list(array.shape)}"
    if array.size and array.dtype.kind in "iuf":
        text += f" from {array.min():.4g} to {array.max():.4g}, mean {array.mean():.4g}"
    return text
