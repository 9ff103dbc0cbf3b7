"""Is a gradient right, and if not, why?

``gradcheck`` compares with differences, ``diagnose`` names what is wrong with a hand-derived
gradient, ``mutate`` says which mistakes a check on given inputs could not have caught.
"""

from __future__ import annotations

from .diagnose import diagnose
from .findings import Diagnosis, Element, Finding
from .gradcheck import InputReport, Report, gradcheck
from .mutate import Mutant, MutationReport, mutate
from .pytest_plugin import assert_gradients

__all__ = [
    "Diagnosis",
    "Element",
    "Finding",
    "InputReport",
    "Mutant",
    "MutationReport",
    "Report",
    "assert_gradients",
    "diagnose",
    "gradcheck",
    "mutate",
]
