"""Laws that hold for all elements at once: repeatability, jvp against vjp, adjoints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..._core.backprop import gradients
from ..._core.tensor import Tensor
from ...typing import Array
from .point import Point, Recording, describe


@dataclass(frozen=True)
class Law:
    """The outcome of one comparison of whole arrays.

    Attributes:
        name: which law.
        error: the relative difference of the two sides; NaN where they were not computed.
        ok: whether it holds.
        note: what it means.
    """

    name: str
    error: float
    ok: bool
    note: str

    def __str__(self) -> str:
        figure = "" if np.isnan(self.error) else f" {self.error:.1e}"
        return f"{self.name}{figure}: {self.note}"


def repeatable(first: Recording, second: Recording, eps: float) -> Law | None:
    """Nothing to say where two calls agree; else which operation differed first."""
    one, other = np.asarray(first.output.data), np.asarray(second.output.data)
    if one.shape == other.shape:
        error = float(np.abs(one - other).max(initial=0.0))
        scale = float(np.abs(one).max(initial=0.0))
        if np.array_equal(one, other, equal_nan=True) or error <= 100 * eps * scale:
            return None
    else:
        error = scale = float("nan")
    differing = (
        describe(b)
        for a, b in zip(first.nodes, second.nodes, strict=False)
        if b.primitive and not np.array_equal(a.ans, b.ans)
    )
    return Law(
        "repeatable", _relative(error, scale), False,
        f"f is not deterministic, two calls differ from {next(differing, 'the start')} on;"
        " give dropout a seeded generator anew in each call, or use model.eval()",
    )  # fmt: skip


def directions(variables: Sequence[Array], seed: int) -> list[Array]:
    """A random direction for each variable."""
    generator = np.random.default_rng([seed, 2])
    return [np.asarray(generator.standard_normal(x.shape)) for x in variables]


def jvp_against_vjp(point: Point, weights: Array, tangents: Sequence[Array], eps: float) -> Law:
    """<w, J t> against <J'w, t>: the gradient is linear in w, with J' as its matrix.

    Differentiating it by w transposes once more (Townsend 2017). The two sides differ where a
    rule computes with w what is not recorded.
    """
    name = "jvp against vjp"
    output, _ = point.record()
    variable = Tensor(weights, requires_grad=True)
    try:
        pulled = gradients(output, point.variables, variable, create_graph=True)
        found = [(g, t) for g, t in zip(pulled, tangents, strict=True) if g is not None]
        linked = [(g, t) for g, t in found if g.node]
        outputs, along = [g for g, _ in linked], [t for _, t in linked]
        pushed = gradients(outputs, [variable], along)[0] if linked else None
    except Exception as refusal:  # rules are the user's own code too
        return Law(name, float("nan"), False, f"a rule cannot be recorded: {refusal}")
    left = 0.0 if pushed is None else float(np.vdot(weights, pushed.data))
    right = sum(float(np.vdot(g.data, t)) for g, t in found)
    total = sum(float(np.abs(g.data * t).sum()) for g, t in found)
    error = _relative(left - right, max(total, float(np.abs(weights * output.data).sum())))
    if not error > 1e4 * eps:  # NaN where the gradient is infinite: its row says so
        return Law(name, error, True, "<w, J t> = <J'w, t>")
    return Law(
        name, error, False,
        f"<w, J t> = {left:.6g} and <J'w, t> = {right:.6g}: a rule computes outside of the graph",
    )  # fmt: skip


def proportional(
    recorded: Sequence[Array],
    of_triple: Sequence[Array],
    names: Sequence[str],
    size: float,
    eps: float,
) -> Law | None:
    """Nothing to say where three times the upstream gradient makes three times the gradient."""
    size = max([size, *(float(np.abs(g).max(initial=0.0)) for g in recorded)])
    for name, one, three in zip(names, recorded, of_triple, strict=True):
        error = _relative(float(np.abs(three - 3 * one).max(initial=0.0)), 3 * size)
        if error > 1e4 * eps:
            return Law(
                "upstream", error, False,
                f"three times the upstream gradient does not make three times that of {name}: a"
                " rule leaves it out, or is not linear in it",
            )  # fmt: skip
    return None


def _relative(difference: float, scale: float) -> float:
    if not difference:
        return 0.0
    return abs(difference) / scale if scale else float("inf")


def adjoint(
    point: Point, weights: Array, recorded: Sequence[Array], seed: int, eps: float, *,
    linear: bool | None,
) -> Law | None:  # fmt: skip
    """<w, A t> against <A'w, t> for a function that is linear: exact, over all elements.

    Whether it is linear is tried on a parallelogram, unless ``linear`` says so: None where it
    is not.
    """
    if linear is False:
        return None
    t, s = ([0.01 * u for u in directions(point.copies, salt)] for salt in (seed + 1, seed + 2))
    start, one = point.value(), point.along(t)
    # a tie is linear on one side: both sides, and a second direction, must continue the first
    back, other = point.along([-u for u in t]), point.along(s)
    both = point.along([a + b for a, b in zip(t, s, strict=True)])
    size = np.abs([start, one, back, other, both]).max(initial=0.0)
    bend = np.abs([one + back - 2 * start, both - one - other + start]).max(initial=0.0)
    if not bend <= 1e3 * eps * size:
        if linear is None:
            return None
        return Law("adjoint", float(bend / size), False, "linear=True, but f is not linear")
    left = float(np.vdot(weights, one - start))
    right = sum(float(np.vdot(g, u)) for g, u in zip(recorded, t, strict=True))
    total = float((np.abs(weights) * (np.abs(one) + np.abs(start))).sum())
    error = _relative(left - right, total)
    ok = error <= 1e4 * eps
    verdict = "f is linear here, and" if ok else "f is linear here, but"
    return Law("adjoint", error, ok, f"{verdict} <w, A t> = {left:.6g}, <A'w, t> = {right:.6g}")
