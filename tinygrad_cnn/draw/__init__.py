"""Pictures and pages of what was recorded and of what was learned.

``graph`` draws what was recorded, ``stepper`` walks through it number by number, ``conv_demo``
shows one convolution. The figures (``filters``, ``activations``, ``saliency``, …) need
matplotlib, the extra ``plot``; each returns the figure.
"""

from __future__ import annotations

from .activations import activations
from .confusion import confusion_matrix
from .conv_demo import conv_demo
from .curves import learning_curves
from .filters import filters
from .graph import GraphView, graph
from .lr_range import lr_range
from .receptive_field import receptive_field, receptive_field_box
from .report import TrainingReport
from .saliency import saliency
from .stepper import stepper

__all__ = [
    "GraphView",
    "TrainingReport",
    "activations",
    "confusion_matrix",
    "conv_demo",
    "filters",
    "graph",
    "learning_curves",
    "lr_range",
    "receptive_field",
    "receptive_field_box",
    "saliency",
    "stepper",
]
