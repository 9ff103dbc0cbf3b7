"""Grade layers, losses and optimiser steps that somebody wrote by hand."""

from __future__ import annotations

from ._grading import grade
from .report import Grades, Part, QuestionGrade

__all__ = ["Grades", "Part", "QuestionGrade", "grade"]
