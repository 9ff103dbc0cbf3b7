"""Reverse-mode differentiation: sort the graph topologically, then walk it once.

Both passes are loops, not recursions, so a chain of any length works.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from operator import attrgetter
from typing import Any

import numpy as np

from ..errors import DtypeError, GraphError, ShapeError
from ..typing import TensorLike
from .anomaly import check_accumulated, check_contribution, check_seed, check_sum
from .context import enable_grad, per_thread
from .node import DISCARD, Node
from .primitive import Primitive
from .symbol import Symbol, is_noting
from .tensor import Tensor, as_tensor, wrap

Visit = Callable[[Node, Any, list[tuple[int, Any]]], None]
Local = Callable[[Node, Any, set[Node] | None, bool], list[tuple[int, Any]]]

_age = attrgetter("age")


def consumers_first(roots: Iterable[Node], since: int = -1) -> list[Node]:
    """All vertices that the roots depend on, each after every vertex that uses it.

    A vertex is older than what is made of it: from young to old is a topological order. Those
    of an age up to ``since`` are left out.
    """
    found = list(dict.fromkeys(roots))
    seen: set[Node | None] = {None, *found}
    for node in found:  # grows while it is walked
        for parent in node.parents:
            if parent not in seen and parent.age > since:  # type: ignore[union-attr]
                seen.add(parent)
                found.append(parent)  # type: ignore[arg-type]  # None counts as seen
    found.sort(key=_age, reverse=True)
    return found


def backpropagate(
    seeds: dict[Node, Any],
    targets: Collection[Node] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool = False,
    visit: Visit | None = None,
    local: Local | None = None,
) -> dict[Node, Any]:
    """The gradient of every target, by default of all vertices that keep one.

    Args:
        seeds: for each root the gradient to start from.
        targets: the vertices asked for; only what leads to them is walked.
        create_graph: run the rules on Tensors, so that the gradients can be differentiated.
        retain_graph: keep the saved arrays for another walk.
        visit: called with each vertex, its gradient, and its ``local_gradients``.
        local: called in the place of ``local_gradients``, to study what other rules would do.

    Raises:
        GraphError: an earlier walk freed the saved arrays.
    """
    order = consumers_first(seeds)
    needed = None if targets is None else _leading_to(order, targets)
    check_finite = per_thread.context.check_finite
    differentiate = local or local_gradients
    grads = dict(seeds)
    found = {}
    with _checking_gradients(seeds) if check_finite else nullcontext():
        for node in order:
            g = grads.pop(node, None)
            if g is None:  # reached through edges without a gradient only
                continue
            if node.grad is not DISCARD if targets is None else node in targets:
                found[node] = g
            # A target's own operation need not be differentiated: then it is not freed either.
            parents = node.parents
            inner = bool(parents) and not (needed and needed.isdisjoint(parents))
            contributions = differentiate(node, g, needed, create_graph) if inner else []
            for index, gradient in contributions:
                parent: Node = parents[index]  # type: ignore[assignment]
                before = grads.get(parent)
                if check_finite:
                    check_contribution(node, index, gradient, g)
                grads[parent] = gradient if before is None else before + gradient
                if check_finite and before is not None:
                    check_sum(parent, grads[parent], before, gradient)
            if visit is not None:
                visit(node, g, contributions)
            if inner and not retain_graph:
                node.release()
    return found


def local_gradients(
    node: Node, g: Any, needed: set[Node] | None = None, create_graph: bool = False
) -> list[tuple[int, Any]]:
    """What one operation passes on: pairs of argument number and gradient."""
    primitive: Primitive = node.primitive  # type: ignore[assignment]
    args, ans, params = node.args, node.ans, node.params
    if args is None:
        raise GraphError(
            f"the values saved for {primitive.name!r} were freed by an earlier backward: pass"
            " retain_graph=True to the first one, or compute the result again"
        )
    if create_graph:
        args = tuple(
            a if p is None else wrap(a, p) for a, p in zip(args, node.parents, strict=True)
        )
        ans = wrap(ans, node)
    contributions = []
    rules, given = primitive.vjps, (g, ans, *args)
    for index, parent in enumerate(node.parents):
        if parent is None:
            continue
        # Before anything else: the rule of another argument may use this one's values.
        if parent.primitive is None and parent.written > node.age:  # type: ignore[attr-defined]
            raise GraphError(
                f"{parent.name or 'a variable'} was changed in place after {primitive.name!r} used"  # type: ignore[attr-defined]
                " it: the gradient would be that of other values; run backward before the"
                " optimiser's step, or compute the result again"
            )
        if needed is not None and parent not in needed:
            continue
        try:
            rule = rules[index]
        except IndexError:
            rule = primitive.rule(index)  # raises the error that names it
        if rule is None:
            continue
        # To hand over no settings as an empty dict would take as long as a scalar's rule itself.
        gradient = rule(*given, **params) if params else rule(*given)
        arg = args[index]
        # Two NumPy scalars of one type need no comparison of shapes, which takes as long as
        # the rule itself.
        if type(gradient) is not np.float64 or type(arg) is not np.float64:
            gradient = _fit(primitive, index, gradient, arg)
        contributions.append((index, gradient))
    return contributions


def _fit(primitive: Primitive, index: int, gradient: Any, arg: Any) -> Any:
    """Sum a gradient over the axes that were broadcast, and give it the argument's dtype."""
    if not isinstance(gradient, (np.ndarray, np.generic, Tensor, Symbol)):
        gradient = np.asarray(gradient)[()]  # a rule may return a Python number
    if gradient.shape != arg.shape:
        if primitive.unbroadcast is not None:
            gradient = primitive.unbroadcast(gradient, arg.shape)
        if gradient.shape != arg.shape:
            raise ShapeError(
                f"the gradient rule of {primitive.name} for argument {index} returned shape"
                f" {gradient.shape}, the argument has shape {arg.shape}"
            )
    return gradient if gradient.dtype == arg.dtype else gradient.astype(arg.dtype)


@contextmanager
def _checking_gradients(seeds: dict[Node, Any]) -> Iterator[None]:
    """The walk checks what the rules return, and so their operations need not be checked."""
    for node, seed in seeds.items():
        check_seed(node, seed)
    context = per_thread.context
    before, context.check_finite = context.check_finite, False
    try:
        with np.errstate(all="ignore"):  # the error says more than NumPy's warning
            yield
    finally:
        context.check_finite = before


def _leading_to(order: Sequence[Node], targets: Iterable[Node]) -> set[Node]:
    """The vertices of ``order`` from which a target can be reached, the targets included."""
    needed = set(targets)
    for node in reversed(order):
        if node not in needed and any(parent in needed for parent in node.parents):
            needed.add(node)
    return needed


def gradients(
    outputs: Tensor | Sequence[Tensor],
    inputs: Sequence[Tensor],
    grad_outputs: TensorLike | Sequence[TensorLike] | None = None,
    *,
    create_graph: bool = False,
    retain_graph: bool | None = None,
) -> list[Tensor | None]:
    """The gradient of ``outputs`` with respect to each input; ``.grad`` stays untouched.

    Args:
        outputs: one Tensor or several, whose weighted sum is differentiated.
        inputs: leaves or intermediate results.
        grad_outputs: the weight of each output, of its shape; ones for scalars.
        create_graph: record the gradients, so that they can be differentiated again.
        retain_graph: keep saved values for another walk; by default as ``create_graph``.

    Returns:
        A Tensor for each input, None where the outputs do not depend on it.

    Raises:
        GraphError: an input or output requires no gradient, or saved values were freed.
        ShapeError: a weight has another shape than its output.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor(3.0, requires_grad=True)
    >>> [dx] = tc.gradients(x**3, [x], create_graph=True)
    >>> tc.gradients(dx, [x])
    [tensor(18.)]
    """
    if isinstance(outputs, Tensor):
        outputs = [outputs]
        grad_outputs = [grad_outputs]
    weights: Any = [None] * len(outputs) if grad_outputs is None else grad_outputs
    if len(weights) != len(outputs):
        raise ShapeError(f"{len(outputs)} outputs, but {len(weights)} grad_outputs")
    seeds: dict[Node, Any] = {}
    for output, weight in zip(outputs, weights, strict=True):
        seed = _seed(output, weight, create_graph)
        seeds[output.node] = seeds[output.node] + seed if output.node in seeds else seed  # type: ignore[index]
    for tensor in inputs:
        if tensor.node is None:
            raise GraphError("gradients: an input does not require a gradient")
    with enable_grad():
        found = backpropagate(
            seeds,
            {tensor.node for tensor in inputs if tensor.node is not None},
            create_graph=create_graph,
            retain_graph=create_graph if retain_graph is None else retain_graph,
        )
    results = (found.get(tensor.node) for tensor in inputs)  # type: ignore[arg-type]
    return [None if g is None else _owned(g) for g in results]


def backward(
    self: Tensor,
    gradient: TensorLike | None = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of this result to ``.grad`` of every variable it depends on.

    Args:
        gradient: the gradient to start from, of this Tensor's shape; 1 for a single element.
        retain_graph: keep saved values for another backward; by default as ``create_graph``.
        create_graph: record the gradients, so that they can be differentiated again.

    Raises:
        GraphError: nothing was recorded, or an earlier backward freed the saved values.
        ShapeError: ``gradient`` has another shape, or is missing for several elements.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor(3.0, requires_grad=True)
    >>> (x * x).backward()
    >>> x.grad
    tensor(6.)
    """
    if is_noting():
        raise GraphError(
            "backward inside of tc.checkpoint would add its gradients twice: use tc.gradients"
        )
    seed = _seed(self, gradient, create_graph)
    with enable_grad():
        found = backpropagate(
            {self.node: seed},  # type: ignore[dict-item]
            create_graph=create_graph,
            retain_graph=create_graph if retain_graph is None else retain_graph,
        )
        if per_thread.context.check_finite:  # all of them before the first is added
            check_accumulated(found)
        tracer = per_thread.context.tracer
        accumulate = _accumulate if tracer is None else tracer.accumulate
        while found:  # each is copied and let go of before the next
            accumulate(*found.popitem())


def _seed(output: Tensor, weight: TensorLike | None, create_graph: bool) -> Any:
    """The gradient to start from: ``weight`` in the output's shape and dtype."""
    if output.node is None:
        raise GraphError(
            "backward on a Tensor that does not require a gradient: no variable with"
            " requires_grad=True took part, or it was computed under no_grad, detached, or went"
            " through a function of NumPy"
        )
    if weight is None:
        if output.size != 1:
            raise ShapeError(
                f"backward on a Tensor of shape {output.shape} needs the gradient of that shape;"
                " sum or average the result to start from one number"
            )
        return np.ones_like(output.data)[()]
    seed: Any = as_tensor(weight)
    if seed.shape != output.shape:
        raise ShapeError(f"gradient has shape {seed.shape}, the result {output.shape}")
    if seed.dtype.kind not in "fiu":
        raise DtypeError(f"gradient has dtype {seed.dtype}, the result {output.dtype}")
    if seed.dtype != output.dtype:
        seed = seed.astype(output.dtype)
    return seed if create_graph else seed.data


def _accumulate(node: Node, g: Any) -> None:
    """Add to the gradient that a vertex keeps; its array belongs to that vertex alone."""
    if isinstance(g, Tensor):
        node.grad = g.clone() if node.grad is None else node.grad + g
    elif node.grad is None:
        node.grad = _owned(g)
    else:
        node.grad = wrap(node.grad.data + g, None)


def _owned(g: Any) -> Tensor:
    """A gradient as a Tensor; one that is not recorded gets an array of its own.

    A rule may hand out the upstream gradient itself or a view: only a copy is safe to write
    to, as clipping and users do.
    """
    if isinstance(g, Tensor):
        return g
    # np.array keeps the order of the axes in memory; a symbol is never written to.
    return wrap(g if isinstance(g, Symbol) else np.array(g)[()], None)
