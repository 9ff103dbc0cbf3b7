"""Convolutions of every kind against PyTorch: values and all gradients, to 1e-10 in float64."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from arrays import LAYOUTS, normal
from oracle import compare

from tinygrad_cnn import functional as F

torch = pytest.importorskip("torch")
T = torch.nn.functional

SIZES = {1: (7,), 2: (6, 7), 3: (4, 5, 6)}
KERNELS = {1: (3,), 2: (2, 3), 3: (2, 1, 3)}
FUNCTIONS = {n: (getattr(F, f"conv{n}d"), getattr(T, f"conv{n}d")) for n in (1, 2, 3)}
MODES = {
    "zeros": "constant",
    "reflect": "reflect",
    "replicate": "replicate",
    "circular": "circular",
}


def operands(axes: int, groups: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two images of four channels, six filters, and their bias."""
    weight = normal(6, 4 // groups, *KERNELS[axes])
    return normal(2, 4, *SIZES[axes]), weight, normal(6)


GRID = [
    {"stride": s, "padding": p, "dilation": d, "groups": g}
    for s, p, d, g in itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2))
]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("options", GRID, ids=str)
def test_convolution(axes: int, options: dict[str, int]) -> None:
    ours, theirs = FUNCTIONS[axes]
    compare(
        lambda *x: ours(*x, **options),
        lambda *x: theirs(*x, **options),
        *operands(axes, options["groups"]),
        second_order=False,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axes", [1, 3])
def test_second_order(axes: int, layout: Any) -> None:
    ours, theirs = FUNCTIONS[axes]
    options = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    x, weight, bias = operands(axes, 2)
    compare(
        lambda *x: ours(*x, **options),
        lambda *x: theirs(*x, **options),
        layout(x), layout(weight), bias,
    )  # fmt: skip


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_setting_for_each_axis(axes: int) -> None:
    ours, theirs = FUNCTIONS[axes]
    options = {
        "stride": (2, 1, 3)[:axes],
        "padding": (0, 2, 1)[:axes],
        "dilation": (1, 2, 1)[:axes],
    }
    compare(
        lambda *x: ours(*x, **options),
        lambda *x: theirs(*x, **options),
        *operands(axes), second_order=False,
    )  # fmt: skip


@pytest.mark.parametrize("groups", [4, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_depthwise(axes: int, groups: int) -> None:
    ours, theirs = FUNCTIONS[axes]
    x = normal(2, 4, *SIZES[axes])
    weight = normal(8, 4 // groups, *KERNELS[axes])
    compare(
        lambda *x: ours(*x, padding=1, groups=groups),
        lambda *x: theirs(*x, padding=1, groups=groups),
        x, weight, second_order=False,
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_padding_by_name(axes: int, dilation: int, padding: str) -> None:
    """PyTorch has these two, "same" at stride 1 only; KERNELS has even and odd lengths."""
    ours, theirs = FUNCTIONS[axes]
    options = {"padding": padding, "dilation": dilation}
    compare(
        lambda *x: ours(*x, **options),
        lambda *x: theirs(*x, **options),
        *operands(axes), second_order=False,
    )  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_padding_modes(axes: int, mode: Any) -> None:
    ours, theirs = FUNCTIONS[axes]
    pairs = ((2, 1), (0, 3), (1, 2))[:axes]
    reversed_pairs = [n for pair in pairs[::-1] for n in pair]  # as PyTorch's pad has them
    compare(
        lambda *x: ours(*x, stride=2, padding=pairs, padding_mode=mode),
        lambda x, *w: theirs(T.pad(x, reversed_pairs, MODES[mode]), *w, stride=2),
        *operands(axes), second_order=mode == "reflect",
    )  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flip_and_groups(layout: Any) -> None:
    x, weight, bias = operands(2, 2)
    compare(
        lambda *x: F.conv2d(*x, padding=1, groups=2, flip=True),
        lambda x, w, b: T.conv2d(x, w.flip(2, 3), b, padding=1, groups=2),
        layout(x), layout(weight), bias,
    )  # fmt: skip


# -- transposed -----------------------------------------------------------------------------

TRANSPOSED = {
    n: (getattr(F, f"conv_transpose{n}d"), getattr(T, f"conv_transpose{n}d")) for n in (1, 2, 3)
}
TRANSPOSED_GRID = [
    {"stride": s, "padding": p, "output_padding": o, "groups": g, "dilation": d}
    for s, p, o, g, d in itertools.product((1, 2, 3), (0, 1), (0, 1, 2), (1, 2), (1, 2))
    if o < max(s, d)
]


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("options", TRANSPOSED_GRID, ids=str)
def test_transposed(axes: int, options: dict[str, int]) -> None:
    ours, theirs = TRANSPOSED[axes]
    kernel = tuple(max(f, 2) for f in KERNELS[axes])
    compare(
        lambda *x: ours(*x, **options),
        lambda *x: theirs(*x, **options),
        normal(2, 4, *(n - 2 for n in SIZES[axes])),
        normal(4, 6 // options["groups"], *kernel),
        normal(6),
        second_order=False,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_transposed_second_order(layout: Any) -> None:
    options = {"stride": (2, 1), "padding": (1, 0), "output_padding": (1, 0), "groups": 2}
    compare(
        lambda *x: F.conv_transpose2d(*x, **options),
        lambda *x: T.conv_transpose2d(*x, **options),
        layout(normal(2, 4, 3, 4)), layout(normal(4, 3, 3, 2)), normal(6),
    )  # fmt: skip
