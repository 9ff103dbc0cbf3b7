"""What ``detect_anomaly`` says of the first value that is not finite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import NonFiniteError
from .node import Leaf, Node, SourceLine
from .symbol import Symbol
from .tensor import Tensor

if TYPE_CHECKING:
    from .context import Scope


def is_finite(values: Any) -> bool:
    """Whether there is no NaN or infinity in an array, number or Tensor."""
    array = _array(values)
    return array is None or array.dtype.kind not in "fc" or bool(np.isfinite(array).all())


def forward_error(
    name: str, ans: Any, arrays: Iterable[Any], scope: Scope | None, source: SourceLine | None
) -> NonFiniteError:
    """Of an operation whose result is not finite."""
    return NonFiniteError(
        f"{name} made {_count(ans)} of {np.size(ans)} values{_where(scope)}\n"
        f"  at {source}\n  {_inputs(arrays)}"
    )


def check_contribution(node: Node, index: int, gradient: Any, upstream: Any) -> None:
    """Raise if what an operation passes on to one of its arguments is not finite."""
    if is_finite(gradient):
        return
    name = node.primitive.name  # type: ignore[union-attr]  # of an operation
    raise NonFiniteError(
        f"the gradient of {name} for argument {index}{_where(node.scope)} is not finite:"
        f" {_count(gradient)} of {np.size(_array(gradient))} values\n"
        f"  its gradient from above: {_statistics(upstream)}; {_inputs(node.args or ())}\n"
        f"  recorded at {node.source}"
    )


def check_sum(node: Node, total: Any, before: Any, added: Any) -> None:
    """Raise if two finite gradients of one vertex add up to what is not."""
    if is_finite(total):
        return
    if isinstance(node, Leaf):
        what, line = node.name or "a variable", ""
    else:
        what = f"the result of {node.primitive.name}{_where(node.scope)}"  # type: ignore[union-attr]
        line = f"\n  recorded at {node.source}"
    raise NonFiniteError(
        f"the sum of the gradients of {what} is not finite: {_count(total)} of"
        f" {np.size(_array(total))} values\n"
        f"  found so far: {_statistics(before)}; added: {_statistics(added)}{line}"
    )


def check_accumulated(found: dict[Node, Any]) -> None:
    """Raise if a finite gradient added to what its vertex keeps is not finite."""
    with np.errstate(all="ignore"):
        for node, gradient in found.items():
            if node.grad is not None:
                check_sum(node, node.grad.data + _array(gradient), node.grad, gradient)


def check_seed(node: Node, seed: Any) -> None:
    """Raise if the gradient that backward starts from is not finite."""
    if not is_finite(seed):
        raise NonFiniteError(
            f"the gradient that backward was given for {node!r} is not finite: {_statistics(seed)}"
        )


def _array(values: Any) -> Any:
    """The array behind a value; None for a symbol, whose values are not known yet."""
    data = values.data if isinstance(values, Tensor) else values
    return None if isinstance(data, Symbol) else np.asarray(data)


def _where(scope: Scope | None) -> str:
    return f" in {scope.path}" if scope else ""


def _inputs(arrays: Iterable[Any]) -> str:
    return "; ".join(f"argument {i}: {_statistics(array)}" for i, array in enumerate(arrays))


def _count(values: Any) -> str:
    array = _array(values)
    nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    counts = ((nan, "NaN"), (infinite, "infinite"))
    return " and ".join(f"{number} {kind}" for number, kind in counts if number)


def _statistics(values: Any) -> str:
    """Shape, dtype and range of an array, and how much of it is not finite."""
    array = _array(values)
    text = f"{array.dtype}{list(array.shape)}"
    if array.dtype.kind not in "iufc":
        return text
    if not is_finite(array):
        text += f" with {_count(array)}"
        array = array[np.isfinite(array)]
    if array.size and array.dtype.kind != "c":
        mean = array.mean(dtype=np.float64)
        text += f" from {array.min():.4g} to {array.max():.4g}, mean {mean:.4g}"
    return text
