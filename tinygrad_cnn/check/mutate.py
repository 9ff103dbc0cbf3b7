"""What a gradient check could not have caught: break every rule and see who notices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.tensor import as_tensor, raw
from ..errors import ArgumentError, GraphError
from ..typing import Array
from ._compare import error
from ._doctor.subject import named_inputs
from ._edits.catalogue import Edit, edited_gradients, edits
from ._render import Block, Line, Rendered, Table
from ._trace import Trace
from .gradcheck import gradcheck

__all__ = ["Mutant", "MutationReport", "mutate"]

_VERIFIED = 4  # elements of each input


@dataclass(frozen=True)
class Mutant:
    """A backward pass with one mistake in it.

    Attributes:
        cause: the code of the mistake, such as ``"missing_mask"``.
        what: where and what, in a clause.
        remedy: inputs that reveal it.
        error: the largest relative error that it makes on the inputs at hand.
        killed: whether that is above the tolerance, so that the check fails as it should.
    """

    cause: str
    what: str
    remedy: str
    error: float
    killed: bool


@dataclass(frozen=True)
class MutationReport(Rendered):
    """Which mistakes a check on these inputs finds; ``print`` it, or show it in a notebook."""

    mutants: tuple[Mutant, ...]
    tolerance: float

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """The mistakes that would go unnoticed."""
        return tuple(mutant for mutant in self.mutants if not mutant.killed)

    @property
    def score(self) -> float:
        """The share of mistakes that are found, 0 to 1."""
        total = len(self.mutants)
        return 1.0 - len(self.survivors) / total if total else 1.0

    @property
    def ok(self) -> bool:
        """Whether every mistake is found."""
        return not self.survivors

    @property
    def remedies(self) -> dict[str, int]:
        """Inputs to check on instead, with the number of mistakes that they are for."""
        return dict(Counter(mutant.remedy for mutant in self.survivors).most_common())

    def blocks(self) -> Iterator[Block]:
        """The score, the survivors, and the inputs to try."""
        total, found = len(self.mutants), len(self.mutants) - len(self.survivors)
        verdict = f"mutate: a check on these inputs finds {found} of {total} broken rules"
        yield Line(f"{verdict} ({self.score:.0%})", "good" if self.ok else "warn")
        if not self.ok:
            yield Table(
                ("survives", "broken rule"), [(one.cause, one.what) for one in self.survivors]
            )
            yield Line("Inputs that would reveal them:")
            for remedy, count in self.remedies.items():
                yield Line(f"  {remedy}: {count}")


def mutate(
    f: Callable[..., Any],
    inputs: Mapping[str, Any] | Sequence[Any],
    *,
    upstream: Any = None,
    tolerance: float = 1e-6,
    sample: int | None = None,
) -> MutationReport:
    """Break each gradient rule that ``f(*inputs)`` uses, in each way that people do.

    A check of gradients is as good as its inputs: with one square image, windows side by side
    and an upstream gradient of ones, many a wrong rule gives the right numbers. Each mistake
    that the check would not see is listed with inputs that reveal it. Mistakes that none
    reveal are left out, such as a stride of 1 that is ignored.

    Broken gradients are compared with the recorded one, after ``gradcheck`` has confirmed a few
    of its elements.

    Args:
        f: returns a Tensor of any shape; the same one for the same inputs.
        inputs: arrays or Tensors, by name or in order; integers are passed on. They are copied
            to float64.
        upstream: the gradient of a loss by the result, by default ones, as in ``f(x).sum()``.
        tolerance: the relative error above which a check fails.
        sample: how many elements of each input the check compares; by default all.

    Raises:
        ArgumentError: ``sample`` is not positive.
        GraphError: no input is floating point, or ``gradcheck`` fails as it is.
        ShapeError: ``upstream`` has another shape than the result.

    >>> import numpy as np, tinygrad_cnn as tc
    >>> normal = np.random.default_rng(0).standard_normal
    >>> def conv(x, w):
    ...     return tc.functional.conv2d(x, w, stride=2)
    >>> report = tc.check.mutate(conv, [normal((1, 2, 4, 4)), normal((3, 2, 2, 2))])
    >>> f"{report.score:.0%}", next(iter(report.remedies))
    ('58%', 'overlapping windows (a stride below the window)')
    >>> def conv(x, w):
    ...     return tc.functional.conv2d(x, w, stride=(2, 1))
    >>> x, w = normal((2, 2, 9, 5)), normal((3, 2, 3, 3))
    >>> tc.check.mutate(conv, [x, w], upstream=normal((2, 3, 4, 3))).score
    1.0
    """
    if sample is not None and sample < 1:
        raise ArgumentError(f"mutate: sample={sample!r}, expected a positive number of elements")
    arrays = {name: raw(as_tensor(value)) for name, value in named_inputs(f, inputs).items()}
    trace = Trace(f, list(arrays.values()), upstream, list(arrays))
    right = _compared(trace.gradients(), sample)
    _verify(f, list(arrays.values()))
    mutants = []
    for edit in _distinct(edits(trace)):
        wrong = _compared(edited_gradients(trace, [edit]), sample)
        worst = max(error(one, other) for one, other in zip(wrong, right, strict=True))
        killed = not worst <= tolerance
        mutants.append(Mutant(edit.cause, edit.what, edit.remedy, worst, killed))
    return MutationReport(tuple(mutants), tolerance)


def _compared(gradients: Iterable[Array | None], sample: int | None) -> list[Array]:
    """The elements of each gradient that a check compares."""
    generator = np.random.default_rng(0)
    flat = [g.reshape(-1) for g in gradients if g is not None]
    if sample is None:
        return flat
    return [g[generator.choice(g.size, min(sample, g.size), replace=False)] for g in flat]


def _verify(f: Callable[..., Any], arrays: Sequence[Any]) -> None:
    """See to it that the gradient which mutants are compared with is right."""
    report = gradcheck(f, arrays, sample=_VERIFIED)
    if not report.ok:
        raise GraphError(
            f"mutate: gradcheck fails on f before any rule is broken\n{report.to_text()}"
        )


def _distinct(found: Iterable[Edit]) -> Iterator[Edit]:
    """Each mistake once, though a path left out goes by several names.

    Of ties nothing is said: there is a kink, and the derivative anything between both sides.
    """
    seen = set()
    for edit in found:
        places = frozenset(edit.places)
        if places not in seen and edit.cause != "tie_convention":
            seen.add(places)
            yield edit
