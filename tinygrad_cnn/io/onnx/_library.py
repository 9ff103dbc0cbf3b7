"""The optional dependency."""

from __future__ import annotations

from typing import Any

from ...errors import MissingExtraError

__all__ = ["library"]


def library(purpose: str) -> Any:
    """The package ``onnx``, with the parts that are used here.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise MissingExtraError("onnx", "onnx", purpose) from None
    return onnx
