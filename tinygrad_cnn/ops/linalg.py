"""Products of matrices, and Einstein summation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .._core.primitive import apply, every, primitive
from .._core.tensor import Tensor, raw
from ..errors import DtypeError, ShapeError
from ..typing import TensorLike
from .arithmetic import multiply
from .index import getitem
from .reduce import sum
from .shape import moveaxis, reshape, sum_to, swapaxes

__all__ = ["dot", "einsum", "matmul"]


def _right_rule(g: Any, ans: Any, x: Any, y: Any) -> Any:
    """In the memory order of ``y``: weights that were transposed get a gradient like themselves."""
    array = raw(y)
    if isinstance(array, np.ndarray) and array.flags.fnc:  # columns are contiguous, rows are not
        return swapaxes(matmul(swapaxes(g, -1, -2), x), -1, -2)
    return matmul(swapaxes(x, -1, -2), g)


matmul_p = primitive(
    "matmul",
    np.matmul,
    (
        lambda g, ans, x, y: matmul(g, swapaxes(y, -1, -2)),
        _right_rule,
    ),
    unbroadcast=sum_to,
)


def matmul(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The matrix product ``x @ y``: (…, n, k) times (…, k, m) is (…, n, m).

    Leading axes broadcast; a vector is a row on the left and a column on the right.

    Raises:
        ShapeError: the inner lengths differ, or an operand is a scalar.

    >>> import tinygrad_cnn as tc
    >>> tc.matmul(tc.tensor([[1.0, 2.0]]), tc.tensor([3.0, 4.0]))
    tensor([11.])
    """
    a, b = np.shape(raw(x)), np.shape(raw(y))
    if not a or not b:
        raise ShapeError(f"matmul: {a} @ {b}: a scalar is multiplied with *")
    if a[-1] != b[-2 if len(b) > 1 else 0]:
        raise ShapeError(f"matmul: {a} @ {b}: the inner lengths differ")
    if len(a) > 1 and len(b) > 1:
        try:
            return apply(matmul_p, x, y)
        except ValueError:
            raise ShapeError(f"matmul: {a} @ {b}: the leading axes do not broadcast") from None
    row = reshape(x, (1, *a)) if len(a) == 1 else x
    column = reshape(y, (*b, 1)) if len(b) == 1 else y
    product = matmul(row, column)
    shape = product.shape[: -2 if len(a) == 1 else -1]
    return reshape(product, shape if len(b) == 1 else (*shape, b[-1]))


def dot(x: TensorLike, y: TensorLike, /) -> Tensor:
    """The sum of products over the last axis of ``x`` and the last but one of ``y``, as NumPy.

    The inner product of two vectors, the matrix product of two matrices; a scalar multiplies.

    Raises:
        ShapeError: the lengths differ, or ``y`` has more than two axes.

    >>> import tinygrad_cnn as tc
    >>> tc.dot(tc.tensor([1.0, 2.0]), tc.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if not np.ndim(raw(x)) or not np.ndim(raw(y)):
        return multiply(x, y)
    if np.ndim(raw(y)) > 2:
        raise ShapeError(f"dot: {np.shape(raw(y))} on the right: use matmul or einsum")
    return matmul(x, y)


def _einsum_rule(index: int, g: Any, ans: Any, *xs: Any, inputs: Any, output: str) -> Any:
    """Exchange the operand with the result: both are sums over everything else."""
    others = [x for i, x in enumerate(xs) if i != index]
    subscripts = [s for i, s in enumerate(inputs) if i != index]
    return einsum(f"{','.join([output, *subscripts])}->{inputs[index]}", g, *others)


einsum_p = primitive(
    "einsum",
    lambda *xs, inputs, output: np.einsum(f"{','.join(inputs)}->{output}", *xs, optimize=True),
    every(_einsum_rule),
    unbroadcast=sum_to,
)


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Sums of products in Einstein's notation, as ``numpy.einsum`` takes them.

    Implicit output, ``...`` and a repeated index (a diagonal) are understood.

    Raises:
        DtypeError: the subscripts are no string.
        ShapeError: the subscripts do not fit the operands.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> tc.einsum("ij,ij->i", x, x)
    tensor([ 5., 25.])
    >>> tc.einsum("ii", x)
    tensor(5.)
    """
    if not isinstance(subscripts, str):
        raise DtypeError(
            f"einsum: expected subscripts such as 'ij,jk->ik', got {type(subscripts).__name__}"
        )
    inputs, output = _explicit(subscripts, [np.ndim(raw(x)) for x in operands])
    xs: list[Any] = list(operands)
    for i, x in enumerate(xs):
        inputs[i], xs[i] = _diagonals(inputs[i], x)
    longest: dict[str, int] = {}
    for letter, n in (pair for s, x in zip(inputs, xs, strict=True) for pair in _lengths(s, x)):
        longest[letter] = max(n, longest.get(letter, 1))
    # The rule exchanges an operand with the result, so every index has one length, and occurs
    # in two places: an axis of length 1 that is stretched, and one that is summed, go first.
    for i, x in enumerate(xs):
        stretched = {letter for letter, n in _lengths(inputs[i], x) if n == 1 < longest[letter]}
        inputs[i], xs[i] = _summed(inputs[i], x, stretched)
    for i, x in enumerate(xs):
        elsewhere = set(output).union(*(s for j, s in enumerate(inputs) if j != i))
        inputs[i], xs[i] = _summed(inputs[i], x, set(inputs[i]) - elsewhere)
    try:
        return apply(einsum_p, *xs, inputs=tuple(inputs), output=output)
    except ValueError as error:
        shapes = [np.shape(raw(x)) for x in operands]
        raise ShapeError(f"einsum {subscripts!r} on shapes {shapes}: {error}") from None


def _lengths(letters: str, x: Any) -> Iterable[tuple[str, int]]:
    return zip(letters, np.shape(raw(x)), strict=True)


def _summed(letters: str, x: Any, indices: set[str]) -> tuple[str, Any]:
    """Sum over these indices."""
    axes = tuple(k for k, letter in enumerate(letters) if letter in indices)
    kept = "".join(letter for letter in letters if letter not in indices)
    return kept, sum(x, axes) if axes else x


def _diagonals(letters: str, x: Any) -> tuple[str, Any]:
    """Take the diagonal of each pair of axes that share a letter."""
    for letter in dict.fromkeys(letters):
        while letters.count(letter) > 1:
            first, second = letters.index(letter), letters.rindex(letter)
            x = moveaxis(moveaxis(x, second, 0), first + 1, 0)  # the pair in front
            if x.shape[0] != x.shape[1]:
                raise ShapeError(
                    f"einsum: index {letter!r} has lengths {x.shape[0]} and {x.shape[1]}"
                )
            i = np.arange(x.shape[0])
            x = getitem(x, (i, i))
            rest = letters[:first] + letters[first + 1 : second] + letters[second + 1 :]
            letters = letter + rest
    return letters, x


def _explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The subscripts of inputs and output, with ``...`` and a missing output written out."""
    left, arrow, output = subscripts.replace(" ", "").partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ndims):
        raise ShapeError(f"einsum {subscripts!r} names {len(inputs)} operands, got {len(ndims)}")
    free = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in subscripts]
    longest = ""
    for i, (letters, ndim) in enumerate(zip(inputs, ndims, strict=True)):
        if "..." in letters:
            count = ndim - len(letters) + 3
            dots = "".join(free[len(free) - count :]) if count > 0 else ""
            longest = dots if len(dots) > len(longest) else longest
            inputs[i] = letters.replace("...", dots)
        if len(inputs[i]) != ndim or not (inputs[i] + "a").isalpha():
            raise ShapeError(f"einsum {subscripts!r}: operand {i} has {ndim} axes")
    if not arrow:
        joined = "".join(inputs)
        single = sorted(c for c in set(joined) - set(longest) if joined.count(c) == 1)
        output = longest + "".join(single)
    output = output.replace("...", longest)
    if not set(output) <= set("".join(inputs)) or len(set(output)) != len(output):
        raise ShapeError(f"einsum {subscripts!r}: the output names an unknown or repeated index")
    return inputs, output
