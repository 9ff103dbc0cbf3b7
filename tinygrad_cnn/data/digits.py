"""The bundled digits: real handwriting, no download."""

from __future__ import annotations

import os

import numpy as np

from ..errors import ArgumentError
from .dataset import ArrayDataset, is_held_out

__all__ = ["Digits"]

_SPLITS = ("train", "test", "all")
_HELD_OUT_FRACTION = 0.2
_INK_LEVELS = 16  # a pixel counts the inked dots in a block of 4x4


class Digits(ArrayDataset):
    """1,797 handwritten digits of 8x8 grey pixels by 13 writers, shape (1, 8, 8).

    One fifth of each class is held out for the test, drawn with a seed as
    ``stratified_split`` describes; the default seed gives 1,438 and 359 digits.

    From the UCI data set Optical Recognition of Handwritten Digits (Alpaydin and Kaynak 1998),
    licensed under CC BY 4.0; see ``digits.txt`` beside this file.

    Args:
        split: "train", "test", or "all" in the published order.
        seed: which fifth is held out.

    Raises:
        ArgumentError: an unknown split.

    >>> from tinygrad_cnn.data import Digits
    >>> Digits("train")
    Digits(1438 examples of shape (1, 8, 8), 10 classes)
    >>> len(Digits("test"))
    359
    """

    def __init__(self, split: str = "train", *, seed: int = 0) -> None:
        if split not in _SPLITS:
            raise ArgumentError(f"Digits: split={split!r}, expected one of {_SPLITS}")
        with np.load(os.path.join(os.path.dirname(__file__), "digits.npz")) as arrays:
            images, labels = arrays["images"], arrays["labels"].astype(np.int64)
        if split != "all":
            chosen = is_held_out(labels, _HELD_OUT_FRACTION, seed) == (split == "test")
            images, labels = images[chosen], labels[chosen]
        super().__init__(images, labels, classes=tuple("0123456789"), max_value=_INK_LEVELS)
