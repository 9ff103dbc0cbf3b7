"""What an audit says: findings, and the report that holds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..._core.node import SourceLine
from .._render import Block, Line, Rendered, Table


@dataclass(frozen=True)
class AuditFinding(Rendered):
    """One silent break of a training step.

    Attributes:
        kind: "no_gradient", "detached", "accumulated", "saved_changed", "input_mutated",
            "dead_relu", "vanishing", "exploding", "eval_in_training" or
            "training_in_evaluation".
        message: what happened.
        where: the user's line, where one is known.
        fix: what to change, in a line.
        numbers: the evidence.
    """

    kind: str
    message: str
    where: SourceLine | None
    fix: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def blocks(self) -> Iterator[Block]:
        """Message, line, numbers and fix."""
        yield Line(f"{self.kind}: {self.message}", "bad")
        if self.where:
            yield Line(f"  at {self.where}")
        if self.numbers:
            evidence = (f"{name} {value:.4g}" for name, value in self.numbers.items())
            yield Line("  " + ", ".join(evidence), "dim")
        yield Line(f"  fix: {self.fix}", "good")


@dataclass(frozen=True)
class LayerGradient:
    """The gradient of a weight beside the weight.

    Attributes:
        name: of the weight.
        gradient, values: their norms in the last backward.
        ratio: the one divided by the other: what share of itself a step of rate 1 changes.
        relative: this ratio divided by that of the weight used last, next to the loss.
    """

    name: str
    gradient: float
    values: float
    ratio: float
    relative: float


@dataclass(frozen=True)
class Audit(Rendered):
    """What a training step does without saying so.

    Attributes:
        findings: the silent breaks, none in a healthy step.
        layers: the gradients by layer, from the input to the loss.
        calls: how often the step ran.
    """

    findings: tuple[AuditFinding, ...]
    layers: tuple[LayerGradient, ...]
    calls: int

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def kinds(self) -> set[str]:
        """The kinds of the findings."""
        return {finding.kind for finding in self.findings}

    def blocks(self) -> Iterator[Block]:
        """The verdict, the findings, the gradients by layer."""
        verdict = "no silent break" if self.ok else f"{len(self.findings)} finding(s)"
        yield Line(f"audit of {self.calls} step(s): {verdict}", "good" if self.ok else "bad")
        for finding in self.findings:
            yield from finding.blocks()
        if self.layers:
            header = ("weight", "|gradient|", "|weight|", "ratio", "relative to the last")
            yield Table(header, [_row(layer) for layer in self.layers])


def _row(layer: LayerGradient) -> tuple[str, ...]:
    numbers = (layer.gradient, layer.values, layer.ratio, layer.relative)
    return (layer.name, *(f"{number:.2e}" for number in numbers))
