"""What may be wrong with a gradient. Each hypothesis proves its claims on the numbers.

A hypothesis is a function of a view and an input's name that yields claims: causes for which
the gradient, repaired accordingly, agrees with the right one (or, what is the same, the right
rules broken accordingly give the gradient). The same claim can then be tried elsewhere.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from .._compare import error, ratio, same
from .claims import Claim, Hypothesis, claim
from .constants import averaged, dropout_scales, named, summed
from .values import (
    closed_form,
    diagonal,
    last_only,
    misplaced,
    other_labels,
    other_mask,
    other_operand,
    other_value,
    shifted,
)
from .view import View


def without_upstream(view: View, name: str) -> Iterator[Claim]:
    """The gradient of the plain sum of the outputs."""
    ones = np.ones(view.trace.output.shape)
    plain = view.at_upstream(ones)[name]
    hand, right = view.hand[name], view.right[name]
    if same(hand, plain, view.tolerance[name]) and not same(plain, right):
        yield claim("ignores_upstream", "it is the gradient for an upstream gradient of ones")


def proportional(view: View, name: str) -> Iterator[Claim]:
    """A constant factor, which may be a sign, a count or the scale of dropout."""
    hand, right = view.hand[name], view.right[name]
    constant = ratio(hand, right, view.tolerance[name])
    if constant is None or math.isclose(constant, 1.0, rel_tol=view.tolerance[name]):
        return
    if constant == 0.0:
        yield claim("missing_path", "it is zero everywhere: nothing was passed on")
        return
    size = abs(constant)
    if math.isclose(constant, -1.0, rel_tol=view.tolerance[name]):
        yield claim("sign", "minus the gradient agrees with autograd")
        return
    if size == 0.5 and view.has_two_equal_uses(name):
        yield claim("missing_path", "it is the contribution of one of two equal paths")
        return
    cause, meaning = _cause_of_factor(view, name, size), named(size, view.trace)
    # One number alone is a multiple of any other: only a constant with a meaning proves it.
    if cause == "scale" and meaning is None and right.size < 3:
        return
    digits = 6 if abs(size - 1.0) > 1e-5 else 12  # enough to tell it from 1
    text = f"divided by {size:.{digits}g}" + (f" ({meaning})" if meaning else "")
    signs: tuple[str, ...] = ("sign",) if constant < 0 else ()
    evidence = f"{text}{' and negated' if signs else ''}, it agrees with autograd"
    yield Claim((*signs, cause), evidence, f"{signs}{cause}")


def _cause_of_factor(view: View, name: str, size: float) -> str:
    def is_one_of(counts: set[int], value: float) -> bool:
        return any(n > 1 and math.isclose(value, n, rel_tol=1e-6) for n in counts)

    if any(math.isclose(size * scale, 1.0, rel_tol=1e-6) for scale in dropout_scales(view.trace)):
        return "missing_dropout_scale"
    if is_one_of(averaged(view.trace), size):
        return "missing_mean"
    if is_one_of(summed(view.trace, name) | averaged(view.trace), 1.0 / size):
        return "mean_for_sum"
    return "scale"


def exchanged(view: View, name: str) -> Iterator[Claim]:
    """Two gradients returned in the wrong order."""
    if any(edit.cause == "wrong_mask" for edit in view.explaining_edits(name)):
        return  # the smaller operand wins instead of the larger
    for other in view.wrong:
        here, there = view.hand[name], view.hand[other]
        if other != name and same(here, view.right[other]) and same(there, view.right[name]):
            yield claim("swapped_outputs", f"it is the gradient of {other}, and vice versa")


def rearranged(view: View, name: str) -> Iterator[Claim]:
    """The right numbers in another order or shape."""
    hand, right = view.hand[name], view.right[name]
    if any(edit.cause == "wrong_axis" for edit in view.explaining_edits(name)):
        return
    for axes in itertools.permutations(range(hand.ndim)) if 1 < hand.ndim < 5 else ():
        if axes != tuple(range(hand.ndim)) and same(hand.transpose(axes), right):
            image = hand.ndim == 4 and axes == (*range(hand.ndim - 2), hand.ndim - 1, hand.ndim - 2)
            cause = "rows_columns_swapped" if image else "transposed"
            yield claim(cause, f"transposed to the axes {axes}, it agrees with autograd")
            return
    if hand.size != right.size or hand.shape == right.shape:
        return
    if same(hand.reshape(right.shape), right):
        swapped = hand.ndim == 4 and hand.swapaxes(-1, -2).shape == right.shape
        evidence = (
            f"the numbers are right: reshaped from {hand.shape} to {right.shape}, it agrees with"
            " autograd"
        )
        yield claim("rows_columns_swapped" if swapped else "wrong_shape", evidence)


def unsummed(view: View, name: str) -> Iterator[Claim]:
    """Axes that broadcasting added are still there."""
    hand, right = view.hand[name], view.right[name]
    if hand.size <= right.size or hand.ndim > 5:
        return
    for count in range(1, hand.ndim + 1):
        for axes in itertools.combinations(range(hand.ndim), count):
            total = hand.sum(axis=axes)
            if total.size == right.size and same(total.reshape(right.shape), right):
                evidence = f"summed over axis {axes}, it agrees with autograd"
                yield claim("missing_broadcast_sum", evidence)
                return


def wrong_sum(view: View, name: str) -> Iterator[Claim]:
    """A sum over other axes than those that were broadcast."""
    hand = view.hand[name]
    for full in view.before_sums(name):
        if not 2 <= full.ndim <= 5:
            continue
        for count in range(1, full.ndim + 1):
            for axes in itertools.combinations(range(full.ndim), count):
                total = full.sum(axis=axes)
                if total.size == hand.size > 1 and same(total.reshape(-1), hand.reshape(-1)):
                    evidence = f"it is the gradient of shape {full.shape} summed over axis {axes}"
                    yield claim("wrong_axis", evidence)
                    return


def regularized(view: View, name: str) -> Iterator[Claim]:
    """A penalty too much or too little."""
    hand, right, x = view.hand[name], view.right[name], view.array(name)
    if hand.shape != right.shape or x.size < 3:
        return
    penalty = view.penalty(name)
    extra = ratio(hand - right, x, 1e-6)
    if extra and (penalty is None or ratio(penalty, x) is None):
        yield claim("extra_regularization", f"without {extra:.6g} {name}, it agrees")
    if penalty is None:
        return
    share = ratio(hand - right, penalty, 1e-6)
    if share is not None and math.isclose(share, -1.0, rel_tol=1e-5):
        yield claim("missing_regularization", "with the penalty's gradient added, it agrees")
    elif share is not None and math.isclose(share, -2.0, rel_tol=1e-5):
        yield claim("sign", "with the penalty's gradient negated, it agrees")
    elif share is not None and math.isclose(share, 1.0, rel_tol=1e-5):
        yield claim("repeated_term", "the penalty's gradient is there twice")
    elif share:
        yield claim("scale", f"the penalty's gradient is there {1 + share:.6g} times")


def combined(view: View, name: str) -> Iterator[Claim]:
    """The contributions of the consumers, one left out or counted twice."""
    uses = view.contributions(name)
    parts = [part for _, part in uses]
    if not 2 <= len(parts) <= 4 or view.hand[name].shape != view.right[name].shape:
        return
    if any(edit.cause == "diagonal_only" for edit in view.explaining_edits(name)):
        return
    hand = view.hand[name]
    for first, last in itertools.permutations(parts, 2) if len(parts) == 2 else ():
        written = np.where(last != 0, last, first)
        other = not same(written, view.right[name]) and not same(written, last)
        if other and same(hand, written, view.tolerance[name]):
            yield claim("overwritten", "one contribution is written over the other")
            return
    for counts in itertools.product((0, 1, 2), repeat=len(parts)):
        if len(set(counts)) == 1:
            continue
        total = np.asarray(sum(n * part for n, part in zip(counts, parts, strict=True)))
        if same(view.hand[name], total, view.tolerance[name]):
            # Of three or more terms nobody forgets all but one: they overwrote each other.
            alone = sum(counts) == 1 and len(counts) > 2
            lost = "overwritten" if alone else view.loss_of_terms
            cause = "repeated_term" if 2 in counts else lost
            yield claim(cause, _said_counts([use for use, _ in uses], counts), str(counts))
            return


def _said_counts(uses: list[str], counts: tuple[int, ...]) -> str:
    """Which contributions are missing, and which are there twice."""
    words = {0: "is missing", 2: "is there twice"}
    said = [
        f"what {use} passes on {words[n]}" for use, n in zip(uses, counts, strict=True) if n != 1
    ]
    return f"of {len(uses)} contributions, {' and '.join(said)}"


def broken_rule(view: View, name: str) -> Iterator[Claim]:
    """One rule of the reference, broken, gives this very gradient."""
    if ratio(view.hand[name], view.right[name], view.tolerance[name]) is not None:
        return  # a factor is simpler
    explaining = view.explaining_edits(name)
    shared = any(edit.cause == "overwritten" and "it keeps" in edit.what for edit in explaining)
    for edit in explaining:
        cause = edit.cause
        if shared and cause in ("missing_path", "overwritten"):
            cause = view.loss_of_terms
        yield Claim(
            (cause,), f"autograd, broken like this, gives your numbers: {edit.what}", edit.key
        )


def broken_rule_and_factor(view: View, name: str) -> Iterator[Claim]:
    """One broken rule, and a constant factor besides."""
    hand, right = view.hand[name], view.right[name]
    if ratio(hand, right, view.tolerance[name]) is not None:
        return
    for edit, gradients in view.edited:
        wrong = gradients[name]
        if same(wrong, right) or ratio(wrong, right) is not None or wrong.size < 3:
            continue
        constant = ratio(hand, wrong, view.tolerance[name])
        if not constant:
            continue
        size = abs(constant)
        plain = math.isclose(size, 1.0, rel_tol=1e-6)
        if not plain and named(size, view.trace) is None:
            continue
        causes = [edit.cause, *(["sign"] if constant < 0 else [])]
        causes += [] if plain else [_cause_of_factor(view, name, size)]
        evidence = f"it is {constant:.6g} times what autograd gives, broken like this: {edit.what}"
        yield Claim(tuple(dict.fromkeys(causes)), evidence, f"{edit.key} times {constant:.6g}")


def two_broken_rules(view: View, name: str) -> Iterator[Claim]:
    """Two rules of the reference, broken together, give this gradient."""
    hand, right = view.hand[name], view.right[name]
    active = [edit for edit, gradients in view.edited if not same(gradients[name], right)]
    for one, other in itertools.combinations(active, 2):
        if view.clock.over:
            return
        if one.cause == other.cause:
            continue
        if same(hand, view.with_edits(one, other)[name], view.tolerance[name]):
            evidence = f"autograd, broken twice, gives your numbers: {one.what}; and {other.what}"
            yield Claim((one.cause, other.cause), evidence, f"{one.key} and {other.key}")
            return


def near_kink(view: View, name: str) -> Iterator[Claim]:
    """It differs only where the function has a kink."""
    if view.hand[name].shape != view.right[name].shape:
        return
    for nearness in (1e-6, 1e-4, 1e-2):
        if view.within(name, nearness):
            evidence = f"it differs only within {nearness:g} of a kink, between both sides"
            yield claim("kink", evidence)
            return
    if view.only_at_kinks(name):
        yield claim("kink", "it differs only at a kink, where it is neither side's derivative")


def imprecise(view: View, name: str) -> Iterator[Claim]:
    """The difference is small and without a pattern."""
    hand, right = view.hand[name], view.right[name]
    off = error(hand, right)
    if off < 1e-2 and hand.size and np.isfinite(hand).all():
        yield claim("precision", f"the largest relative difference is {off:.1e}")


# In the order of preference: the simpler explanation first.
HYPOTHESES: tuple[Hypothesis, ...] = (
    without_upstream,
    proportional,
    exchanged,
    rearranged,
    unsummed,
    regularized,
    combined,
    broken_rule,
    misplaced,
    wrong_sum,
    last_only,
    other_operand,
    other_mask,
    diagonal,
    shifted,
    near_kink,
    closed_form,
    other_labels,
    other_value,
    imprecise,
    broken_rule_and_factor,
    two_broken_rules,
)
