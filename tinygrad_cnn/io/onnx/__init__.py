"""Models from and to ONNX, the format that runtimes share."""

from __future__ import annotations

from ._export import export_onnx
from ._import import OnnxModel, import_onnx

__all__ = ["OnnxModel", "export_onnx", "import_onnx"]
