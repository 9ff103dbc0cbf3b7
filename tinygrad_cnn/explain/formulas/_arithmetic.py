"""Elementwise operations on one or more operands."""

from __future__ import annotations

import numpy as np

from .._formula import Formula, Operation, Rule
from .._symbols import number
from ._text import dot, elementwise, indicator

_AS_IT_IS = Rule("$g", "$g", "1")
_NEGATIVE = Rule("-$g", "-$g", "-1")
_OR_EQUAL = {">": r"\ge", "<": r"\le"}


# -- powers ----------------------------------------------------------------------------------------


def _base_local(op: Operation) -> str:
    power = op.number(1)
    if power is None:
        return rf"$1 {dot(*op.shapes)} {{$0}}^{{$1 - 1}}"
    if power in (0, 1):
        return _latex(power)
    return rf"{_latex(power)} \, {_raised('$0', power - 1)}"


def _base_latex(op: Operation) -> str:
    local = _base_local(op)
    if local == "1":
        return "$g"
    return rf"$g {dot(op.shape)} " + (rf"\left( {local} \right)" if local[0] == "-" else local)


def _base_numpy(op: Operation) -> str:
    power = op.number(1)
    if power is None:
        x, y = op.values
        if x is not None and np.any((np.asarray(x) == 0) & (np.asarray(y) == 0)):
            return "$g * power_slope($0, $1)"
        return "$g * $1 * $0 ** ($1 - 1)"
    if power == 0:
        return "$g * 0.0"
    if power == 1:
        return "$g"
    if power == 2:
        return "$g * 2 * $0"
    return f"$g * {power} * $0 ** {f'({power} - 1)' if len(repr(power - 1)) > 8 else power - 1}"


def _latex(power: float) -> str:
    return number(power).latex.strip("()")


def _raised(base: str, power: float) -> str:
    return base if power == 1 else f"{{{base}}}^{{{_latex(power)}}}"


def _power(op: Operation) -> str:
    power = op.number(1)
    return "{$0}^{$1}" if power is None else f"{{$0}}^{{{_latex(power)}}}"


def _exponent_numpy(op: Operation) -> str:
    base = op.values[0]
    if base is not None and np.any(np.asarray(base) == 0):
        return "$g * $y * log_or_zero($0)"
    return "$g * $y * np.log($0)"


# -- ties ------------------------------------------------------------------------------------------


def _winner(x: str, y: str, sign: str, *, ties: bool) -> Rule:
    """The rule of operand ``x``: it gets the gradient where it wins, and of a tie if ``ties``."""
    beats, shown = (f"{sign}=", _OR_EQUAL[sign]) if ties else (sign, sign)
    first = indicator(f"{x} {shown} {y}", f"{x} {beats} {y}")
    split = elementwise(
        rf"\mathbf{{1}}[{x} {sign} {y}] + \frac{{1}}{{2}} \, \mathbf{{1}}[{x} = {y}]",
        f"({x} {sign} {y}) + 0.5 * ({x} == {y})",
    )

    def rule(op: Operation) -> Rule:
        return first if op.params["ties"] == "first" else split

    return Rule(
        lambda op: op.text(rule(op).latex),
        lambda op: op.text(rule(op).numpy),
        lambda op: op.text(rule(op).local),
    )


# -- the table -------------------------------------------------------------------------------------

_CASES = r"\begin{cases} $1 & \text{where } $0 \\ $2 & \text{elsewhere} \end{cases}"


def _round(op: Operation) -> str:
    decimals = op.params["decimals"]
    return f"np.round($0, {decimals})" if decimals else "np.round($0)"


ARITHMETIC = {
    "add": Formula("$0 + $1", "$0 + $1", (_AS_IT_IS, _AS_IT_IS)),
    "subtract": Formula("$0 - $1", "$0 - $1", (_AS_IT_IS, _NEGATIVE)),
    "multiply": Formula(
        lambda op: f"$0 {dot(*op.shapes)} $1",
        "$0 * $1",
        (
            Rule(lambda op: f"$g {dot(op.shape, op.shapes[1])} $1", "$g * $1", "$1"),
            Rule(lambda op: f"$g {dot(op.shape, op.shapes[0])} $0", "$g * $0", "$0"),
        ),
    ),
    "divide": Formula(
        r"\frac{$0}{$1}",
        "$0 / $1",
        (
            Rule(r"\frac{$g}{$1}", "$g / $1", r"\frac{1}{$1}"),
            Rule(
                lambda op: rf"-\frac{{$g {dot(op.shape)} $y}}{{$1}}",
                "-$g * $y / $1",
                r"-\frac{$y}{$1}",
            ),
        ),
    ),
    "negative": Formula("-$0", "-$0", (_NEGATIVE,)),
    "power": Formula(
        _power,
        "$0 ** $1",
        (
            Rule(_base_latex, _base_numpy, _base_local),
            Rule(
                lambda op: rf"$g {dot(op.shape)} $y {dot(op.shape)} \ln($0)",
                _exponent_numpy,
                lambda op: rf"$y {dot(op.shape)} \ln($0)",
            ),
        ),
        helpers=("power_slope", "log_or_zero"),
    ),
    "maximum": Formula(
        r"\max($0, $1)",
        "np.maximum($0, $1)",
        (_winner("$0", "$1", ">", ties=True), _winner("$1", "$0", ">", ties=False)),
    ),
    "minimum": Formula(
        r"\min($0, $1)",
        "np.minimum($0, $1)",
        (_winner("$0", "$1", "<", ties=True), _winner("$1", "$0", "<", ties=False)),
    ),
    "clip": Formula(
        r"\min(\max($0, $1), $2)",
        "np.clip($0, $1, $2)",
        (
            indicator(r"$1 \le $0 \le $2", "($1 <= $0) & ($0 <= $2)"),
            indicator(r"$0 < $1 \le $2", "($0 < $1) & ($1 <= $2)"),
            indicator(r"$2 < $0 \lor $2 < $1", "($2 < $0) | ($2 < $1)"),
        ),
    ),
    "where": Formula(
        _CASES,
        "np.where($0, $1, $2)",
        (
            None,
            Rule(
                lambda op: rf"$g {dot(op.shape)} \mathbf{{1}}[$0]",
                "np.where($0, $g, 0.0)",
                r"\mathbf{1}[$0]",
            ),
            Rule(
                lambda op: rf"$g {dot(op.shape)} \mathbf{{1}}[\neg $0]",
                "np.where($0, 0.0, $g)",
                r"\mathbf{1}[\neg $0]",
            ),
        ),
    ),
    "sign": Formula(r"\operatorname{sign}($0)", "np.sign($0)", (None,)),
    "floor": Formula(r"\left\lfloor $0 \right\rfloor", "np.floor($0)", (None,)),
    "round": Formula(r"\operatorname{round}($0)", _round, (None,)),
    "floor_divide": Formula(
        r"\left\lfloor \frac{$0}{$1} \right\rfloor", "$0 // $1", (None, None)
    ),
    "abs": Formula(
        r"\left| $0 \right|",
        "np.abs($0)",
        (elementwise(r"\operatorname{sign}($0)", "np.sign($0)"),),
    ),
}  # fmt: skip

TRANSCENDENTAL = {
    "exp": Formula("e^{$0}", "np.exp($0)", (elementwise("$y", "$y"),)),
    "log": Formula(
        r"\ln($0)", "np.log($0)", (Rule(r"\frac{$g}{$0}", "$g / $0", r"\frac{1}{$0}"),)
    ),
    "sqrt": Formula(
        r"\sqrt{$0}",
        "np.sqrt($0)",
        (Rule(r"\frac{$g}{2 \, $y}", "$g / (2 * $y)", r"\frac{1}{2 \, $y}"),),
    ),
    "tanh": Formula(
        r"\tanh($0)", "np.tanh($0)", (elementwise("1 - {$y}^{2}", "1 - $y ** 2"),)
    ),
    "sigmoid": Formula(
        r"\frac{1}{1 + e^{-$0}}",
        "sigmoid($0)",
        (
            Rule(
                lambda op: (
                    rf"$g {dot(op.shape)} $y {dot(op.shape)} \left( 1 - $y \right)"
                ),
                "$g * $y * (1 - $y)",
                lambda op: rf"$y {dot(op.shape)} \left( 1 - $y \right)",
            ),
        ),
        helpers=("sigmoid",),
    ),
    "erf": Formula(
        r"\operatorname{erf}($0)",
        "erf($0)",
        (
            elementwise(
                r"\frac{2}{\sqrt{\pi}} \, e^{-{$0}^{2}}", "2 / np.sqrt(np.pi) * np.exp(-($0 ** 2))"
            ),
        ),
        helpers=("erf",),
    ),
    "sin": Formula(r"\sin($0)", "np.sin($0)", (elementwise(r"\cos($0)", "np.cos($0)"),)),
    "cos": Formula(
        r"\cos($0)",
        "np.cos($0)",
        (
            Rule(
                lambda op: rf"-$g {dot(op.shape)} \sin($0)", "-$g * np.sin($0)", r"-\sin($0)"
            ),
        ),
    ),
}  # fmt: skip
