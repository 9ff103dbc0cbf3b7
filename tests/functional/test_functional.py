# ruff: noqa: E501  (the table of errors has one line for each)
"""Compositions against loops, SciPy and published numbers; stability; shapes; errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arrays import close, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn._core.backprop import consumers_first
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError

floats = st.floats(-10, 10, width=32)


# -- second, independent implementations ----------------------------------------------------


def conv2d_by_loops(x: Any, w: Any, b: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    (n, _, h, wd), (k, _, fh, fw) = x.shape, w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    oh = (h + 2 * padding[0] - dilation[0] * (fh - 1) - 1) // stride[0] + 1
    ow = (wd + 2 * padding[1] - dilation[1] * (fw - 1) - 1) // stride[1] + 1
    out = np.zeros((n, k, oh, ow))
    for image, filter_, i, j in np.ndindex(out.shape):
        top, left = i * stride[0], j * stride[1]
        window = padded[image, :, top:, left:][:, :: dilation[0], :: dilation[1]][:, :fh, :fw]
        out[image, filter_, i, j] = (window * w[filter_]).sum() + b[filter_]
    return out


pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=50, deadline=None)
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(5, 8), st.integers(5, 8)),
    k=st.integers(1, 3), kernel=pairs, stride=pairs, dilation=st.tuples(*[st.integers(1, 2)] * 2),
    padding=st.tuples(*[st.integers(0, 2)] * 2),
)  # fmt: skip
def test_conv2d_by_loops(
    size: Any, k: int, kernel: Any, stride: Any, dilation: Any, padding: Any
) -> None:
    x, w, b = normal(*size), normal(k, size[1], *kernel), normal(k)
    out = F.conv2d(x, w, b, stride, padding, dilation)
    close(out, conv2d_by_loops(x, w, b, stride, padding, dilation))
    # the batch stays innermost in memory, where it has a stride at all
    assert size[0] == 1 or np.argmin(out.numpy().strides) == 0


def test_conv2d_against_scipy() -> None:
    signal = pytest.importorskip("scipy.signal")
    x, w = normal(2, 3, 7, 6), normal(4, 3, 3, 2)
    for mode, padding in (("valid", 0), ("full", (2, 1))):
        expected = [
            [sum(signal.correlate2d(c, f, mode) for c, f in zip(image, k, strict=True)) for k in w]
            for image in x
        ]
        close(F.conv2d(x, w, padding=padding), expected)


@pytest.mark.parametrize(("stride", "padding"), [(None, 0), ((1, 1), 0), ((1, 2), 1)])
def test_pools_by_windows(stride: Any, padding: int) -> None:
    x = normal(2, 2, 5, 6)
    sh, sw = stride or (2, 3)
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    for pool, reduce, value in ((F.max_pool2d, np.max, -np.inf), (F.avg_pool2d, np.mean, 0.0)):
        padded = np.pad(x, around, constant_values=value)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 3), (2, 3))[:, :, ::sh, ::sw]
        close(pool(x, (2, 3), stride, padding), reduce(windows, (-2, -1)))


def _read(value: Any) -> Any:
    if isinstance(value, list) and value and value[0] == "linspace":
        _, start, stop, shape = value
        return np.linspace(start, stop, math.prod(shape)).reshape(shape)
    return np.asarray(value)


def test_published_values_of_cs231n(shared: Path) -> None:
    """Stanford CS231n, assignments 1 and 2: eight digits are printed there."""
    published = json.loads((shared / "fixtures/cs231n.json").read_text("utf-8"))

    def arrays(name: str) -> dict[str, Any]:
        return {key: _read(value) for key, value in published[name].items()}

    affine, relu, pool = (
        arrays("affine_forward"),
        arrays("relu_forward"),
        arrays("max_pool_forward"),
    )
    conv, net = arrays("conv_forward"), published["two_layer_net"]
    out = F.linear(affine["x"].reshape(2, -1), affine["w"].T, affine["b"])
    close(out, affine["out"], 1e-7)
    close(F.relu(relu["x"]), relu["out"], 1e-7)
    close(F.conv2d(conv["x"], conv["w"], conv["b"], int(conv["stride"]), int(conv["pad"])), conv["out"], 1e-7)  # fmt: skip
    close(F.max_pool2d(pool["x"], int(pool["pool"]), int(pool["stride"])), pool["out"], 1e-7)
    w1, b1, w2, b2 = (_read(net[key]) for key in ("W1", "b1", "W2", "b2"))
    x = np.linspace(-5.5, 4.5, 15).reshape(5, 3).T
    scores = F.linear(F.relu(F.linear(x, w1.T, b1)), w2.T, b2)
    close(scores, net["scores"], 1e-7)
    loss = F.cross_entropy(scores, net["y"])
    close(loss, net["loss_reg_0"], 1e-9)
    close(loss + 0.5 * ((w1 * w1).sum() + (w2 * w2).sum()), net["loss_reg_1"], 1e-9)


# -- stability ------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_scores_of_any_size_are_stable(scale: float) -> None:
    scores = tc.tensor([[scale, -scale, 0.0], [-scale, -scale, -scale]], requires_grad=True)
    close(F.softmax(scores), [[1, 0, 0], [1 / 3] * 3])
    close(tc.logsumexp(scores, 1), [scale, -scale + np.log(3)])
    close(F.log_softmax(scores)[0], [0.0, -2 * scale, -scale])
    losses = F.cross_entropy(scores, [1, 0], reduction="none")
    close(losses, [2 * scale, np.log(3)])
    losses.sum().backward()
    close(scores.grad, [[1, -1, 0], [1 / 3 - 1, 1 / 3, 1 / 3]])


@pytest.mark.parametrize("x", [1000.0, -1000.0, 1e100, -1e100])
@pytest.mark.parametrize("f", [F.sigmoid, F.tanh, F.gelu, tc.erf, F.relu])
def test_activations_do_not_overflow(f: Any, x: float) -> None:
    value, slope = tc.value_and_grad(f)(x)
    assert np.isfinite([value.item(), slope.item()]).all()


def test_large_scores_lose_no_digits() -> None:
    scores = np.array([[5000.0, 5000.0, 5000.0]], np.float32)
    close(F.cross_entropy(scores, [1]), np.float32(np.log(3)), 1e-7)


def test_masked_classes_and_ignored_targets_may_be_minus_infinity() -> None:
    scores = tc.tensor([[-np.inf, 2.0, 1.0], [-np.inf, 0.0, 0.0]], requires_grad=True)
    loss = F.cross_entropy(scores, [-100, 1])
    loss.backward()
    close(loss, np.log(2))
    close(scores.grad, [[0, 0, 0], [0, -0.5, 0.5]])


def test_where_all_targets_are_ignored_the_mean_is_nan_without_a_warning() -> None:
    for options in ({}, {"label_smoothing": 0.1}, {"weight": [1.0, 2.0]}):
        assert np.isnan(F.cross_entropy(np.zeros((2, 2)), [-100, -100], **options).item())
    assert F.cross_entropy(np.zeros((1, 2)), [-100], reduction="sum").item() == 0.0


def test_erf_and_sigmoid_to_the_last_digits() -> None:
    x = np.concatenate([np.linspace(-7, 7, 2001), [0.0, -0.0, 1e-300, np.inf, -np.inf]])
    np.testing.assert_allclose(tc.erf(x), np.vectorize(math.erf)(x), rtol=5e-16)
    assert np.isnan(tc.erf(np.nan))
    assert np.signbit(tc.erf(-0.0))
    finite = x[np.isfinite(x)]
    np.testing.assert_allclose(tc.sigmoid(finite), 1 / (1 + np.exp(-finite)), rtol=1e-15)


# -- properties -----------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=4), elements=floats), st.data())
def test_softmax_is_a_distribution(x: np.ndarray, data: Any) -> None:
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    p = F.softmax(x, axis)
    assert (p >= 0).all()
    close(p.sum(axis), np.ones(p.sum(axis).shape))
    close(F.softmax(x + 100.0, axis), p.numpy(), 1e-10)
    close(tc.exp(F.log_softmax(x, axis)), p.numpy())


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=floats), st.data())
def test_statistics_agree_with_numpy(x: np.ndarray, data: Any) -> None:
    axes = st.integers(-x.ndim, x.ndim - 1)
    axis, keepdims = data.draw(st.one_of(st.none(), axes)), data.draw(st.booleans())
    for ours, numpys in ((tc.mean, np.mean), (tc.var, np.var), (tc.std, np.std)):
        close(ours(x, axis, keepdims=keepdims), numpys(x, axis, keepdims=keepdims), 1e-10)
    close(tc.norm(x, axis, keepdims=keepdims), np.sqrt(np.sum(x * x, axis, keepdims=keepdims)))


def test_the_norm_at_zero_has_gradient_zero() -> None:
    x = np.array([[0.0, 0.0], [3.0, 4.0]])
    close(tc.grad(lambda x: tc.norm(x, 1).sum())(x), [[0, 0], [0.6, 0.8]])
    close(tc.norm(x, 1), [0, 5])


def test_dropout_keeps_the_expectation_and_repeats_from_a_seed() -> None:
    x = np.ones((200, 200), np.float32)
    _ = tc.manual_seed(3)
    first = F.dropout(x, 0.25)
    assert first.dtype == np.float32
    close(np.unique(first.numpy()), [0.0, np.float32(1 / 0.75)], 1e-6)
    assert abs(first.mean().item() - 1.0) < 0.02
    _ = tc.manual_seed(3)
    np.testing.assert_array_equal(first, F.dropout(x, 0.25))
    assert (F.dropout(x, 0.25) != first).any()
    ints = F.dropout(np.ones(50, int), 0.5, generator=np.random.default_rng(0))
    assert set(ints.tolist()) == {0.0, 2.0}


def test_empty_batches() -> None:
    x = tc.zeros(0, 3, 4, 4, requires_grad=True)
    w = tc.ones(2, 3, 2, 2, requires_grad=True)
    out = F.avg_pool2d(F.max_pool2d(F.conv2d(x, w), 2, 1), 2)
    assert out.shape == (0, 2, 1, 1)
    out.sum().backward()
    assert x.grad.shape == x.shape
    close(w.grad, np.zeros(w.shape))


# -- what is recorded -----------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({*F.__all__} - {"flatten", "sigmoid", "tanh"}))
def test_every_composition_is_recorded_as_a_scope(name: str) -> None:
    images, scores = normal(2, 2, 4, 4), normal(2, 3)
    arguments: dict[str, tuple[Any, ...]] = {
        "avg_pool2d": (images, 2), "max_pool2d": (images, 2), "conv2d": (images, normal(1, 2, 2, 2)),
        "batch_norm": (scores, None, None, None, None, True), "linear": (scores, normal(4, 3)),
        "cross_entropy": (scores, [0, 1]), "nll_loss": (scores, [0, 1]),
        "hinge_loss": (scores, [0, 1]), "mse_loss": (scores, scores + 1.0),
        **{f"{loss}_loss": (scores, [0, 1]) for loss in ("focal", "multi_margin")},
        **{f"{loss}_loss": (scores, scores + 1.0) for loss in ("huber", "l1", "smooth_l1")},
        "binary_cross_entropy_with_logits": (scores, scores > 0), "sigmoid_focal_loss": (scores, scores > 0),
        **{f"l{p}_regularization": (scores, 0.1) for p in (1, 2)}, "local_response_norm": (scores, 3),
        "group_norm": (images, 2), "instance_norm": (images,), "layer_norm": (scores, 3),
        "prelu": (scores, [0.25]), "maxout": (images, 2),
        **{f"dropout{d}d": (normal(2, 2, *[4] * d),) for d in (1, 2, 3)},
        **{f"{pool}_pool{d}d": (normal(2, 2, *[4] * d), 2) for d in (1, 3) for pool in ("avg", "max")},
        **{f"global_{pool}_pool{d}d": (normal(2, 2, *[4] * d),) for d in (1, 2, 3) for pool in ("avg", "max")},
        **{f"adaptive_{pool}_pool{d}d": (normal(2, 2, *[4] * d), 3) for d in (1, 2, 3) for pool in ("avg", "max")},
        "conv1d": (normal(2, 2, 4), normal(1, 2, 2)), "conv3d": (normal(2, 2, 4, 4, 4), normal(1, 2, 2, 2, 2)),
        **{f"conv_transpose{d}d": (normal(2, 2, *[3] * d), normal(2, 1, *[2] * d)) for d in (1, 2, 3)},
        **{f"locally_connected{d}d": (normal(2, 2, *[3] * d), normal(1, *[2] * d, 2, *[2] * d)) for d in (1, 2)},
        **{f"lp_pool{d}d": (normal(2, 2, *[4] * d), 2, 2) for d in (1, 2, 3)},
        **{f"max_unpool{d}d": (normal(1, 1, *[1] * d), np.zeros([1] * (d + 2), int), 2) for d in (1, 2, 3)},
    }  # fmt: skip
    x, *rest = arguments.get(name, (scores,))
    y = getattr(F, name)(tc.tensor(x, requires_grad=True), *rest)
    scopes = [n.scope for n in consumers_first([y.node]) if n.primitive is not None]
    assert all(scope.path.split("/")[0] == name for scope in scopes)
    assert not any(isinstance(v, np.ndarray) for scope in scopes for v in scope.params.values())


# -- errors ---------------------------------------------------------------------------------

IMAGES = np.zeros((2, 3, 4, 4))
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: F.conv2d(np.zeros((3, 4, 4)), np.zeros((1, 3, 2, 2))), ShapeError, "conv2d: expected input (N, C, H, W) and weight (K, C, FH, FW), got (3, 4, 4) and (1, 3, 2, 2)"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 1, 2, 2)), groups=2), ShapeError, "conv2d: input (2, 3, 4, 4) has 3 channels, weight (4, 1, 2, 2) expects 2 groups of 1"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 1, 2, 2)), groups=3), ArgumentError, "conv2d: groups=3 does not divide the 4 filters"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 2, 2)), groups=0), ArgumentError, "conv2d: groups=0"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 2, 2)), np.zeros(3)), ShapeError, "conv2d: bias (3,) does not fit weight (4, 3, 2, 2)"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 5, 2))), ShapeError, "conv2d: a window of (5, 2) with dilation (1, 1) does not fit into images of 4x4: use a smaller one, or padding"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 2, 2)), stride=0), ShapeError, "stride=0: expected an integer >= 1 or a pair of them"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 2, 2)), padding=-1), ShapeError, "padding=-1: expected an integer >= 0"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 2, 2)), dilation=(1, 2, 3)), ShapeError, "dilation=(1, 2, 3)"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 2, 2)), stride=1.5), ShapeError, "stride=1.5"),
    (lambda: F.max_pool2d(IMAGES, 2, padding=2), ShapeError, "max_pool2d: padding (2, 2) is more than half of the window (2, 2)"),
    (lambda: F.conv2d(IMAGES, np.zeros((4, 3, 2, 2)), groups=1.0), ArgumentError, "conv2d: groups=1.0"),
    (lambda: F.max_pool2d(IMAGES, 5), ShapeError, "max_pool2d: a window of (5, 5)"),
    (lambda: F.max_pool2d(np.zeros((4, 4)), 2), ShapeError, "max_pool2d: expected images of shape (N, C, H, W), got (4, 4)"),
    (lambda: F.avg_pool2d(np.zeros((4, 4)), 2, padding=1), ShapeError, "avg_pool2d: expected images of shape (N, C, H, W), got (4, 4)"),
    (lambda: F.avg_pool2d(IMAGES, 5), ShapeError, "avg_pool2d: a window of (5, 5)"),
    (lambda: F.linear(np.zeros((2, 3)), np.zeros((4, 2))), ShapeError, "linear: input (2, 3) does not fit weight (4, 2) (out, in)"),
    (lambda: F.linear(np.zeros((2, 3)), np.zeros((4, 3)), np.zeros(3)), ShapeError, "linear: bias (3,) does not fit weight (4, 3)"),
    (lambda: F.batch_norm(np.zeros(3), training=True), ShapeError, "batch_norm: expected (N, C, …), got (3,)"),
    (lambda: F.batch_norm(np.zeros((1, 3)), training=True), ShapeError, "needs several values for each channel, got (1, 3)"),
    (lambda: F.batch_norm(IMAGES), ArgumentError, "needs running_mean and running_var"),
    (lambda: F.batch_norm(IMAGES, weight=np.ones(2), training=True), ShapeError, "input (2, 3, 4, 4) has 3 channels, an operand has shape (2,) instead of (3,)"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), [0, 3]), ArgumentError, "class 3 is outside of 0 … 2"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), [0, -1]), ArgumentError, "class -1 is outside of 0 … 2"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), [0.0, 1.0]), DtypeError, "class indices must be integers, got float64"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), [0]), ShapeError, "targets of shape (1,) do not fit scores (2, 3)"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), [0, 1], [1.0]), ShapeError, "weight has shape (1,), there are 3 classes"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), [0, 1], label_smoothing=2), ArgumentError, "label_smoothing=2: expected 0 to 1"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), [0, 1], reduction="avg"), ArgumentError, "reduction='avg': expected 'mean', 'sum' or 'none'"),
    (lambda: F.cross_entropy(1.0, 0), ShapeError, "got a scalar"),
    (lambda: F.cross_entropy(np.zeros((2, 3)), np.eye(2, 3, dtype=int)), DtypeError, "int64 targets of the shape (2, 3) of the scores: probabilities are floating point, class indices have one axis less"),
    (lambda: F.dropout(np.zeros(3), "a"), ArgumentError, "dropout: p='a': expected a probability"),
    (lambda: F.max_pool2d(IMAGES > 0, 2), DtypeError, "max_pool2d: images of booleans"),
    (lambda: F.mse_loss(np.zeros((2, 1)), np.zeros(2)), ShapeError, "mse_loss: (2, 1) against (2,)"),
    (lambda: F.hinge_loss(np.zeros(3), 0), ShapeError, "hinge_loss: expected scores of shape (N, C), got (3,)"),
    (lambda: F.dropout(np.zeros(3), 1.0), ArgumentError, "dropout: p=1.0: expected a probability, 0 <= p < 1"),
    (lambda: F.gelu(np.zeros(3), "fast"), ArgumentError, "gelu: approximate='fast': expected 'none' or 'tanh'"),
    (lambda: F.softmax(np.zeros(3), 1), ShapeError, "softmax: axis 1 does not exist in an array of 1 axes"),
    (lambda: F.log_softmax(np.zeros(3), 1), ShapeError, "log_softmax: axis 1 does not exist in an array of 1 axes"),
    (lambda: tc.mean(np.zeros((2, 0)), 1), ShapeError, "mean of no elements: shape (2, 0) over axis 1"),
    (lambda: tc.mean(np.zeros(2), 1), ShapeError, "mean: axis 1 does not exist"),
    (lambda: F.softmax(np.zeros((2, 0))), ShapeError, "softmax of no elements: shape (2, 0) over axis 1"),
    (lambda: tc.var(np.zeros(2), ddof=2), ShapeError, "var: ddof=2 of 2 elements"),
    (lambda: tc.logsumexp(np.zeros(0)), ShapeError, "logsumexp of no elements"),
    (lambda: tc.norm(np.zeros(2), ord=0), ArgumentError, "norm: ord=0: expected a positive number, or inf"),
]  # fmt: skip


@pytest.mark.parametrize(("act", "error", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors(act: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        act()
    assert message in str(raised.value)
    assert type(raised.value) is error


def test_the_message_of_the_wrong_channels() -> None:
    with pytest.raises(ShapeError) as raised:
        F.conv2d(np.zeros((32, 3, 28, 28)), np.zeros((16, 1, 5, 5)))
    message = "conv2d: input (32, 3, 28, 28) has 3 channels, weight (16, 1, 5, 5) expects 1"
    assert str(raised.value) == message


def test_bad_input_leaves_running_statistics_alone() -> None:
    mean, var = tc.zeros(3), tc.ones(3)
    with pytest.raises(ShapeError):
        F.batch_norm(normal(4, 3), mean, var, np.ones(2), training=True)
    with pytest.raises(ShapeError):
        F.batch_norm(normal(1, 3), mean, var, training=True)
    assert (mean.tolist(), var.tolist()) == ([0.0] * 3, [1.0] * 3)
