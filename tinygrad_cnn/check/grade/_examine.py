"""Call a submission's functions, and compare what comes back with what is right.

Everything here that comes from the submission is data: numbers of any shape, or no numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...typing import Array
from .._compare import error, ratio
from .._trace import Trace
from ._layers import LAYERS, Case
from ._optimisers import OPTIMISERS, steps
from ._sandbox import Cache, Raised, Sandbox
from ._spec import Question, Spec


@dataclass(frozen=True)
class Verdict:
    """One comparison.

    Attributes:
        part: what was compared.
        cause: what is wrong, "" if nothing is.
        evidence: in numbers.
        help: the right rule, and the fix.
        case, dout: the call, if it is a gradient of right shape that the doctor can explain.
    """

    part: str
    cause: str = ""
    evidence: str = ""
    help: str = ""
    case: Case | None = None
    dout: Array | None = None


def examine(sandbox: Sandbox, question: Question, spec: Spec) -> Iterator[Verdict]:
    """All comparisons of a question; a note has the part ""."""
    rng = np.random.default_rng(spec.seed)
    if question.kind in OPTIMISERS:
        yield from _optimiser(sandbox, question, spec)
    elif question.kind == "dropout":
        yield from _dropout(sandbox, question, spec, rng)
    else:
        for case in LAYERS[question.kind].cases(rng):
            yield from _layer(sandbox, question, case, spec, rng)


def hand_written(
    sandbox: Sandbox, question: Question, case: Case
) -> tuple[Callable[..., Any], Callable[..., Any] | None]:
    """The submission's backward and forward, as the doctor calls them."""
    name, *second = question.functions

    def loss_gradient(dout: Any, *inputs: Array) -> Array:
        return np.asarray(dout * _numbers(sandbox.call(name, *inputs)[1]))

    def forward(*inputs: Array) -> tuple[Array, Cache]:
        out, cache = sandbox.call(name, *inputs, *case.options(), keep=True)
        return _numbers(out), cache

    def backward(dout: Any, cache: Cache) -> tuple[Array, ...]:
        gradients = sandbox.call(second[0], np.asarray(dout), cache)
        return tuple(_numbers(gradient) for gradient in _sequence(gradients))

    return (backward, forward) if second else (loss_gradient, None)


def _numbers(value: Any) -> Array:
    """What the doctor can count on to be an array of real numbers."""
    if isinstance(value, np.ndarray | float | int):
        return np.asarray(value)
    raise Raised(f"it returns {value!r:.80} where an array is expected")


def compared(part: str, given: Any, right: Array, tolerance: float, help: str = "") -> Verdict:
    """Whether a value is right; if not, the simplest that can be said of the difference."""
    cause, evidence = _difference(given, np.asarray(right), tolerance)
    return Verdict(part, cause, evidence, help)


def _difference(given: Any, right: Array, tolerance: float) -> tuple[str, str]:
    if isinstance(given, Raised):
        return "raises", str(given)
    if isinstance(given, list):
        return "wrong_type", f"it is a list or tuple of {len(given)}, not one array"
    array = np.asarray(given)
    if array.dtype.kind not in "biuf":
        return "wrong_type", f"it is {given!r:.80}, not an array of numbers"
    if array.shape != right.shape:
        return "wrong_shape", f"its shape is {array.shape}, expected {right.shape}"
    array = array.astype(np.float64)
    wrong = ~np.isfinite(array)
    if wrong.any():
        return "not_finite", f"{wrong.sum()} of {array.size} elements are NaN or infinite"
    if error(array, right) <= tolerance:
        return "", ""
    constant = ratio(array, right, tolerance) if right.size > 1 else None
    if constant is not None:
        cause = "sign" if np.isclose(constant, -1.0) else "scale"
        return cause, f"every element is {constant:.6g} times the right one"
    off = np.abs(array - right)
    worst = tuple(map(int, np.unravel_index(int(off.argmax()), off.shape)))
    count = int((off > tolerance * np.abs(right).max()).sum())
    where = f" at {worst}" if worst else ""
    return "values", (
        f"{count} of {off.size} elements differ, most{where}: it is {array[worst]:.6g},"
        f" expected {right[worst]:.6g}"
    )


def _layer(
    sandbox: Sandbox, question: Question, case: Case, spec: Spec, rng: np.random.Generator
) -> Iterator[Verdict]:
    """Forward values and gradients of one case."""
    layer = LAYERS[question.kind]
    names = list(case.inputs)
    is_loss = len(question.functions) == 1
    shape = Trace(case.reference, list(case.inputs.values())).output.shape
    dout = np.ones(()) if is_loss else rng.normal(size=shape)
    trace = Trace(case.reference, list(case.inputs.values()), dout, names)
    right = [g for g in trace.gradients() if g is not None]
    options = case.options()
    arguments = [*map(np.array, case.inputs.values())]
    handed = np.array(dout)
    out, gradients = _called(sandbox, question, [*arguments, *options], handed, len(right))

    yield compared(layer.output, out, trace.output.numpy(), spec.tolerance, layer.formula)
    if question.kind == "batchnorm":
        yield from _batchnorm(sandbox, question, case, spec, out, options[0])
    floating = [name for name in names if case.inputs[name].dtype.kind == "f"]
    for name, given, expected in zip(floating, gradients, right, strict=True):
        verdict = compared(f"gradient of {name}", given, expected, spec.tolerance)
        explained = verdict.cause not in ("", "raises", "wrong_type", "not_finite")
        yield Verdict(
            verdict.part, verdict.cause, verdict.evidence, "",
            case if explained else None, dout,
        )  # fmt: skip
    changed = [n for n, a in zip(names, arguments, strict=True) if (a != case.inputs[n]).any()]
    changed += ["dout"] if (handed != dout).any() else []
    if changed:
        yield Verdict("", "mutates_input", f"changes {', '.join(changed)} in place")


def _called(
    sandbox: Sandbox, question: Question, arguments: list[Any], dout: Array, count: int
) -> tuple[Any, list[Any]]:
    """Output and gradients; an exception stands in the place of what it prevented."""
    out: Any
    try:
        if len(question.functions) == 1:
            pair = sandbox.call(question.functions[0], *arguments)
            if not isinstance(pair, list) or len(pair) != 2:
                raise Raised(f"{question.functions[0]} has to return a pair (loss, gradient)")
            out, gradients = pair[0], [pair[1]]
        else:
            out, cache = sandbox.call(question.functions[0], *arguments, keep=True)
    except Raised as raised:
        return raised, [raised] * count
    if len(question.functions) == 2:
        try:
            result = sandbox.call(question.functions[1], dout, cache)
            gradients = list(_sequence(result))
            if len(gradients) != count:
                raise Raised(f"it returns {len(gradients)} gradients, expected {count}")
        except Raised as raised:
            return out, [raised] * count
    return out, gradients


def _sequence(result: Any) -> tuple[Any, ...]:
    return tuple(result) if isinstance(result, list) else (result,)


def _batchnorm(
    sandbox: Sandbox, question: Question, case: Case, spec: Spec, out: Any, param: dict[str, Any]
) -> Iterator[Verdict]:
    """The running statistics after a training call, and a call in test mode."""
    formula = LAYERS["batchnorm"].formula
    x, gamma, beta = case.inputs.values()
    (given,) = case.options()
    for part, statistic in (("running_mean", x.mean(0)), ("running_var", x.var(0))):
        right = given["momentum"] * given[part] + (1.0 - given["momentum"]) * statistic
        value = out if isinstance(out, Raised) else param.get(part)
        yield compared(part, value, right, spec.tolerance, formula)
    mean, var, eps = given["running_mean"], given["running_var"], given["eps"]
    right = gamma * (x - mean) / np.sqrt(var + eps) + beta
    try:
        inputs = map(np.array, case.inputs.values())
        tested, _ = sandbox.call(
            question.functions[0], *inputs, {**given, "mode": "test"}, keep=True
        )
    except Raised as raised:
        tested = raised
    yield compared("out in test mode", tested, right, spec.tolerance, formula)


def _dropout(
    sandbox: Sandbox, question: Question, spec: Spec, rng: np.random.Generator
) -> Iterator[Verdict]:
    """The mask is the submission's own; it is read from what it does to the input."""
    x, p = rng.uniform(0.5, 2.0, (50, 40)), 0.7
    keep = p if question.p == "keep" else 1.0 - p
    param = {"mode": "train", "p": p, "seed": spec.seed}
    help = f"mask = (rand(*x.shape) < {keep:.2g}) / {keep:.2g};  out = x * mask;  dx = dout * mask"
    dout = rng.normal(size=x.shape)
    out, (gradient,) = _called(sandbox, question, [np.array(x), param], np.array(dout), 1)
    plain = compared("out", out, x, spec.tolerance, help)
    if plain.cause in ("raises", "wrong_type", "wrong_shape", "not_finite"):
        yield plain
        yield Verdict("gradient of x", "raises", "it needs a right forward")
    else:
        mask = np.asarray(out, np.float64) / x
        yield _mask_verdict(mask, keep, spec.tolerance, help)
        case = Case({"x": x}, lambda x: x * mask, {**param})
        verdict = compared("gradient of x", gradient, dout * mask, spec.tolerance, help)
        asked = case if verdict.cause in ("sign", "scale", "values", "wrong_shape") else None
        yield Verdict(verdict.part, verdict.cause, verdict.evidence, help, asked, dout)
    tested, _ = _called(sandbox, question, [np.array(x), {**param, "mode": "test"}], dout, 1)
    yield compared("out in test mode", tested, x, spec.tolerance, "test mode leaves x as it is")


def _mask_verdict(mask: Array, keep: float, tolerance: float, help: str) -> Verdict:
    """Whether a mask keeps the right share of elements and multiplies those by 1/keep."""
    kept = mask != 0
    share, deviation = float(kept.mean()), np.sqrt(keep * (1.0 - keep) / mask.size)
    if abs(share - keep) > 5.0 * deviation:
        cause = "keep_for_drop" if abs(share + keep - 1.0) <= 5.0 * deviation else "share"
        return Verdict("out", cause, f"it keeps {share:.0%} of the elements, not {keep:.0%}", help)
    factors = mask[kept]
    if error(factors, np.full(factors.shape, 1.0 / keep)) <= tolerance:
        return Verdict("out")
    unscaled = error(factors, np.ones(factors.shape)) <= tolerance
    evidence = f"it multiplies what it keeps by {factors.mean():.4g}, expected {1.0 / keep:.4g}"
    return Verdict("out", "missing_dropout_scale" if unscaled else "scale", evidence, help)


def _optimiser(sandbox: Sandbox, question: Question, spec: Spec) -> Iterator[Verdict]:
    """The first step, and two more that need the state which the config carries."""
    optimiser = OPTIMISERS[question.kind]
    w, gradients, config = steps(optimiser.config, spec.seed)
    right = optimiser.weights(w, gradients)
    path: list[Any] = []
    given: Any = np.array(w)
    for g in gradients:
        if not isinstance(given, Raised):
            given, config = _step(sandbox, question.functions[0], given, np.array(g), config)
        path.append(given if isinstance(given, Raised) else np.array(given))
    first, *later = (
        compared(part, value, expected, spec.tolerance, optimiser.formula)
        for part, value, expected in zip(
            ("first step", "later steps", "later steps"), path, right, strict=True
        )
    )
    for mistake in optimiser.mistakes:
        known = mistake.weights(w, gradients)
        same = [not _difference(v, k, spec.tolerance)[0] for v, k in zip(path, known, strict=True)]
        if all(same) and (first.cause or later[-1].cause):
            help = f"{optimiser.formula}\nfix: {mistake.fix}"
            named = (mistake.cause, mistake.evidence, help)
            first = Verdict(first.part, *named) if first.cause else first
            later = [Verdict(v.part, *named) if v.cause else v for v in later]
            break
    yield first
    yield from later


def _step(sandbox: Sandbox, name: str, w: Any, g: Array, config: Any) -> tuple[Any, Any]:
    try:
        result = sandbox.call(name, w, g, config)
        if not isinstance(result, list) or len(result) != 2 or not isinstance(result[1], dict):
            raise Raised(f"{name} has to return a pair (next_w, config)")
    except Raised as raised:
        return raised, config
    return result[0], result[1]
