"""What ``tc.train.sanity_check`` finds: one verdict for each check, and the report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .. import nn
from .._arguments import whole
from .._core.tensor import Tensor
from ..errors import ArgumentError, OutOfBoundsError
from ..optim import Optimizer
from ..train import Batches, Loss, LRRange, lr_range_test
from ..train._checks import check_loss, matching_optimizer
from ..train._scratch import scratch
from ..train.evaluation import check_data
from ._render import Block, Line, Rendered, Table, Tone

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LayerOutput", "SanityReport", "Verdict"]

Status = Literal["ok", "warning", "failed", "skipped"]
_TONES: dict[Status, Tone] = {"ok": "plain", "warning": "warn", "failed": "bad", "skipped": "dim"}


@dataclass(frozen=True)
class Verdict:
    """The outcome of one check.

    Attributes:
        name: of the check.
        status: "ok", "warning", "failed" or "skipped".
        found, expected: in a few words.
        advice: what this usually means and what to try; empty where all is well.
    """

    name: str
    status: Status
    found: str
    expected: str
    advice: str = ""


@dataclass(frozen=True)
class LayerOutput:
    """What one layer makes of the first batch.

    Attributes:
        name: of the layer.
        mean, std: of all its outputs.
    """

    name: str
    mean: float
    std: float


@dataclass(frozen=True)
class SanityReport(Rendered):
    """What ``tc.train.sanity_check`` found; ``print`` it, or show it in a notebook.

    Attributes:
        verdicts: one for each check; ``report["tiny set"]`` finds one by its name.
        layers: the outputs of the layers with weights, from the input to the scores.
        lr_range: the range test of the learning rate; None where it was skipped.
    """

    verdicts: tuple[Verdict, ...]
    layers: tuple[LayerOutput, ...] = ()
    lr_range: LRRange | None = None

    @property
    def ok(self) -> bool:
        """Whether no check failed; there may be warnings."""
        return all(verdict.status != "failed" for verdict in self.verdicts)

    def __getitem__(self, name: str) -> Verdict:
        for verdict in self.verdicts:
            if verdict.name == name:
                return verdict
        names = ", ".join(verdict.name for verdict in self.verdicts)
        raise OutOfBoundsError(f"SanityReport: no check is named {name!r}; there are {names}")

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the range test of the learning rate, also into a PNG file; see ``LRRange.plot``.

        Raises:
            ArgumentError: there was none, since the loss is not finite.
        """
        if self.lr_range is None:
            raise ArgumentError("SanityReport.plot: the learning-rate range test was skipped")
        return self.lr_range.plot(path)

    def blocks(self) -> Iterator[Block]:
        """The verdict, the table of checks, advice, the layers, the learning rates."""
        counts = {
            status: sum(verdict.status == status for verdict in self.verdicts)
            for status in ("failed", "warning", "skipped")
        }
        said = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        headline = f"sanity check: {said or 'all is well'}"
        yield Line(headline, "good" if self.ok else "bad")
        rows = [(v.name, v.status, v.found, v.expected) for v in self.verdicts]
        tones = [_TONES[verdict.status] for verdict in self.verdicts]
        yield Table(("check", "verdict", "found", "expected"), rows, tones)
        for verdict in self.verdicts:
            if verdict.advice:
                yield Line(f"{verdict.name}: {verdict.advice}", _TONES[verdict.status])
        if self.layers:
            layers = [(x.name, f"{x.mean:.2g}", f"{x.std:.2g}") for x in self.layers]
            yield Table(("layer", "mean output", "standard deviation"), layers)
        if self.lr_range is not None:
            for line in str(self.lr_range).splitlines():
                yield Line(line)


def examine(
    model: nn.Module,
    data: Batches,
    loss: Loss,
    optimizer: Optimizer | None,
    penalty: Callable[[nn.Module], Tensor] | None,
    *,
    examples: int,
    steps: int,
    batches: int,
    seed: int,
) -> SanityReport:
    """All checks; ``tc.train.sanity_check`` says which."""
    from . import _sanity

    owner = "sanity_check"
    chosen = matching_optimizer(model, optimizer, None, owner)
    check_data(owner, data)
    check_loss(owner, loss)
    if penalty is not None and not callable(penalty):
        raise ArgumentError(f"{owner}: penalty={penalty!r:.60}, expected a function of the model")
    for name, value, least in (
        ("examples", examples, 1),
        ("steps", steps, 1),
        ("batches", batches, 2),
        ("seed", seed, 0),
    ):
        whole(owner, name, value, least)
    with scratch(owner, model, chosen, data, seed) as (twin, _):
        twin.train()
        _sanity.leave_out_dropout(twin)
        sample = _sanity.sample(data, examples)
        bench = _sanity.Bench(twin, loss, *sample)
        verdicts = [bench.inputs(), bench.initial_loss()]
        later: list[Callable[[], Verdict]] = [
            bench.activations,
            bench.training_step,
            lambda: bench.regularisation(penalty or _sanity.half_squared_norm),
            bench.gradients,
            lambda: bench.tiny_set(examples, steps),
        ]
        if bench.is_finite:
            verdicts += [check() for check in later]
    if not bench.is_finite:
        names = ("activations", "training step", "regularisation", "gradients", "tiny set")
        verdicts += [Verdict(name, "skipped", "", "") for name in (*names, "learning rate")]
        return SanityReport(tuple(verdicts), bench.layers)
    found = lr_range_test(model, data, loss=loss, optimizer=chosen, steps=batches, seed=seed)
    verdicts.append(_sanity.learning_rate(found, optimizer))
    return SanityReport(tuple(verdicts), bench.layers, found)
