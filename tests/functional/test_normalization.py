"""Normalisation and dropout: PyTorch as the oracle, loops, the notes' derivation, mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from arrays import LAYOUTS, batch_innermost, normal
from oracle import compare, pytorch

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.errors import ArgumentError, ShapeError, TinygradCnnError

# -- local response normalisation ---------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 7, 3, 4), (2, 3, 5), (1, 4, 2, 2, 3), (2, 1, 1)])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 9])
def test_local_response_norm_against_torch(shape: tuple[int, ...], size: int) -> None:
    _, theirs = pytorch()
    for layout in LAYOUTS:
        compare(
            lambda x: F.local_response_norm(x, size, 0.3, 0.6, 1.5),
            lambda x: theirs.local_response_norm(x, size, 0.3, 0.6, 1.5),
            layout(normal(*shape)),
        )
    compare(
        lambda x: F.local_response_norm(x, size),
        lambda x: theirs.local_response_norm(x, size),
        normal(*shape) * 100,
        second_order=False,
    )


def test_local_response_norm_is_that_of_alexnet() -> None:
    """Krizhevsky et al. (2012), section 3.3, loop for loop: alpha is not divided by n there."""
    n, alpha, beta, k = 5, 1e-4, 0.75, 2.0
    a = normal(2, 9, 3, 2) * 50
    b = np.zeros_like(a)
    for i in range(9):
        first, last = max(0, i - n // 2), min(9 - 1, i + n // 2)
        total = sum(a[:, j] ** 2 for j in range(first, last + 1))
        b[:, i] = a[:, i] / (k + alpha * total) ** beta
    found = F.local_response_norm(a, size=5, alpha=n * alpha, beta=beta, k=k)
    np.testing.assert_allclose(found, b, rtol=1e-13)


def test_local_response_norm_keeps_the_batch_innermost() -> None:
    images = np.moveaxis(normal(4, 6, 6, 3).astype(np.float32), -1, 0)
    out = F.local_response_norm(images, 3)
    assert out.dtype == np.float32
    assert out.data.strides == images.strides


@pytest.mark.parametrize("shape", [(0, 3, 2, 2), (2, 3, 0, 2), (2, 0)])
def test_local_response_norm_of_nothing(shape: tuple[int, ...]) -> None:
    x = tc.zeros(*shape, requires_grad=True)
    out = F.local_response_norm(x, 5)
    out.sum().backward()
    assert out.shape == x.grad.shape == shape


def test_a_huge_channel_leaves_those_out_of_reach_alone() -> None:
    """A running sum minus an older one would lose them."""
    x = np.array([[1e9, 1.0, 2.0, 3.0]])
    out = F.local_response_norm(x, 3, alpha=3.0, beta=0.5, k=0.0).numpy()
    np.testing.assert_allclose(out[0, 2:], [2 / np.sqrt(14), 3 / np.sqrt(13)], rtol=1e-14)


# -- layer, group, instance ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes"), [((4, 5), 1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((2, 3, 2, 4), 3), ((5,), 1)]
)
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_layer_norm_against_torch(shape: tuple[int, ...], axes: int, eps: float) -> None:
    _, theirs = pytorch()
    last = shape[-axes:]
    operands = normal(*last, seed=1), normal(*last, seed=2)
    for layout in LAYOUTS:
        compare(
            lambda x, w, b: F.layer_norm(x, last, w, b, eps),
            lambda x, w, b: theirs.layer_norm(x, last, w, b, eps),
            layout(normal(*shape)), *operands,
        )  # fmt: skip
    compare(
        lambda x: F.layer_norm(x, last[0] if axes == 1 else list(last), eps=eps),
        lambda x: theirs.layer_norm(x, last, eps=eps),
        normal(*shape), second_order=False,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(4, 6), (2, 6, 3), (2, 6, 2, 3), (2, 6, 2, 1, 3)])
@pytest.mark.parametrize("groups", [1, 2, 3])
@pytest.mark.parametrize("eps", [1e-5, 0.3])
def test_group_norm_against_torch(shape: tuple[int, ...], groups: int, eps: float) -> None:
    _, theirs = pytorch()
    for layout in LAYOUTS:
        compare(
            lambda x, w, b: F.group_norm(x, groups, w, b, eps),
            lambda x, w, b: theirs.group_norm(x, groups, w, b, eps),
            layout(normal(*shape)), normal(6, seed=1), normal(6, seed=2),
        )  # fmt: skip
    compare(
        lambda x: F.group_norm(x, groups, eps=eps),
        lambda x: theirs.group_norm(x, groups, eps=eps),
        normal(*shape), second_order=False,
    )  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 2), (2, 3, 2, 2, 3)])
@pytest.mark.parametrize("use_input_stats", [True, False])
def test_instance_norm_against_torch(shape: tuple[int, ...], use_input_stats: bool) -> None:
    torch, theirs = pytorch()
    channels = shape[1]
    mean, var = normal(channels), normal(channels) ** 2 + 0.5
    running = tc.tensor(mean), tc.tensor(var)
    expected = torch.tensor(mean), torch.tensor(var)
    compare(
        lambda x, w, b: F.instance_norm(x, *running, w, b, use_input_stats, 0.3, 1e-3),
        lambda x, w, b: theirs.instance_norm(x, *expected, w, b, use_input_stats, 0.3, 1e-3),
        batch_innermost(normal(*shape)), normal(channels, seed=3), normal(channels),
    )  # fmt: skip
    if use_input_stats:  # compare calls ours twice: the running statistics move once more
        theirs.instance_norm(torch.tensor(normal(*shape)), *expected, momentum=0.3)
    for ours, right in zip(running, expected, strict=True):
        np.testing.assert_allclose(ours, right.numpy(), rtol=1e-13)
    compare(F.instance_norm, theirs.instance_norm, normal(*shape), second_order=False)


def test_they_are_one_family() -> None:
    """Wu and He (2018), figure 2: one group is layer, C groups are instance normalisation."""
    x = normal(3, 4, 5, 2)
    np.testing.assert_allclose(F.group_norm(x, 1), F.layer_norm(x, (4, 5, 2)).numpy())
    np.testing.assert_allclose(F.group_norm(x, 4), F.instance_norm(x).numpy())
    one_image = x[:1]
    np.testing.assert_allclose(
        F.batch_norm(one_image, training=True), F.instance_norm(one_image).numpy()
    )


NORMS: dict[str, Callable[[Any], Any]] = {
    "local_response_norm": lambda x: F.local_response_norm(x, 3, 0.5, 0.6, 1.2),
    "layer_norm": lambda x: F.layer_norm(x, (4, 3)),
    "group_norm": lambda x: F.group_norm(x, 2),
    "instance_norm": F.instance_norm,
    "batch_norm": lambda x: F.batch_norm(x, training=True),
    "subtract_mean": lambda x: F.subtract_mean(x, 1),
}
each_norm = pytest.mark.parametrize("name", NORMS)


@each_norm
def test_to_order_two(name: str) -> None:
    assert tc.check.gradcheck(NORMS[name], [normal(2, 4, 3)], order=2)


@each_norm
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [1000.0, -1000.0, 0.0])
def test_extremes_are_finite_and_keep_their_dtype(name: str, dtype: Any, value: float) -> None:
    """All equal: the variance is 0."""
    x = tc.tensor(np.full((2, 4, 3), value, dtype), requires_grad=True)
    y = NORMS[name](x)
    (y * normal(2, 4, 3).astype(dtype)).sum().backward()
    assert y.dtype == x.grad.dtype == dtype
    assert np.isfinite(y.data).all()
    assert np.isfinite(x.grad.data).all()


@pytest.mark.parametrize("name", ["layer_norm", "group_norm", "instance_norm", "batch_norm"])
def test_mean_0_and_variance_1_whatever_the_scale(name: str) -> None:
    x = normal(2, 4, 3) * 1e4 + 1e5
    y = NORMS[name](x).numpy()
    y = np.moveaxis(y, 1, 0) if name == "batch_norm" else y
    rows = {"layer_norm": 2, "group_norm": 4, "instance_norm": 8, "batch_norm": 4}[name]
    over = y.reshape(rows, -1)
    np.testing.assert_allclose(over.mean(1), 0.0, atol=1e-10)
    np.testing.assert_allclose(over.var(1), 1.0, rtol=1e-10)


def test_statistics_of_no_image_move_nothing() -> None:
    mean, var = tc.zeros(3), tc.ones(3)
    assert F.instance_norm(np.zeros((0, 3, 4)), mean, var).shape == (0, 3, 4)
    assert (mean.tolist(), var.tolist()) == ([0.0] * 3, [1.0] * 3)


# -- mean subtraction, as the notes derive it --------------------------------------------------


def test_mean_subtraction_by_the_jacobian_of_the_notes() -> None:
    """h_i = x_i - (1/D) sum_k x_k, dh_i/dx_j = [i = j] - 1/D: i, j and k are channels."""
    channels = 5
    x, g = normal(3, channels), normal(3, channels, seed=1)
    t = tc.tensor(x, requires_grad=True)
    h = F.subtract_mean(t, axis=1)
    h.backward(g)
    jacobian = np.eye(channels) - 1.0 / channels
    np.testing.assert_allclose(h, x @ jacobian.T, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(t.grad, g @ jacobian, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("axis", [0, 1, (0, 1), (1, 2), None])
def test_backward_is_forward_of_the_upstream_gradient(axis: Any) -> None:
    """The very same function, bit for bit: "in this case, they're identical operations"."""
    g = normal(3, 4, 2, seed=1)
    x = tc.tensor(normal(3, 4, 2), requires_grad=True)
    F.subtract_mean(x, axis).backward(g)
    np.testing.assert_allclose(x.grad, F.subtract_mean(g, axis).numpy(), rtol=1e-14, atol=1e-15)


def test_the_derivation_has_the_same_line_forward_and_backward() -> None:
    x = tc.tensor(normal(3, 5), requires_grad=True)
    h = F.subtract_mean(x, axis=1)
    lines = tc.explain.derive((h * h).sum()).numpy().splitlines()
    found = {line.strip().split("  #")[0] for line in lines}
    assert "h = x - x.mean(axis=1, keepdims=True)" in found
    assert "dx = dh - dh.mean(axis=1, keepdims=True)" in found


# -- dropout of whole channels ----------------------------------------------------------------

CHANNEL_DROPOUTS = {1: F.dropout1d, 2: F.dropout2d, 3: F.dropout3d}


@pytest.mark.parametrize("axes", CHANNEL_DROPOUTS)
def test_whole_channels_are_dropped(axes: int) -> None:
    function, x = CHANNEL_DROPOUTS[axes], np.ones((40, 50, *[3] * axes), np.float32)
    t = tc.tensor(x, requires_grad=True)
    y = function(t, 0.25, generator=np.random.default_rng(1))
    y.sum().backward()
    channels = y.numpy().reshape(40, 50, -1)
    assert (channels == channels[..., :1]).all()
    assert y.dtype == np.float32
    assert set(np.unique(channels)) == {np.float32(0.0), np.float32(1 / 0.75)}
    assert (channels[..., 0] == 0).mean() == pytest.approx(0.25, abs=0.03)  # 3 deviations
    np.testing.assert_array_equal(t.grad, y.numpy())  # the mask itself, as x is 1
    again = function(x, 0.25, generator=np.random.default_rng(1))
    np.testing.assert_array_equal(again, y.numpy())


@pytest.mark.parametrize("axes", CHANNEL_DROPOUTS)
def test_dropout_outside_of_training_does_nothing(axes: int) -> None:
    x = normal(2, 3, *[2] * axes)
    for y in (CHANNEL_DROPOUTS[axes](x, 0.5, training=False), CHANNEL_DROPOUTS[axes](x, 0.0)):
        np.testing.assert_array_equal(y, x)


def test_dropout_follows_the_seed() -> None:
    x = tc.ones(4, 6, 2, 2)
    draws = []
    for seed in (3, 3, 4):
        tc.manual_seed(seed)
        draws.append(F.dropout2d(x).numpy())
    np.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


# -- mistakes ---------------------------------------------------------------------------------

IMAGES = np.zeros((2, 6, 4, 4))
MISTAKES: list[tuple[Callable[[], Any], type[TinygradCnnError], str]] = [
    (lambda: F.local_response_norm(IMAGES, 0), ArgumentError, "local_response_norm: size=0"),
    (lambda: F.local_response_norm(np.zeros(3), 3), ShapeError, "expected (N, C, …), got (3,)"),
    (
        lambda: F.layer_norm(IMAGES, 6),
        ShapeError,
        "layer_norm: input (2, 6, 4, 4) does not end in normalized_shape (6,)",
    ),
    (lambda: F.layer_norm(np.zeros(4), (2, 4)), ShapeError, "does not end in normalized_shape"),
    (lambda: F.layer_norm(IMAGES, ()), ArgumentError, "normalized_shape=(): expected at least"),
    (lambda: F.layer_norm(IMAGES, 4.0), ArgumentError, "layer_norm: normalized_shape=4.0"),  # type: ignore[arg-type]
    (
        lambda: F.layer_norm(IMAGES, 4, np.ones(6)),
        ShapeError,
        "layer_norm: weight has shape (6,), expected normalized_shape (4,)",
    ),
    (
        lambda: F.group_norm(IMAGES, 4),
        ArgumentError,
        "group_norm: num_groups=4 does not divide the 6 channels",
    ),
    (lambda: F.group_norm(IMAGES, 0), ArgumentError, "group_norm: num_groups=0"),
    (
        lambda: F.group_norm(IMAGES, 2, np.ones(2)),
        ShapeError,
        "group_norm: input (2, 6, 4, 4) has 6 channels, an operand has shape (2,)",
    ),
    (lambda: F.group_norm(np.zeros(6), 2), ShapeError, "group_norm: expected (N, C, …), got (6,)"),
    (
        lambda: F.instance_norm(np.zeros((2, 6, 1))),
        ShapeError,
        "needs several values for each channel, got (2, 6, 1)",
    ),
    (lambda: F.instance_norm(np.zeros((2, 6))), ShapeError, "several values for each channel"),
    (
        lambda: F.instance_norm(IMAGES, use_input_stats=False),
        ArgumentError,
        "instance_norm without the statistics of x needs running_mean and running_var",
    ),
    (
        lambda: F.batch_norm(IMAGES, np.zeros(6), np.ones(6), training=True),  # type: ignore[arg-type]
        ArgumentError,
        "batch_norm: running statistics are updated: give Tensors, not arrays",
    ),
    (lambda: F.subtract_mean(np.zeros(3), 1), ShapeError, "axis 1 does not exist"),
    (lambda: F.dropout2d(IMAGES, 1.5), ArgumentError, "dropout2d: p=1.5: expected a probability"),
    (lambda: F.dropout2d(IMAGES, -0.1), ArgumentError, "dropout2d: p=-0.1"),
    (lambda: F.dropout2d(IMAGES[0]), ShapeError, "dropout2d: expected (N, C, H, W), got (6, 4, 4)"),
    (lambda: F.dropout1d(IMAGES), ShapeError, "dropout1d: expected (N, C, L), got (2, 6, 4, 4)"),
    (lambda: F.dropout3d(IMAGES), ShapeError, "dropout3d: expected (N, C, D, H, W)"),
]


@pytest.mark.parametrize(("act", "error", "message"), MISTAKES, ids=[m for *_, m in MISTAKES])
def test_mistakes(act: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        act()
    assert message in str(raised.value)
