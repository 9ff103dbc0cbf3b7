"""Every primitive in mathematics and in NumPy: the table, and what is asked of it."""

from __future__ import annotations

from .._formula import Operation, Rule, every
from ._register import formula
from ._statement import in_words, local_factor, passed, statement
from ._table import FORMULAS

__all__ = [
    "FORMULAS",
    "Operation",
    "Rule",
    "every",
    "formula",
    "in_words",
    "local_factor",
    "passed",
    "statement",
]
