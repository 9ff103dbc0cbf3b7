"""What a unit sees: the box against formulas and against changing every pixel."""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, REGISTERED

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn._core.backprop import backpropagate
from tinygrad_cnn._core.primitive import registry
from tinygrad_cnn.draw.receptive_field import receptive_field, receptive_field_box
from tinygrad_cnn.draw.saliency import saliency
from tinygrad_cnn.errors import (
    ArgumentError,
    DtypeError,
    GraphError,
    OutOfBoundsError,
    ShapeError,
)
from tinygrad_cnn.models.inspection._box import _LINEAR, _REDUCTIONS, _operands_seen
from tinygrad_cnn.models.inspection._tracking import ELEMENTWISE


def pixels(axes, number=0):
    return np.asarray(axes.images[number].get_array())


# -- the box -------------------------------------------------------------------------------


@pytest.mark.parametrize(("layers", "side"), [(1, 3), (2, 5), (3, 7)])
def test_small_filters_in_a_stack_see_as_much_as_a_large_one(layers, side):
    """The CS231n notes: three layers of 3x3 see 7x7."""
    stack = nn.Sequential(*[nn.Conv2d(1, 1, kernel_size=3) for _ in range(layers)])
    top, left, bottom, right = receptive_field_box(stack, (stack[-1], (0, 4, 3)), (1, 20, 20))
    assert (top, left) == (4, 3)
    assert (bottom - top, right - left) == (side, side)


def by_formula(layers, place):
    """Dumoulin and Visin: rows [start, end) that a place in the last layer sees, unclipped."""
    start, end = place, place + 1
    for kernel, stride, padding, dilation in reversed(layers):
        start = start * stride - padding
        end = (end - 1) * stride - padding + dilation * (kernel - 1) + 1
    return start, end


@pytest.mark.parametrize("place", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "layers",
    [
        [(5, 1, 2, 1), (2, 2, 0, 1), (5, 1, 0, 1)],
        [(3, 2, 1, 1), (3, 1, 1, 2), (3, 1, 1, 1)],
        [(3, 1, 0, 3), (2, 3, 0, 1)],
    ],
)
def test_the_box_is_that_of_the_formula_clipped_at_the_border(layers, place):
    size = 40
    network = nn.Sequential(
        *[
            nn.Conv2d(1, 1, kernel, stride=stride, padding=padding, dilation=dilation)
            for kernel, stride, padding, dilation in layers
        ]
    )
    top, left, bottom, right = receptive_field_box(
        network, (str(len(layers) - 1), (0, place, 2)), (1, size, size)
    )
    for found, where in (((top, bottom), place), ((left, right), 2)):
        start, end = by_formula(layers, where)
        assert found == (max(start, 0), min(end, size))


def test_lenet():
    """conv1 5x5 padded by 2, pool 2, conv2 5x5: 5 + 1 + 4 * 2 = 14 pixels, 4 in a 14x14 map."""
    model = tc.models.LeNet5()
    assert receptive_field_box(model, ("conv1", (0, 0, 27)), (1, 28, 28)) == (0, 25, 3, 28)
    assert receptive_field_box(model, ("conv2", (15, 4, 5)), (1, 28, 28)) == (6, 8, 20, 22)
    assert receptive_field_box(model, ("pool2", (0, 0, 0)), (1, 28, 28)) == (0, 0, 14, 14)
    assert receptive_field_box(model, ("fc3", 7), (1, 28, 28)) == (0, 0, 28, 28)


class Zoo(nn.Module):
    """Branches, groups, every kind of pooling, reductions, and operations without a scope."""

    def __init__(self, kind):
        super().__init__()
        self.kind = kind
        self.grouped = nn.Conv2d(2, 4, kernel_size=3, padding=1, groups=2)
        self.out = nn.Identity()

    def forward(self, x):
        y = F.relu(self.grouped(x))
        if self.kind == "residual":
            y = y + tc.concatenate([x, tc.flip(x, 3)], axis=1)
        elif self.kind == "split ties":
            with tc.conventions(ties="split"):
                y = F.max_pool2d(y, 3, stride=2, padding=1)
        elif self.kind == "mean of squares":
            y = F.avg_pool2d(y * y, 2).mean(axis=3, keepdims=True)
        elif self.kind == "cropped":
            y = tc.pad(y[:, :, 1::2, :4], ((0, 0), (0, 0), (1, 0), (0, 2))).max(axis=1)
        elif self.kind == "upsampled":
            y = tc.repeat(tc.repeat(y.swapaxes(2, 3), 2, axis=2).swapaxes(2, 3), 2, axis=2)
        elif self.kind == "einsum":
            y = tc.einsum("nchw,hk->nckw", y, np.eye(8)) / (1 + tc.exp(-y))
        return self.out(y)


@pytest.mark.parametrize(
    "kind", ["plain", "residual", "split ties", "mean of squares", "cropped", "upsampled", "einsum"]
)
def test_the_box_is_where_pixels_matter(kind, rng):
    """Each pixel is moved up and down, on several images: what never matters lies outside."""
    model = Zoo(kind).double().eval()
    for parameter in model.parameters():
        parameter.data = np.abs(parameter.data)
    shape = model(tc.tensor(rng.random((1, 2, 8, 8)))).shape[1:]
    index = tuple(n // 2 for n in shape)
    image = 1 + rng.random((1, 2, 8, 8))
    matters = np.zeros((8, 8), bool)
    for channel, row, column in np.ndindex(2, 8, 8):
        for amount in (-9.0, 9.0):
            changed = image.copy()
            changed[0, channel, row, column] += amount
            with tc.no_grad():
                before, after = model(tc.tensor(image)), model(tc.tensor(changed))
            matters[row, column] |= bool(before.numpy()[(0, *index)] != after.numpy()[(0, *index)])
    rows, columns = np.flatnonzero(matters.any(1)), np.flatnonzero(matters.any(0))
    expected = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    if kind == "einsum":  # a zero factor stops a change, which the structure does not know
        expected = 0, expected[1], 8, expected[3]
    assert receptive_field_box(model, ("out", index), (2, 8, 8)) == expected


def test_what_a_relu_and_a_pool_hide_belongs_to_the_field():
    """Where gradients are zero the field is not."""
    model = nn.Sequential(nn.Conv2d(1, 1, kernel_size=3), nn.ReLU(), nn.MaxPool2d(2))
    model[0].weight.data[...] = 0
    model[0].bias.data[...] = -1
    assert receptive_field_box(model, ("2", (0, 1, 1)), (1, 10, 10)) == (2, 2, 6, 6)


def test_behind_a_primitive_of_the_user_the_field_is_the_whole_image():
    mix = tc.primitive("mix_for_test", np.array, (lambda g, ans, x: g,))
    try:

        class Mixed(nn.Module):
            def forward(self, x):
                return mix(x)

        assert receptive_field_box(Mixed(), ("", (0, 1, 1)), (1, 4, 6)) == (0, 0, 4, 6)
    finally:
        del registry["mix_for_test"]


def test_deep_networks_do_not_overflow():
    deep = nn.Sequential(*[nn.Conv2d(8, 8, kernel_size=3, padding=1) for _ in range(120)])
    with np.errstate(all="raise"):
        assert receptive_field_box(deep, ("119", (0, 4, 4)), (8, 8, 8)) == (0, 0, 8, 8)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_operation_hides_what_it_depends_on(case):
    """A gradient that is not zero never lies outside of the mask, whatever the primitive."""
    variables = [tc.Tensor(x, requires_grad=True) for x in case.inputs]
    y = case.function(*variables)
    if not y.requires_grad:
        return
    nodes = {x.node for x in variables}
    for index in list(np.ndindex(y.shape))[:: max(1, y.size // 4)]:
        seed = np.zeros(y.shape)
        seed[index] = 1.0
        seen = backpropagate({y.node: seed}, nodes, retain_graph=True, local=_operands_seen)
        for x, gradient in zip(
            variables, tc.gradients(y, variables, seed, retain_graph=True), strict=True
        ):
            if gradient is not None:
                assert np.all(np.asarray(seen[x.node]) != 0, where=gradient.numpy() != 0)


def test_the_operations_it_knows_exist():
    assert REGISTERED.keys() >= _LINEAR | ELEMENTWISE | _REDUCTIONS


@pytest.mark.parametrize(
    ("unit", "shape", "error", "message"),
    [
        (("conv9", (0, 0, 0)), (1, 28, 28), ArgumentError, "'conv9' is no layer.* conv1, pool1"),
        (nn.ReLU(), (1, 28, 28), ArgumentError, "expected a layer and an index"),
        ((nn.ReLU(), 0), (1, 28, 28), ArgumentError, "is no layer of the model"),
        (("conv2", (0, 0)), (1, 28, 28), ShapeError, r"\(16, 10, 10\): expected 3 integers"),
        (("conv2", (0, 0, 1.5)), (1, 28, 28), ShapeError, "expected 3 integers"),
        (("conv2", (0, 10, 0)), (1, 28, 28), OutOfBoundsError, r"\(0, 10, 0\) of a layer"),
        (("conv2", (0, 0, 0)), (28, 28), ShapeError, r"input_shape=\(28, 28\), expected"),
        (("conv2", (0, 0, 0)), (1, 0, 28), ShapeError, r"input_shape=\(1, 0, 28\)"),
        (("conv2", (0, 0, 0)), 28, ShapeError, "input_shape=28"),
        (("conv2", (0, 0, 0)), (3, 28, 28), ShapeError, "has 3 channels"),
    ],
)
def test_units_that_do_not_exist_are_refused(unit, shape, error, message):
    model = tc.models.LeNet5()
    with pytest.raises(error, match=message):
        receptive_field_box(model, unit, shape)
    assert not any(module._forward_hooks for module in model.modules())


def test_a_layer_that_does_not_see_the_image_is_refused():
    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.constant = nn.ReLU(), nn.Linear(2, 2)

        def forward(self, x):
            return self.constant(tc.ones(1, 2)) + x.sum()

    for layer in ("unused", "constant"):
        with pytest.raises(GraphError, match=r"depends? on the image"):
            receptive_field_box(Blind(), (layer, 0), (1, 4, 4))


# -- the picture ---------------------------------------------------------------------------


def test_the_picture_shows_box_and_gradient(rng):
    model = tc.models.LeNet5(generator=np.random.default_rng(0)).double()
    x = rng.random((1, 28, 28))
    image = tc.tensor(x[None], requires_grad=True)
    outputs = []
    handle = model.conv2.register_forward_hook(lambda *call: outputs.append(call[2]))
    figure = receptive_field(model, ("conv2", (3, 4, 5)), x)
    model(image)
    handle.remove()
    [gradient] = tc.gradients(outputs[-1][0, 3, 4, 5], [image])
    with_box, with_heat = figure.axes[:2]
    assert np.array_equal(pixels(with_box), x[0])
    [frame] = with_box.patches
    assert (frame.get_xy(), frame.get_width(), frame.get_height()) == ((7.5, 5.5), 14, 14)
    assert np.array_equal(pixels(with_heat, 1), np.abs(gradient.numpy()[0, 0]))
    outside = np.ones((28, 28), bool)
    outside[6:20, 8:22] = False
    assert not pixels(with_heat, 1)[outside].any()


def test_a_unit_that_is_off_is_said_to_be():
    model = nn.Sequential(nn.Conv2d(1, 1, kernel_size=3), nn.ReLU())
    model[0].bias.data[...] = -100
    figure = receptive_field(model, (model[1], (0, -1, 0)), np.ones((1, 5, 5)))
    assert figure.axes[1].get_title() == "nothing moves it here"
    assert figure.axes[0].get_title().startswith("1[0, 2, 0] can see 3x3 pixels")


# -- saliency ------------------------------------------------------------------------------


@pytest.fixture
def colour_net():
    generator = np.random.default_rng(0)
    return tc.models.ConvNetJS(3, image_size=12, dtype=np.float64, generator=generator)


def test_saliency_is_the_largest_gradient_over_the_colours(colour_net, rng):
    x = rng.standard_normal((3, 12, 12))
    image = tc.tensor(x[None], requires_grad=True)
    scores = colour_net(image)
    best = int(scores.numpy().argmax())
    [gradient] = tc.gradients(scores[0, best], [image])
    figure = saliency(colour_net, x)
    assert np.array_equal(pixels(figure.axes[1]), np.abs(gradient.numpy()[0]).max(axis=0))
    assert figure.axes[0].get_title().startswith(f"{best}: ")


def test_saliency_of_another_class(colour_net, rng):
    x = rng.standard_normal((1, 3, 12, 12))
    image = tc.tensor(x, requires_grad=True)
    [gradient] = tc.gradients(colour_net(image)[0, 7], [image])
    figure = saliency(colour_net, x, 7, classes="abcdefghij")
    assert np.array_equal(pixels(figure.axes[1]), np.abs(gradient.numpy()[0]).max(axis=0))
    assert figure.axes[0].get_title().startswith("h: ")


def test_smoothgrad_is_the_gradient_of_a_linear_model(rng):
    """Noise changes no gradient there; and the same picture comes twice."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3, dtype=np.float64, generator=rng))
    x = rng.random((3, 2, 2))
    plain = pixels(saliency(model, x, 1).axes[1])
    smooth = pixels(saliency(model, x, 1, method="smoothgrad").axes[1])
    assert np.allclose(plain, smooth, rtol=1e-12)
    assert np.allclose(plain, np.abs(model[1].weight.numpy()[1].reshape(3, 2, 2)).max(0))


def test_smoothgrad_repeats_itself_and_differs(colour_net, rng):
    x = rng.random((3, 12, 12))
    once, twice = (pixels(saliency(colour_net, x, method="smoothgrad").axes[1]) for _ in "ab")
    assert np.array_equal(once, twice)
    assert not np.allclose(once, pixels(saliency(colour_net, x).axes[1]))


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        ((np.ones((1, 8, 8)), 10), {}, OutOfBoundsError, "label=10, the model scores 10 classes"),
        ((np.ones((1, 8, 8)), -1), {}, ArgumentError, "label=-1"),
        ((np.ones((1, 8, 8)), "7"), {}, ArgumentError, "label='7'"),
        ((np.ones((1, 8, 8), int),), {}, DtypeError, "image of int64"),
        ((np.ones(64),), {}, ShapeError, r"got shape \(64,\)"),
        ((np.ones((1, 8, 8)),), {"method": "magic"}, ArgumentError, "gradient, smoothgrad"),
        ((np.ones((1, 8, 8)),), {"classes": ["a"]}, ArgumentError, "1 names .* 10 classes"),
    ],
)
def test_saliency_refuses_what_it_cannot_show(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        saliency(tc.models.DigitsNet(), *arguments, **settings)


def test_saliency_needs_scores():
    with pytest.raises(ShapeError, match=r"returned \(1, 2, 2, 2\), expected scores"):
        saliency(nn.Conv2d(1, 2, kernel_size=3), np.ones((1, 4, 4)))
