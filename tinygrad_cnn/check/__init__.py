"""Is a gradient right? Comparison with central differences."""

from __future__ import annotations

from .gradcheck import InputReport, Report, gradcheck

__all__ = ["InputReport", "Report", "gradcheck"]
