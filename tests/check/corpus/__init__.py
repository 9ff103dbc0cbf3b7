"""Hand-written gradients, right and wrong, with which the doctor is measured."""

from __future__ import annotations

from . import (  # noqa: F401  (each file registers its cases)
    activations,
    affine,
    convolution,
    correct_formulas,
    correct_layers,
    correct_networks,
    dropout,
    elementwise,
    indexing,
    losses,
    networks,
    normalization,
    pooling,
    reductions,
    unseen,
)
from .case import CASES, Case, Function, Run, run

__all__ = ["CASES", "Case", "Function", "Run", "run"]
