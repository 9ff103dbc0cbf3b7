"""What a beginner does wrong with convolutions, and what is said about it."""

# ruff: noqa: E501  (the table of errors has one line for each)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_cnn import functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError

IMAGES, FILTERS = np.zeros((2, 3, 8, 8)), np.zeros((4, 3, 3, 3))
SIGNALS, TAPS = np.zeros((2, 3, 8)), np.zeros((4, 3, 3))
LOCAL = np.zeros((4, 6, 6, 3, 3, 3))


def conv(**options: Any) -> Any:
    return lambda: F.conv2d(IMAGES, FILTERS, **options)


def back(**options: Any) -> Any:
    return lambda: F.conv_transpose2d(IMAGES, np.zeros((3, 4, 3, 3)), **options)


ERRORS: list[tuple[Any, type[Exception], str]] = [
    # another layout
    (lambda: F.conv2d(IMAGES[0], FILTERS), ShapeError, "conv2d: expected input (N, C, H, W) and weight (K, C, FH, FW), got (3, 8, 8) and (4, 3, 3, 3): x[None] is a batch of one"),
    (lambda: F.conv2d(IMAGES[0, 0], FILTERS), ShapeError, "got (8, 8) and (4, 3, 3, 3): x[None, None] is a batch of one, with one channel"),
    (lambda: F.conv2d(IMAGES, TAPS), ShapeError, "got (2, 3, 8, 8) and (4, 3, 3)"),
    (lambda: F.conv1d(IMAGES, FILTERS), ShapeError, "conv1d: expected input (N, C, L) and weight (K, C, FL), got (2, 3, 8, 8) and (4, 3, 3, 3)"),
    (lambda: F.conv1d(SIGNALS[0], TAPS), ShapeError, "conv1d: expected input (N, C, L) and weight (K, C, FL), got (3, 8) and (4, 3, 3): x[None] is a batch of one"),
    (lambda: F.conv3d(IMAGES, FILTERS), ShapeError, "conv3d: expected input (N, C, D, H, W) and weight (K, C, FD, FH, FW), got (2, 3, 8, 8) and (4, 3, 3, 3): x[None] is"),
    (lambda: F.conv2d(IMAGES.transpose(0, 2, 3, 1), FILTERS), ShapeError, "conv2d: input (2, 8, 8, 3) has 8 channels, weight (4, 3, 3, 3) expects 3: where the channels come last, pass x.transpose(0, 3, 1, 2)"),
    (lambda: F.conv1d(SIGNALS.swapaxes(1, 2), TAPS), ShapeError, "conv1d: input (2, 8, 3) has 8 channels, weight (4, 3, 3) expects 3: where the channels come last, pass x.transpose(0, 2, 1)"),
    (lambda: F.conv2d(IMAGES, FILTERS.swapaxes(0, 1)), ShapeError, "conv2d: input (2, 3, 8, 8) has 3 channels, weight (3, 4, 3, 3) expects 4: where 3 is what goes in, pass weight.swapaxes(0, 1)"),
    (lambda: F.conv2d(IMAGES, np.zeros((5, 5, 3, 4))), ShapeError, "weight (5, 5, 3, 4) expects 5: where the filters come last, pass weight.transpose(3, 2, 0, 1)"),
    (lambda: F.conv2d(IMAGES, np.zeros((6, 1, 3, 3))), ShapeError, "weight (6, 1, 3, 3) expects 1: filters for each channel are groups=3"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 5, 3, 3))), ShapeError, "conv2d: input (2, 3, 8, 8) has 3 channels, weight (4, 5, 3, 3) expects 5"),
    # operands that do not fit
    (lambda: F.conv2d(IMAGES, FILTERS, np.zeros((1, 4))), ShapeError, "conv2d: bias (1, 4) does not fit weight (4, 3, 3, 3), which makes 4 outputs"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 9, 3))), ShapeError, "conv2d: a window of (9, 3) with dilation (1, 1) does not fit into images of 8x8: use a smaller one, or padding"),
    (lambda: F.conv3d(IMAGES[..., None], np.zeros((4, 3, 2, 2, 2))), ShapeError, "conv3d: a window of (2, 2, 2) with dilation (1, 1, 1) does not fit into images of 8x8x1"),
    (lambda: F.conv2d(IMAGES, FILTERS, groups=3), ArgumentError, "conv2d: groups=3 does not divide the 4 filters"),
    (lambda: F.conv2d(IMAGES, FILTERS, groups=True), ArgumentError, "conv2d: groups=True"),
    (lambda: F.conv2d(IMAGES, FILTERS, groups=2), ShapeError, "conv2d: input (2, 3, 8, 8) has 3 channels, weight (4, 3, 3, 3) expects 2 groups of 3"),
    # settings
    (conv(stride=0), ShapeError, "conv2d: stride=0: expected an integer >= 1 or a pair of them"),
    (conv(stride=2.0), ShapeError, "conv2d: stride=2.0: expected an integer"),
    (conv(stride=(1, 2, 3)), ShapeError, "conv2d: stride=(1, 2, 3)"),
    (conv(dilation=0), ShapeError, "conv2d: dilation=0: expected an integer >= 1"),
    (conv(padding=-1), ShapeError, "conv2d: padding=-1: expected an integer >= 0, a tuple of 2 of them or of pairs (before, after), or one of 'valid', 'same', 'same_lower', 'full'"),
    (conv(padding=1.0), ShapeError, "conv2d: padding=1.0: expected an integer >= 0"),
    (conv(padding=(1, 1, 1, 1)), ShapeError, "conv2d: padding=(1, 1, 1, 1)"),
    (conv(padding=((1, 1), (1, 1, 1))), ShapeError, "conv2d: padding=((1, 1), (1, 1, 1))"),
    (conv(padding=((0, 0), (0, 0), (1, 1), (1, 1))), ShapeError, "a tuple of 2 of them or of pairs"),
    (conv(padding=None), ShapeError, "conv2d: padding=None"),
    (conv(padding="SAME"), ArgumentError, "conv2d: padding='SAME': expected numbers, or one of 'valid', 'same', 'same_lower', 'full'"),
    (conv(padding="reflect"), ArgumentError, "conv2d: padding='reflect': expected numbers"),
    (conv(padding=1, padding_mode="mirror"), ArgumentError, "conv2d: padding_mode='mirror', expected one of zeros, reflect, replicate, circular"),
    (conv(padding_mode="mirror"), ArgumentError, "conv2d: padding_mode='mirror'"),
    (conv(padding=8, padding_mode="reflect"), ShapeError, "conv2d: padding_mode='reflect' has 7 elements to add along axis 2 of images of shape (2, 3, 8, 8), padding asks for 8"),
    (conv(padding=9, padding_mode="circular"), ShapeError, "padding_mode='circular' has 8 elements"),
    (conv(fit="round"), ArgumentError, "conv2d: fit='round', expected one of floor, exact, pad, crop"),
    (conv(stride=2, fit="exact"), ShapeError, "conv2d: axis 2: (W - F + 2P)/S + 1 = (8 - 3 + 2*0)/2 + 1 = 3.5: the windows do not fit. 1 more of padding in total (9) would give 4, as would padding 1 with fit='floor'; fit='pad'"),
    (conv(stride=2, padding=((0, 0), (0, 2)), fit="exact"), ShapeError, "conv2d: axis 2:"),
    (lambda: F.conv1d(SIGNALS, TAPS, padding=(1, 2)), ShapeError, "conv1d: padding=(1, 2): expected an integer >= 0, a tuple of 1 of them or of pairs (before, after)"),
    # transposed
    (lambda: F.conv_transpose2d(IMAGES, FILTERS), ShapeError, "conv_transpose2d: input (2, 3, 8, 8) has 3 channels, weight (4, 3, 3, 3) expects 4: where 3 is what goes in, pass weight.swapaxes(0, 1)"),
    (lambda: F.conv_transpose2d(IMAGES[0], FILTERS), ShapeError, "conv_transpose2d: expected input (N, C, H, W) and weight (C, K, FH, FW), got (3, 8, 8) and (4, 3, 3, 3): x[None]"),
    (back(bias=np.zeros(3)), ShapeError, "conv_transpose2d: bias (3,) does not fit weight (3, 4, 3, 3), which makes 4 outputs"),
    (back(groups=2), ArgumentError, "conv_transpose2d: groups=2 does not divide the 3 channels"),
    (back(stride=0), ShapeError, "conv_transpose2d: stride=0"),
    (back(padding="same"), ShapeError, "conv_transpose2d: padding='same': expected an integer >= 0 or a pair"),
    (back(output_padding=1), ShapeError, "conv_transpose2d: output_padding=1 is not smaller than stride 1 or dilation 1"),
    (back(output_padding=-1), ShapeError, "conv_transpose2d: output_padding=-1"),
    (back(padding=5), ShapeError, "conv_transpose2d: padding=5 leaves nothing of an axis: the filters cover 10, and 5 are cut off at both ends"),
    # locally connected
    (lambda: F.locally_connected2d(IMAGES, FILTERS), ShapeError, "locally_connected2d: expected input (N, C, H, W) and weight (K, OH, OW, C, FH, FW), got (2, 3, 8, 8) and (4, 3, 3, 3)"),
    (lambda: F.locally_connected2d(IMAGES[:, :2], LOCAL), ShapeError, "locally_connected2d: input (2, 2, 8, 8) has 2 channels, weight (4, 6, 6, 3, 3, 3) expects 3"),
    (lambda: F.locally_connected2d(IMAGES[..., :7], LOCAL), ShapeError, "locally_connected2d: the windows make outputs of 6 x 5, weight (4, 6, 6, 3, 3, 3) has filters for 6 x 6"),
    (lambda: F.locally_connected2d(IMAGES, LOCAL, np.zeros(4)), ShapeError, "bias (4,) does not fit weight (4, 6, 6, 3, 3, 3), which makes 4 x 6 x 6 outputs"),
    (lambda: F.locally_connected2d(IMAGES, LOCAL, padding="some"), ArgumentError, "locally_connected2d: padding='some'"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors(act: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        act()
    assert message in str(raised.value)
    assert type(raised.value) is error
