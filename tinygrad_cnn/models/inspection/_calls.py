"""One run of a model as a row of calls, each with the operations that were recorded in it.

The run keeps no array longer than the model itself does: of what was recorded the shapes are
noted and the values let go of, layer by layer. So a model can be studied at a size at which it
could not be trained.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from ... import nn
from ..._core.context import Scope, enclosing, layer_path, per_thread
from ..._core.node import ArraySpec, Leaf, Node
from ..._core.origin import origin
from ..._core.tensor import Tensor, as_tensor, raw
from ...errors import ArgumentError, ShapeError
from ...nn._volatile import untouched
from ...ops import flops
from ...typing import Array, Shape
from ._tracking import ELEMENTWISE

__all__ = ["Call", "Memory", "Operation", "Run", "batch", "run", "variable"]


class Memory:
    """A piece of memory that arrays lie in, known by what it is, not by where."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes


class Operation(NamedTuple):
    """A recorded operation whose arrays were let go of.

    Attributes:
        node: the engine's vertex, which still knows what it was made of.
        shapes: of its array arguments.
        saved: the memory that it holds for backward.
        made: the memory that its result lies in; None for a scalar.
        nbytes, operand_bytes: of the result and of the arguments, views by what they show.
    """

    node: Node
    shapes: tuple[Shape, ...]
    saved: tuple[Memory, ...]
    made: Memory | None
    nbytes: int
    operand_bytes: tuple[int, ...]

    @property
    def name(self) -> str:
        """Of the primitive."""
        return self.node.primitive.name if self.node.primitive else ""

    @property
    def shape(self) -> Shape:
        """Of the result."""
        ans = self.node.ans
        return ans.shape if isinstance(ans, ArraySpec) else tuple(np.shape(ans))

    @property
    def flops(self) -> int | None:
        """Floating-point operations; None for a primitive whose cost is not known."""
        try:
            return flops(self.name, self.shapes, self.shape, self.node.params)
        except ArgumentError:
            return None


def _keeps_place(operation: Operation) -> bool:
    """Whether every element of the result comes from that element of the input."""
    if operation.name in ("im2col", "sum"):  # windows of a single element, as in a pool of 1x1
        return math.prod(operation.shapes[0]) == math.prod(operation.shape)
    return operation.name in ELEMENTWISE or operation.name in ("reshape", "transpose")


@dataclass(eq=False)
class Call:
    """One call of a layer, or of a function or operation outside of all layers.

    Attributes:
        name: the path of the layer; of a function, that of the module it is called in and its own.
        type: the class of the layer, or ``"function"`` or ``"operation"``.
        module: the layer.
        scopes: the modules around it, the model first; a layer itself is the last.
        output: the vertex of its result; None if nothing was recorded.
        output_shape: of its result.
        nbytes: the memory of its result; 0 where that shares the memory of an input.
        operations: what was recorded in it.
        inputs: of a function, the memory of what it was given.
    """

    name: str
    type: str
    module: nn.Module | None
    scopes: tuple[Scope, ...]
    output: Node | None = None
    output_shape: Shape = ()
    nbytes: int = 0
    operations: list[Operation] = field(default_factory=list)
    inputs: set[Memory | None] = field(default_factory=set)

    @property
    def activations(self) -> int:
        """How many numbers it made; 0 where its result shares the memory of an input."""
        return math.prod(self.output_shape) if self.nbytes else 0

    @property
    def volume(self) -> int:
        """The same, but 0 for what could write its result in the place of its input."""
        return 0 if all(map(_keeps_place, self.operations)) else self.activations

    @property
    def is_idle(self) -> bool:
        """Whether a function only looks at memory in another way, as a reshape does."""
        return self.module is None and not self.nbytes and not self.flops

    @property
    def flops(self) -> int:
        """Floating-point operations of the forward pass."""
        return sum(operation.flops or 0 for operation in self.operations)

    def made_itself(self, node: Node | None) -> bool:
        """Whether an operand was computed in this call."""
        return any(operation.node is node for operation in self.operations)


@dataclass(eq=False)
class Run:
    """What a model did.

    Attributes:
        image: the vertex of the input; None if that requires no gradient.
        calls: in order of execution.
        operations: all of them, in order of execution.
        outputs: the vertices of what the model returned.
        lasting: the memory of parameters, buffers and the input, which a run does not make.
    """

    image: Node | None
    calls: list[Call]
    operations: list[Operation]
    outputs: list[Node]
    lasting: set[Memory | None]


def run(model: nn.Module, x: Tensor, owner: str, training: bool = False) -> Run:
    """Run a model, by default as in use, and record what it does; it is left as it was.

    Args:
        model: any module that takes one array.
        x: the batch; without gradient only what parameters take part in is recorded.
        owner: the function to name in errors.
        training: run it as in training.

    Raises:
        ArgumentError: a layer returns no array.
    """
    recorder = _Recorder(owner)
    lasting = {recorder.held(t.data) for t in (x, *model.parameters(), *model.buffers())}
    with untouched(model, training), recorder.listening(model):
        y = model(x)
        outputs = list(_tensors(y))
        recorder.collect(outputs)
    nodes = [tensor.node for tensor in outputs if tensor.node is not None]
    operations = sorted(recorder.operations.values(), key=lambda operation: operation.node.age)
    return Run(x.node, recorder.calls, operations, nodes, lasting)


def batch(inputs: Any, model: nn.Module, owner: str) -> Tensor:
    """The inputs as they are, or random numbers of their shape in the dtype of the model.

    Raises:
        ArgumentError: neither an array nor a shape, or no module.
        ShapeError: an array without examples.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"{owner}: expected a model (nn.Module), got {type(model).__name__}")
    if isinstance(inputs, (np.ndarray, Tensor)):
        x = as_tensor(inputs)
        if not x.ndim or not x.size:
            raise ShapeError(f"{owner}: expected a batch of examples, got shape {x.shape}")
        return x
    lengths = inputs if isinstance(inputs, (tuple, list)) else ()
    if not lengths or not all(isinstance(n, (int, np.integer)) and n > 0 for n in lengths):
        raise ArgumentError(
            f"{owner}: expected an array or a shape such as (1, 1, 28, 28), got {inputs!r:.60}"
        )
    dtype = next((parameter.dtype for parameter in model.parameters()), np.dtype(np.float32))
    return Tensor(np.random.default_rng(0).random(lengths).astype(dtype))


def variable(x: Tensor) -> Tensor:
    """``x`` as an input by which all that depends on it is recorded, if it is no index."""
    return Tensor(x.data, requires_grad=True) if x.dtype.kind == "f" else x


class _Recorder:
    """Notes operations whenever a layer has run, and lets go of their arrays."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.calls: list[Call] = []
        self.operations: dict[Node, Operation] = {}
        self._layers: dict[Scope, Call] = {}  # those that run, or have run
        self._functions: dict[Scope, Call] = {}
        self._memory: dict[int, tuple[weakref.ref[Array], Memory]] = {}

    @contextmanager
    def listening(self, model: nn.Module) -> Iterator[None]:
        """Call back for all modules that hold parameters, or no modules."""
        with ExitStack() as stack:
            for name, module in model.named_modules():
                if not list(module.children()) or list(module.parameters(recurse=False)):
                    before = module.register_forward_pre_hook(
                        lambda module, args, name=name: self._enter(name, module)
                    )
                    after = module.register_forward_hook(self._leave)
                    stack.callback(before.remove)
                    stack.callback(after.remove)
            yield

    def _enter(self, name: str, module: nn.Module) -> None:
        scope: Scope = per_thread.context.scope  # type: ignore[assignment]  # the module's own
        kind = type(module).__name__
        self._layers[scope] = Call(name or kind, kind, module, _modules(scope))

    def _leave(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        call = self._layers[per_thread.context.scope]  # type: ignore[index]
        if not isinstance(output, (Tensor, np.ndarray)):
            raise ArgumentError(
                f"{self.owner}: {call.name} returned a {type(output).__name__}, expected one array"
            )
        arrays = [raw(arg) for arg in args if isinstance(arg, (Tensor, np.ndarray))]
        shared = any(np.may_share_memory(raw(output), array) for array in arrays)
        self.collect([output] if isinstance(output, Tensor) else [])
        call.output = getattr(output, "node", None)
        call.output_shape, call.nbytes = output.shape, 0 if shared else raw(output).nbytes
        self.calls.append(call)

    def collect(self, outputs: Sequence[Tensor]) -> None:
        """Note what led to ``outputs``, and let go of the arrays."""
        found = [tensor.node for tensor in outputs if tensor.node is not None]
        new = {node: None for node in found if self._is_new(node)}
        pending = list(new)
        for node in pending:  # grows while it is walked
            for parent in node.parents:
                if parent is not None and parent not in new and self._is_new(parent):
                    new[parent] = None
                    pending.append(parent)
        for node in sorted(new, key=lambda node: node.age):
            self._note(node)
        for node in new:
            node.release()

    def _is_new(self, node: Node) -> bool:
        return not isinstance(node, Leaf) and node not in self.operations

    def _note(self, node: Node) -> None:
        args: tuple[Any, ...] = node.args or ()
        made, given = self.held(node.ans), [self.held(arg) for arg in args]
        kept = [self.held(value) for value in _flat([*node.params.values(), *map(_behind, args)])]
        saved = dict.fromkeys(memory for memory in (made, *given, *kept) if memory is not None)
        sizes = [np.asarray(value).nbytes for value in (node.ans, *args)]
        shapes = tuple(map(np.shape, args))
        operation = Operation(node, shapes, tuple(saved), made, sizes[0], tuple(sizes[1:]))
        self.operations[node] = operation
        layer = next((s for s in enclosing(node.scope) if s in self._layers), None)
        call = self._layers[layer] if layer is not None else self._function(node)
        if layer is None:
            outside = zip(given, node.parents, strict=True)
            call.inputs.update(m for m, parent in outside if not call.made_itself(parent))
            shared = made is None or made in call.inputs
            call.output, call.output_shape = node, operation.shape
            call.nbytes = 0 if shared else node.ans.nbytes
        call.operations.append(operation)

    def _function(self, node: Node) -> Call:
        """The call of the outermost function around an operation inside of its module."""
        inside = itertools.takewhile(lambda scope: scope.kind != "module", enclosing(node.scope))
        scope = (None, *inside)[-1]
        call = self._functions.get(scope) if scope is not None else None
        if call is None:
            name = scope.name if scope is not None else node.primitive.name  # type: ignore[union-attr]
            path = ".".join(filter(None, (layer_path(node.scope), name)))
            kind = "operation" if scope is None else "function"
            call = Call(path, kind, None, _modules(node.scope))
            self.calls.append(call)
            if scope is not None:
                self._functions[scope] = call
        return call

    def held(self, value: Any) -> Memory | None:
        """The memory that an array lies in, the same for all its views."""
        if not isinstance(value, np.ndarray):
            return None
        while isinstance(value.base, np.ndarray):
            value = value.base
        alive, memory = self._memory.get(id(value), (None, None))
        if alive is None or memory is None or alive() is not value:
            memory = Memory(value.nbytes)
            self._memory[id(value)] = weakref.ref(value), memory
        return memory


def _behind(array: Any) -> list[Any]:
    """What a constant was made of in a composition, which lives as long as it does."""
    found: list[Any] = []
    pending = [array]
    for value in pending:  # grows while it is walked
        node = origin(value) if isinstance(value, np.ndarray) else None
        if node is not None and node.args is not None:
            found.extend(node.args)
            pending.extend(node.args)
    return found


def _modules(scope: Scope | None) -> tuple[Scope, ...]:
    """The modules around a scope, the outermost first."""
    return tuple(outer for outer in enclosing(scope) if outer.kind == "module")[::-1]


def _flat(value: Any) -> Iterator[Any]:
    """What tuples, lists and dicts hold, at any depth."""
    if isinstance(value, (tuple, list)):
        for part in value:
            yield from _flat(part)
    elif isinstance(value, dict):
        yield from _flat(list(value.values()))
    else:
        yield value


def _tensors(output: Any) -> Iterator[Tensor]:
    return (value for value in _flat(output) if isinstance(value, Tensor))
