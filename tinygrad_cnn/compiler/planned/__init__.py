"""Programs as planned calls of NumPy: memory laid out beforehand, blocks of images on all cores."""

from ._runner import build
from ._source import numpy_source

__all__ = ["build", "numpy_source"]
