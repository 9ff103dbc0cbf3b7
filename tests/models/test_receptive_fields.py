"""The law of what units see: against formulas, gradients and the exact box of single units."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import models, nn
from tinygrad_cnn._core.primitive import registry
from tinygrad_cnn.errors import ArgumentError, GraphError, ShapeError
from tinygrad_cnn.models import receptive_field, receptive_field_box


class Named(nn.Module):
    """A function as a model; what it calls is positive, so that no gradient cancels."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function
        self.out = nn.Identity()

    def forward(self, x: Any) -> Any:
        return self.out(self.function(x))


def ones(*shape: int) -> tc.Tensor:
    return tc.Tensor(np.ones(shape))


def conv(x: Any, size: int, **settings: Any) -> Any:
    """Channels are mixed, weights are 1."""
    return F.conv2d(x, ones(2, 2, size, size), **settings)


def residual(x: Any) -> Any:
    return x + conv(conv(x, 3, padding=1), 3, padding=1)


def inception(x: Any) -> Any:
    branches = [conv(x, 1), conv(x, 3, padding=1), conv(x, 5, padding=2)]
    return tc.concatenate([*branches, F.avg_pool2d(x, 3, stride=1, padding=1)], axis=1)


def encoder_decoder(x: Any) -> Any:
    down = F.avg_pool2d(conv(x, 3, padding=1), 2)
    return x + F.conv_transpose2d(conv(down, 3, padding=1), ones(2, 2, 2, 2), stride=2)


def tiles(x: Any) -> Any:
    """Space to depth: blocks of 2x2 become channels, which a convolution mixes."""
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4)
    return F.conv2d(parts.reshape(n, 4 * c, h // 2, w // 2), ones(2, 4 * c, 3, 3))


def depth_to_space(x: Any) -> Any:
    n, _, h, w = x.shape
    parts = F.conv2d(x, ones(8, 2, 3, 3), padding=1).reshape(n, 2, 2, 2, h, w)
    return parts.transpose(0, 1, 4, 2, 5, 3).reshape(n, 2, 2 * h, 2 * w)


def upsampled(x: Any) -> Any:
    return conv(tc.repeat(tc.repeat(x, 2, axis=2), 2, axis=3), 3, padding=1)


FUNCTIONS = {
    "7x7 of 3x3": lambda x: conv(conv(conv(x, 3), 3), 3),
    "stride and padding": lambda x: conv(conv(x, 5, stride=2, padding=2), 3, padding=1),
    "dilation": lambda x: conv(conv(x, 3, dilation=2), 3, dilation=(1, 3)),
    "one-sided padding": lambda x: conv(x, 4, padding=((3, 0), (1, 2))),
    "groups": lambda x: F.conv2d(x, ones(4, 1, 3, 3), groups=2, stride=(2, 1)),
    "average pools": lambda x: conv(F.avg_pool2d(x, 3, stride=2, padding=1), 3),
    "norm pools": lambda x: F.lp_pool2d(x, 2, 3, stride=2),
    "columns": lambda x: tc.im2col(x, 3).reshape(2, 9, 14, 14, 1).sum(1).transpose(3, 0, 1, 2),
    "residual": residual,
    "inception": inception,
    "transposed": lambda x: F.conv_transpose2d(conv(x, 3), ones(2, 2, 3, 3), stride=2, padding=1),
    "transposed with gaps": lambda x: F.conv_transpose2d(x, ones(2, 2, 2, 2), stride=3),
    "encoder-decoder": encoder_decoder,
    "space to depth": tiles,
    "depth to space": depth_to_space,
    "upsampled": upsampled,
    "slices": lambda x: conv(x[:, :, 1::2, -10:], 3)[:, :1],
    "flipped": lambda x: conv(tc.flip(conv(x, 3, stride=2, padding=1), 3), 2),
    "transposed picture": lambda x: conv(x, 3).swapaxes(2, 3).swapaxes(2, 3) + conv(x, 3),
    "one by one": lambda x: tc.einsum("nchw,kc->nkhw", conv(x, 3), ones(3, 2)),
    "normalised channels": lambda x: F.local_response_norm(conv(x, 3), 3),
    "elementwise": lambda x: 1.0 / (1.0 + tc.exp(-conv(x, 3) / 100.0)) + tc.sqrt(conv(x, 3)),
    "stacked": lambda x: tc.stack([conv(x, 3), 2.0 * conv(x, 3)], axis=0).sum(axis=0),
    "global mean": lambda x: F.avg_pool2d(conv(x, 3), 14).reshape(1, -1) @ ones(2, 3),
    "adaptive pools": lambda x: F.adaptive_avg_pool2d(conv(x, 3), (7, 7)),
}  # fmt: skip


def gradient_of(model: nn.Module, index: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Where the gradient of one output by the image is not zero: (H, W)."""
    image = tc.Tensor(1.0 + np.random.default_rng(0).random((1, 2, 16, 16)), requires_grad=True)
    [gradient] = tc.gradients(model(image)[0, *index], [image])
    return np.asarray((gradient.numpy()[0] != 0).any(axis=0))


def hull(mask: np.ndarray[Any, Any]) -> tuple[tuple[int, int], ...] | None:
    sides = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    return tuple((int(s[0]), int(s[-1]) + 1) for s in sides) if mask.any() else None


@pytest.mark.parametrize("name", FUNCTIONS)
def test_units_see_where_gradients_are_not_zero(name: str) -> None:
    model = Named(FUNCTIONS[name])
    field = receptive_field(model, (2, 16, 16))["out"]
    shape = field.output_shape[1:]
    spatial = len(shape) == 3
    for place in [(0, 0), (1, 2), (shape[1] // 2, shape[2] - 1)] if spatial else [(0, 0)]:
        seen = np.zeros((16, 16), bool)
        for channel in range(shape[0]):  # a branch of an inception has fewer pixels than all
            index = (channel, *place) if spatial else (channel,)
            seen |= gradient_of(model, index)
        assert field.sees(*place) == hull(seen)


def unclipped(field: models.ReceptiveField, place: tuple[int, ...]) -> list[tuple[int, int]]:
    seen = (law.sees(unit) for law, unit in zip(field.laws, place, strict=True))
    return [interval for interval in seen if interval is not None]


LAYER = st.tuples(
    st.sampled_from(["conv", "pool", "up"]),
    st.integers(1, 4),
    st.integers(1, 3),
    st.integers(0, 1),
    st.integers(1, 2),
)


@settings(max_examples=60)
@given(st.lists(LAYER, min_size=1, max_size=4))
def test_any_row_of_layers_sees_where_gradients_are_not_zero(layers: list[Any]) -> None:
    def run(x: Any) -> Any:
        for kind, size, stride, padding, dilation in layers:
            if min(x.shape[2:]) < 2 * size:
                break
            if kind == "conv":
                x = conv(x, size, stride=stride, padding=padding, dilation=dilation)
            elif kind == "pool":
                x = F.avg_pool2d(x, size, stride=stride, padding=min(padding, size // 2))
            elif max(x.shape) < 40:
                x = F.conv_transpose2d(x, ones(2, 2, size, size), stride=stride)
        return x

    model = Named(run)
    field = receptive_field(model, (2, 16, 16))["out"]
    rows, columns = field.output_shape[2:]
    for place in ((rows // 2, columns // 2), (rows // 2, (columns - 1) // 2)):
        seen = hull(gradient_of(model, (0, *place)))
        inside = field.sees(*place)
        if any(low < 0 or high > 15 for low, high in unclipped(field, place)):
            # of a window with gaps at the border only what is left of it
            assert seen is None or all(
                a <= c < d <= b for (a, b), (c, d) in zip(inside or (), seen, strict=True)
            )
            continue
        assert inside == seen
        box = receptive_field_box(model, ("out", (0, *place)), (2, 16, 16)) if seen else None
        assert box is None or ((box[0], box[2]), (box[1], box[3])) == seen


def test_three_small_filters_see_as_much_as_a_large_one_with_fewer_weights() -> None:
    """The CS231n notes: 7x7, with 3 (C (3 3 C)) = 27 C² weights against C (7 7 C) = 49 C²."""
    channels = 6
    small = nn.Sequential(*[nn.Conv2d(channels, channels, 3, bias=False) for _ in range(3)])
    large = nn.Sequential(nn.Conv2d(channels, channels, 7, bias=False))
    fields = receptive_field(small, (channels, 20, 20))
    assert [field.size for field in fields] == [(3, 3), (5, 5), (7, 7)]
    [field] = receptive_field(large, (channels, 20, 20))
    assert (field.size, field.stride, field.start) == ((7, 7), (1, 1), (0, 0))
    weights = [sum(p.size for p in net.parameters()) for net in (small, large)]
    assert weights == [27 * channels**2, 49 * channels**2]


@pytest.mark.parametrize(
    "layers",
    [
        [(5, 1, 2, 1), (2, 2, 0, 1), (5, 1, 0, 1)],
        [(3, 2, 1, 1), (3, 1, 1, 2), (3, 1, 1, 1)],
        [(11, 4, 0, 1), (3, 2, 0, 1), (5, 1, 2, 1), (3, 2, 0, 1), (3, 1, 1, 1)],  # AlexNet
    ],
)
def test_size_stride_and_start_by_the_recurrences(layers: list[tuple[int, ...]]) -> None:
    """Araujo et al.: r += (k - 1) d j, start -= p j, j *= s."""
    size, jump, start = 1, 1, 0
    for kernel, stride, padding, dilation in layers:
        size += (kernel - 1) * dilation * jump
        start -= padding * jump
        jump *= stride
    network = nn.Sequential(*[
        nn.Conv2d(1, 1, kernel, stride=stride, padding=padding, dilation=dilation)
        for kernel, stride, padding, dilation in layers
    ])  # fmt: skip
    *_, last = receptive_field(network, (1, 227, 227))
    assert (last.size, last.stride, last.start) == ((size,) * 2, (jump,) * 2, (start,) * 2)


def test_published_sizes() -> None:
    """Araujo, Norris and Sim (2019): AlexNet v2 195, VGG-16 212; ResNets by their recurrences."""
    fields = receptive_field(models.AlexNet(classes=10))
    assert fields["features.12"].size == (195, 195)
    fields = receptive_field(models.ResNet(18, classes=10))
    assert fields["layer4.1.relu"].size == (435, 435)
    assert fields["layer4.1.relu"].stride == (32, 32)
    assert fields["fc"].size == (224, 224)
    assert fields["fc"].stride == (0, 0)


def test_real_models_agree_with_the_exact_box() -> None:
    for model, layer, places in [
        (models.LeNet5(), "conv2", [(0, 0), (4, 5), (9, 9)]),
        (models.ConvNetJSCifar(), "pool2", [(4, 5)]),
        (models.CifarResNet(8), "layer2.0.conv2", [(0, 3), (8, 8), (15, 15)]),
    ]:
        shape: Any = model.input_shape
        field = receptive_field(model)[layer]
        for place in places:
            box = receptive_field_box(model, (layer, (0, *place)), shape)
            assert field.sees(*place) == ((box[0], box[2]), (box[1], box[3]))


def test_transposed_convolutions_have_a_stride_below_one() -> None:
    model = Named(lambda x: F.conv_transpose2d(x, ones(2, 2, 2, 2), stride=3))
    field = receptive_field(model, (2, 5, 5))["out"]
    assert field.stride == (Fraction(1, 3),) * 2
    assert field.size == (1, 1)
    assert field.sees(2, 0) is None  # a gap between two windows


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_a_border_of_other_pixels_follows_the_law_of_the_inner_ones(mode: Any) -> None:
    zeros, other = (
        receptive_field(
            nn.Sequential(*[nn.Conv2d(1, 1, 3, padding=1, padding_mode=m) for _ in range(2)]),
            (1, 12, 12),
        )
        for m in ("zeros", mode)
    )
    assert [field.laws for field in other] == [field.laws for field in zeros]


def test_pictures_side_by_side() -> None:
    """Half of one and half of another: there is no law, all of both may be seen."""
    two = Named(lambda x: tc.concatenate([x[:, :, :, 8:], x[:, :, :, :8]], axis=3))
    assert receptive_field(two, (2, 16, 16))["out"].size == (1, 16)


def test_signals_and_volumes_have_fields_too() -> None:
    signal = nn.Sequential(nn.Conv1d(1, 1, 5, stride=2, padding=2), nn.MaxPool1d(3))
    *_, field = receptive_field(signal, (1, 64))
    assert (field.size, field.stride, field.start) == ((9,), (6,), (-2,))
    *_, field = receptive_field(nn.Sequential(nn.Conv3d(1, 1, (1, 3, 5))), (1, 1, 8, 8, 8))
    assert str(field) == "1x3x5"


def test_behind_a_primitive_of_the_user_the_field_is_the_whole_image() -> None:
    mix = tc.primitive("mix_in_fields", np.array, (lambda g, ans, x: g,))
    try:
        field = receptive_field(Named(mix), (2, 4, 6))["out"]
        assert field.sees(1, 1) == ((0, 4), (0, 6))
    finally:
        del registry["mix_in_fields"]


def test_the_table_and_the_layers_by_name() -> None:
    fields = receptive_field(models.LeNet5(), (1, 28, 28))
    lines = str(fields).splitlines()
    assert lines[0].split() == ["layer", "type", "output", "shape", "sees", "stride", "from"]
    assert lines[2].split()[-3:] == ["5x5", "1", "-2"]
    assert fields._repr_html_().count("<tr>") == len(fields) + 1
    assert fields["relu"] is fields[9]  # as it ran last
    with pytest.raises(ArgumentError, match="'conv9' is no layer that ran; there are conv1"):
        fields["conv9"]
    with pytest.raises(ShapeError, match="conv1 has 2 axes in space"):
        fields["conv1"].sees(1)
    uneven = receptive_field(nn.Sequential(nn.Conv2d(1, 1, (1, 3), padding=(0, 1))), (1, 8, 8))
    assert str(uneven).splitlines()[2].split()[-3:] == ["1", "0,", "-1"]


@pytest.mark.parametrize(
    ("model", "shape", "error", "message"),
    [
        (nn.Conv2d(1, 1, 3), None, ArgumentError, "pass input_shape"),
        (nn.Conv2d(1, 1, 3), (28,), ShapeError, r"expected \(C, H, W\)"),
        (nn.Conv2d(1, 1, 3), 28, ArgumentError, "expected an array or a shape"),
        (nn.Conv2d(1, 1, 3), (1, 0, 8), ArgumentError, "expected an array or a shape"),
        (nn.Conv2d(1, 1, 3), (3, 8, 8), ShapeError, "3 channels"),
        (F.relu, (3, 8, 8), ArgumentError, "expected a model"),
        (Named(lambda x: tc.ones(2)), (3, 8, 8), GraphError, "depends on the image"),
    ],
)
def test_what_has_no_field_is_refused(model: Any, shape: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        receptive_field(model, shape)
