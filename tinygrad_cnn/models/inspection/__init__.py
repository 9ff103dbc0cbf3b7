"""What a model is made of, read from one run: its layers and their costs, what they see, memory."""

from __future__ import annotations

from .receptive_field import ReceptiveField, ReceptiveFields, receptive_field, receptive_field_box
from .summary import Row, Summary, summary
from .training_memory import TrainingMemory, training_memory

__all__ = [
    "ReceptiveField",
    "ReceptiveFields",
    "Row",
    "Summary",
    "TrainingMemory",
    "receptive_field",
    "receptive_field_box",
    "summary",
    "training_memory",
]
