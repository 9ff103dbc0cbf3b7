"""The command ``tinygrad-cnn``."""

from __future__ import annotations

from .parser import main

__all__ = ["main"]
