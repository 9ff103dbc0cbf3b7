"""Primitives as data, and the one place where an operation is carried out and recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np

from .._arguments import affordable
from ..errors import DtypeError, GraphError, ShapeError, TinygradCnnError, TooLargeError
from .anomaly import forward_error, is_finite
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
_MANY = 2**26  # elements of a result, from which on it may not fit into memory


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
    try:
        if context.check_finite:
            ans = _checked(primitive, arrays, params, context)
        else:
            ans = primitive.forward(*arrays, **params)
    except (ValueError, TypeError, MemoryError) as error:
        better = _explained(primitive.name, arrays, error)
        if better is None:
            raise
        raise better from None
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


def _explained(name: str, arrays: list[Any], error: Exception) -> TinygradCnnError | None:
    """What to raise in the place of NumPy's error; None: that one."""
    if isinstance(error, TinygradCnnError):
        return None
    if isinstance(error, MemoryError):
        return TooLargeError(f"{name}: {error}")  # names the size and the shape
    if isinstance(error, ValueError) and "could not be broadcast" in str(error):
        return ShapeError(f"{name}: {error}")  # names the shapes
    dtypes = [np.asarray(array).dtype for array in arrays]
    if any(dtype.kind not in "biufc" for dtype in dtypes):
        return DtypeError(f"{name}: expected numbers, got {' and '.join(map(str, dtypes))}")
    if isinstance(error, TypeError) and ("ufunc" in str(error) or "boolean" in str(error)):
        return DtypeError(f"{name}: cannot be computed of {' and '.join(map(str, dtypes))}")
    return None


def _check_broadcast(name: str, x: Any, y: Any) -> None:
    """Refuse what is small and broadcasts to more than memory holds."""
    try:
        shape = np.broadcast_shapes(x.shape, y.shape)
    except ValueError:  # the operation says it better
        return
    affordable(name, shape, max(x.itemsize, y.itemsize))


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
        if (
            type(x_data) is np.ndarray
            and type(y_data) is np.ndarray
            and x_data.size * y_data.size > _MANY
            and x_data.shape != y_data.shape
        ):
            _check_broadcast(primitive.name, x_data, y_data)
        try:
            ans = forward(x_data, y_data)
        except (ValueError, TypeError, MemoryError):
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
        if is_finite(ans):
            return ans
        source = Node(primitive, None, {}, None, (), None, sys._getframe(2)).source
        raise forward_error(primitive.name, ans, arrays, context.scope, source)
