"""A model as a row of layers, read from what it computes and not from how it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import nn
from .._core.backprop import consumers_first
from .._core.context import Scope, enclosing, layer_path, per_thread
from .._core.node import Leaf, Node
from .._core.tensor import Tensor
from ..errors import ArgumentError, GraphError
from ..nn._volatile import untouched
from ..typing import Shape
from .inspection._calls import batch, variable


@dataclass(frozen=True)
class Link:
    """One layer of a chain.

    Attributes:
        name: the path of the module, or of the module that calls the function, and its name.
        module: the layer; for a function that the model calls, the layer that does the same.
        input_shape, output_shape: of one batch, the batch first.
    """

    name: str
    module: nn.Module
    input_shape: Shape
    output_shape: Shape


@dataclass(frozen=True)
class Call:
    """One call of a module: what it was given first, what it returned, and its scope."""

    name: str
    module: nn.Module
    input: Tensor
    output: Tensor
    scope: Scope | None

    def holds(self, node: Node) -> bool:
        """Whether an operation was recorded inside of this call."""
        return any(scope is self.scope for scope in enclosing(node.scope))


# Functions that are layers too, by the name of their scope or primitive. (Dropout records nothing
# in use, or it was left on.)
_LAYERS: dict[str, Callable[..., nn.Module]] = {
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d,
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d,
    "avg_pool1d": nn.AvgPool1d,
    "avg_pool2d": nn.AvgPool2d,
    "avg_pool3d": nn.AvgPool3d,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "global_avg_pool2d": nn.GlobalAvgPool2d,
    "hardsigmoid": nn.Hardsigmoid,
    "hardswish": nn.Hardswish,
    "hardtanh": nn.Hardtanh,
    "leaky_relu": nn.LeakyReLU,
    "local_response_norm": nn.LocalResponseNorm,
    "log_sigmoid": nn.LogSigmoid,
    "log_softmax": nn.LogSoftmax,
    "lp_pool2d": nn.LPPool2d,
    "max_pool1d": nn.MaxPool1d,
    "max_pool2d": nn.MaxPool2d,
    "max_pool3d": nn.MaxPool3d,
    "maxout": nn.Maxout,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softmax": nn.Softmax,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}


def chain(model: nn.Module, input_shape: Shape, what: str) -> list[Link]:
    """The layers of a model in which each takes what the one before it returned.

    The model runs once, as in use. Modules may be nested, and ``forward`` may flatten and call
    activations and pools as functions.

    Args:
        model: any module that takes one batch.
        input_shape: of the batch.
        what: who asks, for errors.

    Raises:
        GraphError: the model is no chain; the message names where it branches, or what is
            computed there that is no layer.
    """
    x, y, calls = trace(model, input_shape, what)
    calls = [call for call in calls if not list(call.module.children())]
    links: list[Link] = []
    left, node = len(calls), y.node
    while node is not x.node or left:
        found = next((i for i in reversed(range(left)) if calls[i].output.node is node), None)
        if found is not None:
            call = calls[found]
            _refuse_unused(calls[found + 1 : left], what)
            _refuse_more_inputs(call, x, what)
            links.append(Link(call.name, call.module, call.input.shape, call.output.shape))
            left, node = found, call.input.node
        elif node is x.node:
            _refuse_unused(calls[:left], what)
        else:
            link, node = _function(node, what)
            links.append(link)
    return links[::-1]


def _refuse_unused(calls: list[Call], what: str) -> None:
    if calls:
        name, kind = calls[-1].name, type(calls[-1].module).__name__
        raise GraphError(
            f"{what}: the model is no chain: what {name} ({kind}) returns is not what the next"
            " layer takes"
        )


def _refuse_more_inputs(call: Call, x: Tensor, what: str) -> None:
    """Refuse a layer that computes with more than its parameters and what it is given first."""
    pending, seen = [call.output.node], {call.input.node, None}
    for node in pending:  # grows while it is walked
        if node is None or node in seen:
            continue
        seen.add(node)
        if node is x.node or not (isinstance(node, Leaf) or call.holds(node)):
            raise GraphError(
                f"{what}: the model is no chain: {call.name} ({type(call.module).__name__}) takes"
                " more than what the layer before it returns"
            )
        pending.extend(node.parents)


def _function(node: Node | None, what: str) -> tuple[Link, Node]:
    """The layer for a function that the model calls, and what it was given."""
    if node is None or node.primitive is None:
        raise GraphError(f"{what}: the result of the model does not depend on its input alone")
    functions = [s for s in enclosing(node.scope) if s.kind == "function"]
    scope = functions[-1] if functions else None
    where = layer_path(node.scope) or "the model"
    given: Any = scope.operands.get("x") if scope else node.parents[0]
    name = scope.name if scope else node.primitive.name
    if isinstance(given, Node):
        module = _as_layer(name, scope, node, given)
        if module is not None:
            name = "flatten" if isinstance(module, nn.Flatten) else name
            path = layer_path(node.scope)
            return Link(
                f"{path}.{name}" if path else name, module, _shape(given), _shape(node)
            ), given
    raise GraphError(
        f"{what}: the model is no chain of layers: {where} computes {name} of shape"
        f" {_shape(node)} at {node.source}"
    )


def _as_layer(name: str, scope: Scope | None, node: Node, given: Node) -> nn.Module | None:
    if name in _LAYERS:
        params = dict(scope.params) if scope else {}
        params.pop("return_indices", None)  # the next layer does not take them
        return _LAYERS[name](**params)
    before, after = _shape(given), _shape(node)
    flat = scope is None and name == "reshape"
    if flat and len(after) == 2 and len(before) > 2 and before[0] == after[0]:
        return nn.Flatten()
    return None


def _shape(node: Node) -> Shape:
    ans: Any = node.ans
    return tuple(np.shape(ans))


def trace(model: nn.Module, input_shape: Shape, what: str) -> tuple[Tensor, Tensor, list[Call]]:
    """Run a model as in use on random numbers: its input, its result, the calls of its modules.

    Raises:
        ArgumentError: the shape is none, or the model returns other than one Tensor.
        GraphError: its result does not depend on its input.
    """
    x = variable(batch(input_shape, model, what))
    calls: list[Call] = []
    with untouched(model), _listening(model, calls):
        y = result(model, x, what)
    return x, y, [call for call in calls if isinstance(call.output, Tensor)]


def result(model: nn.Module, x: Tensor, what: str) -> Tensor:
    """What a model returns for one batch.

    Raises:
        ArgumentError: it is other than one Tensor.
        GraphError: it does not depend on the batch.
    """
    y = model(x)
    if not isinstance(y, Tensor):
        raise ArgumentError(f"{what}: the model returns a {type(y).__name__}, expected one Tensor")
    if y.node is None or x.node not in consumers_first([y.node]):
        raise GraphError(f"{what}: the result of the model does not depend on its input")
    return y


@contextmanager
def _listening(model: nn.Module, calls: list[Call]) -> Iterator[None]:
    def listen(name: str) -> Callable[..., None]:
        def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if args and isinstance(args[0], Tensor):
                calls.append(Call(name, module, args[0], output, per_thread.context.scope))

        return note

    with ExitStack() as stack:
        for name, module in model.named_modules():
            handle = module.register_forward_hook(listen(name or type(module).__name__))
            stack.callback(handle.remove)
        yield
