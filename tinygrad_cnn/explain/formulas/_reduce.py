"""Reductions over axes, and the running sum."""

from __future__ import annotations

import numpy as np

from .._formula import Formula, Operation, Rule, axes_text
from .._typeset import shape_text
from ._text import aligned, dot, index_text, over, reduced

# -- sums ------------------------------------------------------------------------------------------


def _spread_latex(op: Operation) -> str:
    shape, axis = op.shapes[0], op.params["axis"]
    if not axis:
        return "$g"
    if len(axis) == len(shape) and not op.shape:
        return rf"$g \cdot \mathbf{{1}}_{{{shape_text(shape)}}}"
    return rf"\operatorname{{repeat}}_{{\text{{{axes_text(sorted(axis))}}}}}($g)"


def _spread_numpy(op: Operation) -> str:
    if not op.params["axis"]:
        return "$g"
    if not op.shape:
        return f"np.full({op.shapes[0]}, $g)"
    return f"np.broadcast_to({aligned('$g', op)}, {op.shapes[0]})"


# -- the largest and the smallest ------------------------------------------------------------------


def _extremum(name: str, sign: str) -> Formula:
    """``max`` or ``min``; ``sign`` makes the largest of the operand."""

    def latex(op: Operation) -> str:
        if not op.params["axis"]:
            return "$g"
        if op.params["ties"] == "first":
            return rf"$g {dot(op.shape)} \mathbf{{1}}[$0 = $y \text{{ first}}]"
        over_axes = rf"\sum_{{\text{{{axes_text(sorted(op.params['axis']))}}}}}"
        wins = r"\mathbf{1}[$0 = $y]"
        return rf"$g {dot(op.shape)} \frac{{{wins}}}{{{over_axes} {wins}}}"

    def numpy(op: Operation) -> str:
        axis = op.params["axis"]
        if not axis:
            return "$g"
        helper = "first_largest" if op.params["ties"] == "first" else "shares_of_largest"
        return f"{aligned('$g', op)} * {helper}({sign}$0, axis={axis})"

    def words(op: Operation) -> str:
        if op.params["ties"] == "first":
            return f"to the first {kind} element"
        return f"in equal shares to the {kind} elements"

    kind = "largest" if name == "max" else "smallest"
    return Formula(
        lambda op: over(rf"\{name}", op.params["axis"], op.shapes[0]),
        lambda op: reduced(name, op),
        (Rule(latex, numpy, name=words),),
        helpers=("first_largest", "shares_of_largest"),
    )


# -- products --------------------------------------------------------------------------------------


def _no_zeros(op: Operation) -> bool:
    [x] = op.values
    return x is None or bool(np.all(np.asarray(x) != 0))


def _prod_latex(op: Operation) -> str:
    if not op.params["axis"]:
        return "$g"
    if _no_zeros(op):
        return rf"\frac{{$g {dot(op.shape)} $y}}{{$0}}"
    return rf"$g {dot(op.shape)} \prod_{{\text{{others}}}} $0"


def _prod_numpy(op: Operation) -> str:
    axis = op.params["axis"]
    if not axis:
        return "$g"
    if _no_zeros(op):
        return f"{aligned('$g * $y', op)} / $0"
    return f"{aligned('$g', op)} * products_of_others($0, axis={axis})"


# -- the running sum -------------------------------------------------------------------------------


def _cumsum_latex(op: Operation) -> str:
    if len(op.shape) == 1:
        return r"\sum_{j \le i} {$0}_{j}"
    return rf"\operatorname{{cumsum}}_{{\text{{axis {op.params['axis']}}}}}($0)"


def _from_end_latex(op: Operation) -> str:
    if len(op.shape) == 1:
        return r"\sum_{j \ge i} {$g}_{j}"
    return rf"\sum_{{\text{{from here on, axis {op.params['axis']}}}}} $g"


def _from_end_numpy(op: Operation) -> str:
    backwards = index_text([":"] * op.params["axis"] + ["::-1"])
    return f"np.cumsum($g{backwards}, axis={op.params['axis']}){backwards}"


REDUCE = {
    "sum": Formula(
        lambda op: over(r"\sum", op.params["axis"], op.shapes[0]),
        lambda op: reduced("sum", op),
        (Rule(_spread_latex, _spread_numpy, name="repeated along the summed axes"),),
    ),
    "max": _extremum("max", ""),
    "min": _extremum("min", "-"),
    "prod": Formula(
        lambda op: over(r"\prod", op.params["axis"], op.shapes[0]),
        lambda op: reduced("prod", op),
        (Rule(_prod_latex, _prod_numpy, name="times the product of the other elements"),),
        helpers=("products_of_others",),
    ),
    "cumsum": Formula(
        _cumsum_latex,
        lambda op: f"np.cumsum($0, axis={op.params['axis']})",
        (Rule(_from_end_latex, _from_end_numpy, name="summed up from the end"),),
    ),
}
