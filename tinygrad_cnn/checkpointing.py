"""Gradient checkpointing: what a function saves for backward is computed again when it is needed.

The function runs and is recorded as always; then its vertices let go of their arrays. The first
one that backward comes to runs the function once more and gives every vertex its arrays back. So
the graph is the one there would be without, and the gradients are the same to the bit: a walk of
any order finds in it what it expects (Chen et al. 2016, "Training deep nets with sublinear memory
cost"; Griewank and Walther 2000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np

from ._core.backprop import consumers_first
from ._core.context import enable_grad, is_grad_enabled, per_thread
from ._core.node import ArraySpec, Node, next_age
from ._core.symbol import is_replaying, noting_assigned, refuse_trace, with_former
from ._core.tensor import Tensor
from .errors import ArgumentError, GraphError
from .ops.conventions import conventions, current_conventions
from .random import current_generator, noting_states, replaying_states
from .transforms import leaves, rebuild

__all__ = ["checkpoint"]

P = ParamSpec("P")
R = TypeVar("R")
_SAMPLES = 1024  # elements of each result that are compared
_ARGS: Any = vars(Node)["args"]  # the slot, which stays behind the property


def checkpoint(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """``function(*args, **kwargs)``, without keeping what is computed inside until backward.

    Backward runs the function a second time, right before it needs those values. A deep network
    in k such parts holds the arrays between the parts and those inside of one, for the time of
    one more forward pass. Results and gradients are the same to the bit, at every order: random
    draws through this package are repeated, and running statistics do not move a second time.
    Calls nest.

    Under ``no_grad`` this is a plain call. So it is in a compiled function: a program plans its
    memory by itself.

    Args:
        function: of Tensors, which computes the same again from the same arguments and parameters.
        *args, **kwargs: what it is given; Tensors may stand in tuples, lists and dicts.

    Raises:
        ArgumentError: ``function`` cannot be called.
        GraphError: in backward, if the function does something else the second time, as it would
            with parameters changed in between or random numbers from elsewhere; at once, if it
            calls ``backward`` itself, whose gradients would be added twice (``tc.gradients`` may
            be used).

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor(3.0, requires_grad=True)
    >>> y = tc.checkpoint(lambda x: tc.exp(tc.sin(x)), x)
    >>> y.backward()
    >>> (tc.cos(x) * y == x.grad).all()
    np.True_
    """
    if not callable(function):
        raise ArgumentError(f"checkpoint: {function!r:.60} is no function")
    if per_thread.context.tracer is not None or is_replaying() or not is_grad_enabled():
        return function(*args, **kwargs)
    region = _Region(function, args, kwargs)
    with noting_states() as region.states, noting_assigned() as region.assigned:
        start = next_age()
        result = function(*args, **kwargs)
    region.drop(result, start)
    return result


class _Values(NamedTuple):
    """What a vertex lets go of: its saved arguments, and its result.

    Of a call inside of the call they are dropped too, and ``kind`` says so.
    """

    kind: type[Node]
    args: Any
    ans: Any


class _Region:
    """A call that can be repeated."""

    def __init__(self, function: Callable[..., Any], args: Any, kwargs: Any) -> None:
        self.function = function
        given = list(leaves((args, kwargs)))
        self.given = [(x.data, x.requires_grad) if isinstance(x, Tensor) else x for x in given]
        self.are_tensors = [isinstance(x, Tensor) for x in given]
        self.structure = rebuild((args, kwargs), iter(range(len(given))))
        self.conventions, self.scope = current_conventions(), per_thread.context.scope
        self.generator = current_generator()
        self.states: Any = None
        self.assigned: Any = None
        self.names: list[str] = []
        self.samples: list[Any] = []
        self.values: list[_Values | None] = []

    def drop(self, result: Any, start: int) -> None:
        """Let all vertices that are younger than ``start`` go of their arrays."""
        nodes = _younger(result, start)
        self.names, self.samples = [_name(node) for node in nodes], _samples(result)
        for index, node in enumerate(nodes):
            if type(node.ans) is np.ndarray:
                node.ans = ArraySpec(node.ans.shape, node.ans.dtype)
            _ARGS.__set__(node, (self, index))
            node.__class__ = _Dropped

    def take(self, index: int) -> _Values:
        """What a vertex has let go of; the first to ask has the call repeated."""
        if not self.values or self.values[index] is None:
            self.values = list(self._again())
        values = self.values[index]
        assert values is not None
        self.values[index] = None
        return values

    def _again(self) -> Iterator[_Values]:
        refuse_trace("backward goes on into a checkpoint outside of the function")
        given = (
            Tensor(x[0], requires_grad=x[1]) if is_tensor else x  # no graph leads to it
            for x, is_tensor in zip(self.given, self.are_tensors, strict=True)
        )
        args, kwargs = rebuild(self.structure, given)
        start = next_age()
        with self._as_then(), noting_assigned():  # noting: backward is refused there, as then
            result = self.function(*args, **kwargs)
        nodes = _younger(result, start)
        same = [_name(node) for node in nodes] == self.names
        if not same or not _alike(_samples(result), self.samples):
            name = getattr(self.function, "__qualname__", type(self.function).__name__)
            raise GraphError(
                f"checkpoint: {name} computed something else when backward ran it again: were"
                " parameters or buffers changed in between, or does it draw random numbers that"
                " are not from this package?"
            )
        return (_Values(type(node), _ARGS.__get__(node), node.ans) for node in nodes)

    @contextmanager
    def _as_then(self) -> Iterator[None]:
        """Generators, buffers, conventions and scope as they were at the call."""
        ties, relu_at_zero = self.conventions
        context = per_thread.context
        outer, context.scope = context.scope, self.scope
        try:
            with ExitStack() as stack:
                stack.enter_context(enable_grad())
                stack.enter_context(conventions(ties=ties, relu_at_zero=relu_at_zero))
                stack.enter_context(replaying_states(self.states, self.generator))
                stack.enter_context(with_former(self.assigned))
                yield
        finally:
            context.scope = outer


class _Dropped(Node):
    """A vertex that has let go of its arrays, and gets them back when they are asked for.

    A vertex becomes one and stops being one by changing its class: so all others have no test to
    make, and a slot for an attribute.
    """

    __slots__ = ()

    @property
    def args(self) -> tuple[Any, ...] | None:
        """The saved arguments, computed again."""
        while type(self) is _Dropped:
            region, index = _ARGS.__get__(self)
            kind, args, self.ans = region.take(index)
            _ARGS.__set__(self, args)
            self.__class__ = kind
        return _ARGS.__get__(self)  # type: ignore[no-any-return]

    @args.setter
    def args(self, values: tuple[Any, ...] | None) -> None:
        self.__class__ = Node  # type: ignore[assignment]
        _ARGS.__set__(self, values)


def _younger(result: Any, start: int) -> list[Node]:
    """The operations that led to a result and were recorded after ``start``, the oldest first."""
    roots = (tensor.node for tensor in _tensors(result) if tensor.node is not None)
    young = consumers_first((node for node in roots if node.age > start), start)
    return [node for node in reversed(young) if node.primitive is not None]


def _name(node: Node) -> str:
    return f"{node.primitive.name} {node.ans.shape}"  # type: ignore[union-attr]


def _samples(result: Any) -> list[Any]:
    """Some elements of each array in a result, which tell whether another one is the same."""
    found = []
    for tensor in _tensors(result):
        flat = np.ravel(tensor.data)[: None : max(1, tensor.size // _SAMPLES)]
        found.append(flat.copy())
    return found


def _alike(found: list[Any], expected: list[Any]) -> bool:
    """Whether samples are the same up to the rounding of another order of summation."""
    return len(found) == len(expected) and all(map(_is_close, found, expected))


def _is_close(x: Any, y: Any) -> bool:
    if x.shape != y.shape or x.dtype != y.dtype or x.dtype.kind not in "fc":
        return np.array_equal(x, y)
    scale = np.abs(y, where=np.isfinite(y), out=np.zeros(y.shape)).max(initial=0.0)
    tolerance = float(np.finfo(x.dtype).eps) ** 0.5
    return np.allclose(x, y, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in leaves(result) if isinstance(leaf, Tensor)]
