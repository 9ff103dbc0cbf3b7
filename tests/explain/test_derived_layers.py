"""Every derivation of a whole function, run and compared with autograd.

Each case is a call of one function with named arrays. It is derived by every choice of operands,
as the loss itself (where it is one number) and with something behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from layer_cases import CASES, Case, derived, titles

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn.explain._formula import placeholders
from tinygrad_cnn.explain.layers import LAYERS
from tinygrad_cnn.explain.mathml import mathml


def _choices() -> Iterator[Any]:
    for name, case in CASES.items():
        scalar = case.call(**case.operands).shape == ()
        for size in range(1, len(case.operands) + 1):
            for wanted in combinations(case.operands, size):
                for root in (True, False) if scalar else (False,):
                    where = "root" if root else "inside"
                    yield pytest.param(case, wanted, root, id=f"{name}-{'+'.join(wanted)}-{where}")


def _recorded(case: Case, wanted: tuple[str, ...], root: bool) -> tuple[Any, dict[str, Any]]:
    """The loss, and what to differentiate by."""
    variables = {n: tc.tensor(case.operands[n], requires_grad=True) for n in wanted}
    result = case.call(**{**case.operands, **variables})
    if root:
        return result, variables
    factors = np.random.default_rng(7).normal(size=result.shape)
    return (result * factors).sum(), variables


@pytest.mark.parametrize(("case", "wanted", "root"), list(_choices()))
def test_layer_agrees_with_autograd(case: Case, wanted: tuple[str, ...], root: bool) -> None:
    program = derived(*_recorded(case, wanted, root))
    assert case.title in titles(program, "forward")
    assert case.title in titles(program, "backward")
    if root:
        assert titles(program, "forward") == titles(program, "backward") == [case.title]


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_lines_can_be_shown(case: Case) -> None:
    program = derived(*_recorded(case, tuple(case.operands), root=False))
    for line in program.lines():
        assert line.target.shape is not None
        for shapes in (True, False):
            assert "<math" in mathml(line.to_latex(shapes))
            assert "$" not in line.to_latex(shapes)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_mathematics_and_code_of_a_line_speak_of_the_same_arrays(case: Case) -> None:
    program = derived(*_recorded(case, tuple(case.operands), root=False))
    sections = [section for section in program.sections if section.title == case.title]
    for term in (t for section in sections for line in section.lines for t in line.terms):
        # a shape is no array, and the label of example n is one of the labels
        code = re.sub(r"\$\{?\w+\}?\.shape", "", term.numpy)
        latex = re.sub(r"\$label\b", "$labels", term.latex)
        in_code, in_latex = (
            {term.symbols[key] for key in placeholders(text) if term.symbols[key].shape is not None}
            for text in (code, latex)
        )
        assert in_code == in_latex


def test_each_function_is_written_or_left_to_its_operations() -> None:
    pools = ("adaptive_avg", "adaptive_max", "global_avg", "global_max", "lp")
    by_operations = {
        *(f"{pool}_pool{d}d" for pool in pools for d in (1, 2, 3)),
        *(f"max_unpool{d}d" for d in (1, 2, 3)),
        "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "flatten",
        "locally_connected1d", "locally_connected2d", "sigmoid", "tanh",
        "binary_cross_entropy_with_logits", "focal_loss", "group_norm", "huber_loss", "l1_loss",
        "l1_regularization", "l2_regularization", "maxout", "multi_margin_loss", "prelu",
        "sigmoid_focal_loss", "smooth_l1_loss",
    }  # fmt: skip
    assert {*F.__all__} - {*LAYERS} == by_operations
    assert {*LAYERS} <= {*F.__all__}
