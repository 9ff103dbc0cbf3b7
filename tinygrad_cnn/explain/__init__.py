"""The derivation of a model's gradients, as mathematics and as NumPy code.

``derive`` writes the chain rule of what was recorded: equations with the user's own names, a
NumPy function that needs nothing but NumPy, and exercises with a checker. ``formula`` teaches it
a primitive of the user's own.
"""

from __future__ import annotations

from .assessment import Assessment, Verdict
from .derive import Derivation, derive
from .exercise import Blanks, Exercise
from .formulas import FORMULAS, Operation, Rule, every, formula
from .mathml import STYLE, mathml

__all__ = [
    "FORMULAS",
    "STYLE",
    "Assessment",
    "Blanks",
    "Derivation",
    "Exercise",
    "Operation",
    "Rule",
    "Verdict",
    "derive",
    "every",
    "formula",
    "mathml",
]
