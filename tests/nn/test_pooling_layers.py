"""Pooling layers: PyTorch as their oracle, what they check, and how they are drawn."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from oracle import both, compare_layers

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.check import diagnose, gradcheck
from tinygrad_cnn.errors import ArgumentError, ShapeError

SIGNALS, IMAGES, VOLUMES = (2, 3, 11), (2, 3, 9, 8), (2, 3, 5, 6, 4)

# A layer, in both libraries the same expression, and the shape of an input.
LAYERS = [
    ("MaxPool1d(2)", SIGNALS),
    ("MaxPool1d(3, 2, 1, ceil_mode=True)", SIGNALS),
    ("MaxPool2d(3, 2, 1, 1, False, True)", IMAGES),
    ("MaxPool2d((3, 2), (2, 1), (1, 0), (1, 2))", IMAGES),
    ("MaxPool3d((2, 3, 1), ceil_mode=True)", VOLUMES),
    ("AvgPool1d(3, 2, 1, True, False)", SIGNALS),
    ("AvgPool2d(3, 2, 1, True)", IMAGES),
    ("AvgPool2d(3, 2, 1, True, False)", IMAGES),
    ("AvgPool2d(2, divisor_override=3)", IMAGES),
    ("AvgPool3d(2, 1, 1, count_include_pad=False)", VOLUMES),
    ("LPPool1d(2, 3, 2)", SIGNALS),
    ("LPPool2d(2, (3, 2), ceil_mode=True)", IMAGES),
    ("LPPool2d(float('inf'), 2)", IMAGES),
    ("LPPool3d(4, 2)", VOLUMES),
    ("AdaptiveAvgPool1d(4)", SIGNALS),
    ("AdaptiveAvgPool2d((None, 3))", IMAGES),
    ("AdaptiveAvgPool2d(1)", IMAGES),
    ("AdaptiveAvgPool3d((2, 3, 5))", VOLUMES),
    ("AdaptiveMaxPool1d(4)", SIGNALS),
    ("AdaptiveMaxPool2d((2, None))", IMAGES),
    ("AdaptiveMaxPool3d(3)", VOLUMES),
]


@pytest.mark.parametrize(("expression", "shape"), LAYERS)
def test_layers_agree_with_pytorch(
    expression: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    compare_layers(expression, shape, rng)
    assert not list(eval(f"nn.{expression}").parameters())


@pytest.mark.parametrize(
    ("expression", "shape"),
    [
        ("MaxPool1d(2, return_indices=True)", SIGNALS),
        ("MaxPool2d(3, 2, 1, 1, True, True)", IMAGES),
        ("MaxPool3d(2, return_indices=True)", VOLUMES),
        ("AdaptiveMaxPool1d(3, True)", SIGNALS),
        ("AdaptiveMaxPool2d(4, return_indices=True)", IMAGES),
        ("AdaptiveMaxPool3d(2, return_indices=True)", VOLUMES),
    ],
)
def test_indices_agree_with_pytorch(
    expression: str, shape: tuple[int, ...], rng: np.random.Generator
) -> None:
    import torch

    ours, theirs = both(expression)
    data = rng.normal(size=shape)
    for found, expected in zip(ours(data), theirs(torch.tensor(data)), strict=True):
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize(
    ("axes", "shape", "expression"),
    [(1, SIGNALS, "(2)"), (2, IMAGES, "((3, 2))"), (3, VOLUMES, "(2, stride=2)")],
)
def test_unpooling_agrees_with_pytorch(
    axes: int, shape: tuple[int, ...], expression: str, rng: np.random.Generator
) -> None:
    import torch

    pool, theirs = both(f"MaxPool{axes}d{expression[:-1]}, return_indices=True)")
    unpool, back = both(f"MaxUnpool{axes}d{expression}")
    data = rng.normal(size=shape)
    found = unpool(*pool(data), output_size=shape)
    expected = back(*theirs(torch.tensor(data)), output_size=shape)
    np.testing.assert_array_equal(found, expected.numpy())


class AutoEncoder(nn.Module):
    """The pool's winners return to where they were."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1, dtype=float)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)

    def forward(self, x: Any) -> Any:
        """(N, 2, H, W) to (N, 3, H, W)."""
        pooled, indices = self.pool(self.conv(x))
        return self.unpool(pooled, indices)


NETS: dict[str, Callable[[], nn.Module]] = {
    "ceil mode": lambda: nn.Sequential(nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 2)),
    "averages": lambda: nn.Sequential(nn.AvgPool2d(3, 2, 1, True), nn.AdaptiveMaxPool2d(2)),
    "adaptive": lambda: nn.Sequential(nn.AdaptiveAvgPool2d((4, 5)), nn.GlobalMaxPool2d()),
    "norms": lambda: nn.Sequential(nn.LPPool2d(2, 2), nn.GlobalAvgPool2d()),
    "unpooling": AutoEncoder,
}


@pytest.mark.parametrize("name", NETS)
def test_the_tools_take_them(name: str, rng: np.random.Generator) -> None:
    """Gradient checks, derivations, pictures and receptive fields, as of any other layer."""
    net, data = NETS[name](), rng.normal(size=(2, 2, 6, 8))
    assert gradcheck(net, [data], sample=30).ok
    x = tc.tensor(data, requires_grad=True)
    loss = (net(x) ** 2).sum()
    assert tc.explain.derive(loss).error < 1e-10
    assert "pool2d" in tc.draw.graph(loss).svg()
    last = "unpool" if name == "unpooling" else "1"
    unit = tuple(0 for _ in net(x).shape[1:])
    box = tc.draw.receptive_field_box(net, (last, unit), (2, 6, 8))
    expected = {"adaptive": (0, 0, 6, 8), "norms": (0, 0, 6, 8), "unpooling": (0, 0, 3, 3)}
    assert box == expected.get(name, (0, 0, 6, 6) if name == "ceil mode" else box)


@pytest.mark.parametrize(("axes", "size"), [(1, (6,)), (3, (4, 4, 2))])
def test_the_doctor_knows_signals_and_volumes(axes: int, size: Any, rng: Any) -> None:
    def pool(x: Any) -> Any:
        return getattr(tc.functional, f"max_pool{axes}d")(x, 2)

    def negative(g: Any, x: Any) -> Any:
        x = tc.tensor(x, requires_grad=True)
        return -tc.gradients(pool(x), [x], g)[0].numpy()

    x = rng.normal(size=(2, 2, *size))
    assert diagnose(pool, {"x": x}, negative).causes == {"x": {"sign"}}


def test_settings_survive_pickling() -> None:
    layer = pickle.loads(pickle.dumps(nn.MaxPool2d(3, 2, 1, ceil_mode=True)))
    assert repr(layer) == repr(nn.MaxPool2d(3, 2, 1, ceil_mode=True))
    assert layer(np.zeros((1, 1, 6, 6))).shape == (1, 1, 4, 4)


@pytest.mark.parametrize("pool", ["Avg", "Max"])
@pytest.mark.parametrize(("axes", "shape"), [(1, SIGNALS), (2, IMAGES), (3, VOLUMES)])
def test_global_pools(pool: str, axes: int, shape: tuple[int, ...], rng: Any) -> None:
    data = rng.normal(size=shape)
    layer = getattr(nn, f"Global{pool}Pool{axes}d")
    over = {"Avg": np.mean, "Max": np.max}[pool]
    np.testing.assert_allclose(layer()(data), over(data, axis=tuple(range(2, axes + 2))))
    assert layer(keepdims=True)(data).shape == (2, 3, *[1] * axes)
    with pytest.raises(ShapeError, match=f"global_{pool.lower()}_pool{axes}d: expected"):
        layer()(data[0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.MaxPool1d(0), "MaxPool1d: kernel_size=0"),
        (lambda: nn.MaxPool3d((2, 2)), r"MaxPool3d: kernel_size=\(2, 2\)"),
        (lambda: nn.MaxPool2d(2, padding="some"), "MaxPool2d: padding='some'"),
        (lambda: nn.MaxPool2d(2, padding=-1), "MaxPool2d: padding=-1"),
        (lambda: nn.MaxPool2d(3, padding=((0, 2), 0)), "is more than half of the window"),
        (lambda: nn.MaxPool2d(2, ceil_mode=True, fit="crop"), "MaxPool2d: ceil_mode=True is fit="),
        (lambda: nn.AvgPool2d(2, fit="round"), "AvgPool2d: fit='round', expected one of floor"),  # type: ignore[arg-type]
        (lambda: nn.AvgPool2d(2, divisor_override=0), "AvgPool2d: divisor_override=0"),
        (lambda: nn.LPPool2d(0, 2), "LPPool2d: norm_type=0: expected a number other than 0"),
        (lambda: nn.AdaptiveAvgPool2d(0), "AdaptiveAvgPool2d: output_size=0"),
        (lambda: nn.AdaptiveMaxPool3d((1, 2)), r"AdaptiveMaxPool3d: output_size=\(1, 2\)"),
        (lambda: nn.MaxUnpool2d(2, padding="same"), "MaxUnpool2d: padding='same'"),  # type: ignore[arg-type]
    ],
)
def test_settings_are_checked_at_construction(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: nn.MaxPool1d(2), "MaxPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
        (
            lambda: nn.MaxPool2d(3, 2, ((0, 1), 1), ceil_mode=True, return_indices=True),
            "MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding=((0, 1), (1, 1)),"
            " return_indices=True, ceil_mode=True)",
        ),
        (
            lambda: nn.AvgPool2d(2, padding="same", count_include_pad=False, fit="exact"),
            "AvgPool2d(kernel_size=(2, 2), stride=(2, 2), padding='same',"
            " count_include_pad=False, fit='exact')",
        ),
        (lambda: nn.LPPool1d(2, 3), "LPPool1d(norm_type=2, kernel_size=(3,), stride=(3,))"),
        (lambda: nn.AdaptiveAvgPool2d((1, None)), "AdaptiveAvgPool2d(output_size=(1, None))"),
        (lambda: nn.GlobalAvgPool2d(), "GlobalAvgPool2d()"),
        (lambda: nn.GlobalAvgPool2d(True), "GlobalAvgPool2d(keepdims=True)"),
        (
            lambda: nn.MaxUnpool2d(2),
            "MaxUnpool2d(kernel_size=(2, 2), stride=(2, 2), padding=(0, 0))",
        ),
    ],
)
def test_repr_shows_settings(make: Callable[[], nn.Module], text: str) -> None:
    assert repr(make()) == text
