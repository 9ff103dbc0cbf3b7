"""Weights and models in files: those of this package, and those of others."""

from __future__ import annotations

from ._torch import read_torch
from .files import State, load, load_model, save
from .keras import Transfer, load_keras
from .onnx import OnnxModel, export_onnx, import_onnx
from .torch_bridge import from_torch, from_torch_module, to_torch

__all__ = [
    "OnnxModel",
    "State",
    "Transfer",
    "export_onnx",
    "from_torch",
    "from_torch_module",
    "import_onnx",
    "load",
    "load_keras",
    "load_model",
    "read_torch",
    "save",
    "to_torch",
]
