"""Models: LeNet-5 and small networks, models by name, and what a model is made of."""

from __future__ import annotations

from .lenet import LeNet5
from .registry import build, model_names
from .small import ConvNetJS, DigitsNet
from .summary import Row, Summary, summary

__all__ = [
    "ConvNetJS",
    "DigitsNet",
    "LeNet5",
    "Row",
    "Summary",
    "build",
    "model_names",
    "summary",
]
