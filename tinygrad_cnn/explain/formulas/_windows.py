"""Windows that slide over images."""

from __future__ import annotations

import numpy as np

from ..._kernels import windows as kernels
from .._formula import Formula, Operation, Rule
from .._typeset import shape_text


def _geometry(op: Operation) -> str:
    """The arguments that say how the window lies; what is left out is 1."""
    window = op.params["window"]
    settings = (("stride", window.stride), ("dilation", window.dilation))
    return ", ".join([str(window.kernel), *(f"{k}={v}" for k, v in settings if max(v) > 1)])


def _below(op: Operation) -> str:
    """The same for a formula."""
    window = op.params["window"]
    settings = (("stride", window.stride), ("dilation", window.dilation))
    told = [rf"\text{{{k} }} {shape_text(v)}" for k, v in settings if max(v) > 1]
    return r",\, ".join([shape_text(window.kernel), *told])


def _call(name: str, operand: str, op: Operation) -> str:
    return rf"\operatorname{{{name}}}_{{{_below(op)}}}({operand})"


# -- pooling by switches ---------------------------------------------------------------------------


def _is_max_pool(op: Operation) -> bool:
    """Whether the switches name the largest element of each window."""
    [x], window = op.values, op.params["window"]
    return x is not None and np.array_equal(
        op.params["switches"], kernels.switches(x, window=window)
    )


def _switches(op: Operation) -> str:
    if _is_max_pool(op):
        return f"window_argmax($0, {_geometry(op)})"
    return op.given("switches", op.params["switches"])


def _picked_latex(op: Operation) -> str:
    if _is_max_pool(op):
        return _call("maxpool", "$0", op)
    return _call("pick", rf"$0, {_given(op)}", op)


def _returned_latex(op: Operation) -> str:
    if _is_max_pool(op):
        return _call("unpool", "$g", op)
    return _call("unpool", rf"$g, {_given(op)}", op)


def _given(op: Operation) -> str:
    return op.given("switches", op.params["switches"])


def _pool_words(op: Operation) -> str:
    if _is_max_pool(op):
        return "to the first largest pixel of each window"
    return "added where the switches point"


WINDOWS = {
    "im2col": Formula(
        lambda op: _call("im2col", "$0", op),
        lambda op: f"im2col($0, {_geometry(op)})",
        (
            Rule(
                lambda op: _call("col2im", "$g", op),
                lambda op: f"col2im($g, {op.shapes[0]}, {_geometry(op)})",
                name="added back by col2im",
            ),
        ),
        helpers=("im2col", "col2im"),
    ),
    "col2im": Formula(
        lambda op: _call("col2im", "$0", op),
        lambda op: f"col2im($0, {op.shape}, {_geometry(op)})",
        (
            Rule(
                lambda op: _call("im2col", "$g", op),
                lambda op: f"im2col($g, {_geometry(op)})",
                name="read by im2col",
            ),
        ),
        helpers=("im2col", "col2im"),
    ),
    "gather_windows": Formula(
        _picked_latex,
        lambda op: f"gather_windows($0, {_switches(op)}, {_geometry(op)})",
        (
            Rule(
                _returned_latex,
                lambda op: f"scatter_windows($g, {_switches(op)}, {op.shapes[0]}, {_geometry(op)})",
                name=_pool_words,
            ),
        ),
        helpers=("window_argmax", "gather_windows", "scatter_windows"),
    ),
    "scatter_windows": Formula(
        lambda op: _call("unpool", rf"$0, {_given(op)}", op),
        lambda op: f"scatter_windows($0, {_given(op)}, {op.shape}, {_geometry(op)})",
        (
            Rule(
                lambda op: _call("pick", rf"$g, {_given(op)}", op),
                lambda op: f"gather_windows($g, {_given(op)}, {_geometry(op)})",
                name="read where the switches point",
            ),
        ),
        helpers=("gather_windows", "scatter_windows"),
    ),
}
