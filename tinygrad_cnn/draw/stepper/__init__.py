"""A page that steps through a computation: the forward pass, then every gradient."""

from __future__ import annotations

from ._stepper import stepper

__all__ = ["stepper"]
