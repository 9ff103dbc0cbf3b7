"""Is a gradient right, and if not, why?

``gradcheck`` compares with differences, ``diagnose`` names what is wrong with a hand-derived
gradient, ``mutate`` says which mistakes a check on given inputs could not have caught, ``ledger``
shows what each consumer contributed to a gradient, ``audit`` watches a training step for breaks
that raise no error. Every report shows itself in a terminal and in Jupyter.
"""

from __future__ import annotations

from .audit import Audit, AuditFinding, LayerGradient, audit
from .diagnose import diagnose
from .findings import Diagnosis, Element, Finding
from .gradcheck import InputReport, Report, gradcheck
from .ledger import Contribution, Ledger, Walk, ledger
from .mutate import Mutant, MutationReport, mutate
from .pytest_plugin import assert_gradients
from .sanity import LayerOutput, SanityReport, Verdict

__all__ = [
    "Audit",
    "AuditFinding",
    "Contribution",
    "Diagnosis",
    "Element",
    "Finding",
    "InputReport",
    "LayerGradient",
    "LayerOutput",
    "Ledger",
    "Mutant",
    "MutationReport",
    "Report",
    "SanityReport",
    "Verdict",
    "Walk",
    "assert_gradients",
    "audit",
    "diagnose",
    "gradcheck",
    "ledger",
    "mutate",
]
