"""Compare recorded gradients with central differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.backprop import gradients
from .._core.context import no_grad
from .._core.tensor import Tensor
from ..errors import DtypeError, ShapeError
from ..typing import Array

__all__ = ["InputReport", "Report", "gradcheck", "relative_error"]


@dataclass(frozen=True)
class InputReport:
    """How the gradient of one input compares.

    Attributes:
        name: of the variable, or its position.
        shape: of the variable.
        checked: how many of its elements were compared.
        error: the largest difference, relative to the largest derivative compared.
        where: the index of that element.
        recorded, numeric: its two derivatives.
    """

    name: str
    shape: tuple[int, ...]
    checked: int
    error: float
    where: tuple[int, ...]
    recorded: float
    numeric: float


@dataclass(frozen=True)
class Report:
    """One row for each input; ``print`` shows it as a table."""

    rows: tuple[InputReport, ...]
    tolerance: float

    @property
    def error(self) -> float:
        """The worst relative error."""
        return max(row.error for row in self.rows)

    @property
    def ok(self) -> bool:
        """Whether every gradient agrees within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'variable':<{max(width, 8)}}  checked  relative error"]
        for row in self.rows:
            verdict = "" if row.error <= self.tolerance else f"  wrong at {row.where}"
            lines.append(f"{row.name:<{max(width, 8)}}  {row.checked:>7}  {row.error:.1e}{verdict}")
        return "\n".join(lines)


def gradcheck(
    f: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    sample: int | None = None,
    step: float = 1e-5,
    tolerance: float = 1e-6,
    seed: int = 0,
) -> Report:
    """Compare the gradients of ``f(*inputs)`` with central differences.

    Args:
        f: returns one number; it is called again for every element compared, and must give
            the same number for the same inputs.
        inputs: float64 variables, which are moved and put back.
        sample: how many elements of each input to compare, drawn from ``seed``; default all.
        step: how far each element is moved to both sides.
        tolerance: the largest relative error that passes.

    Raises:
        DtypeError: an input is not float64, in which differences lose all their digits.
        ShapeError: ``f`` returned something other than one number.

    >>> import tinygrad_cnn as tc
    >>> x = tc.tensor([1.0, 2.0], requires_grad=True, name="x")
    >>> tc.check.gradcheck(lambda x: (x**3).sum(), [x]).ok
    True
    """
    for x in inputs:
        if x.dtype != np.float64:
            raise DtypeError(
                f"gradcheck needs float64, {x.name or 'an input'} is {x.dtype}: at a step of"
                f" {step:g} a float32 difference keeps two digits; use model.double()"
            )
    result = f(*inputs)
    if result.size != 1:
        raise ShapeError(f"gradcheck needs a function that returns one number, got {result.shape}")
    recorded = gradients(result, list(inputs))
    generator = np.random.default_rng(seed)
    rows = []
    for number, (x, g) in enumerate(zip(inputs, recorded, strict=True)):
        chosen = np.arange(x.size)
        if sample is not None and sample < x.size:
            chosen = np.sort(generator.choice(x.size, sample, replace=False))
        where = [tuple(map(int, np.unravel_index(i, x.shape))) for i in chosen]
        numeric = np.array([_difference(f, inputs, x, index, step) for index in where])
        exact = np.zeros(len(where)) if g is None else np.array([g.data[i] for i in where])
        name = x.name or f"input {number}"
        rows.append(_row(name, x.shape, where, exact, numeric))
    return Report(tuple(rows), tolerance)


def _difference(
    f: Callable[..., Tensor], inputs: Sequence[Tensor], x: Tensor, index: Any, step: float
) -> float:
    """The central difference of ``f`` as one element of ``x`` moves; ``x`` is restored."""
    before = x.data[index]
    values = []
    try:
        with no_grad():
            for moved in (before + step, before - step):
                x[index] = moved
                values.append(f(*inputs).item())
    finally:
        with no_grad():
            x[index] = before
    return float(values[0] - values[1]) / (2 * step)


def _row(
    name: str, shape: tuple[int, ...], where: list[Any], exact: Array, numeric: Array
) -> InputReport:
    worst = int(np.argmax(np.abs(exact - numeric)))
    return InputReport(
        name, shape, len(where), relative_error(exact, numeric), where[worst],
        float(exact[worst]), float(numeric[worst]),
    )  # fmt: skip


def relative_error(some: Array, other: Array) -> float:
    """The largest difference of two arrays, relative to the largest number in them."""
    scale = max(float(np.abs(some).max(initial=0.0)), float(np.abs(other).max(initial=0.0)))
    return float(np.abs(some - other).max(initial=0.0)) / scale if scale else 0.0
