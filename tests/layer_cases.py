"""Calls of every function that has a derivation, and how a derivation is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn._graph import differentiate, read
from tinygrad_cnn.explain._lines import Program
from tinygrad_cnn.explain._program import build
from tinygrad_cnn.explain._source import FUNCTION, source_of

Arrays = dict[str, Any]


def array(*shape: int, seed: int = 0) -> np.ndarray:
    """Normally distributed numbers."""
    return np.random.default_rng(seed).normal(size=shape)


def tied(*shape: int) -> np.ndarray:
    """Small whole numbers: many are equal, and many are 0."""
    return np.random.default_rng(5).integers(-1, 2, shape).astype(float)


class Case(NamedTuple):
    """A call of a function.

    Attributes:
        title: of the section that the derivation shall have.
        call: what is computed from the operands, each a Tensor, or an array where no gradient
            is asked for.
        operands: those that a gradient may be asked for.
    """

    title: str
    call: Callable[..., Any]
    operands: Arrays


IMAGES, FILTERS, BIAS = array(2, 3, 6, 7), array(4, 3, 3, 2, seed=1), array(4, seed=2)
SCORES, LABELS = array(4, 3), np.array([2, 0, 1, 1])
EXTREME = np.array([[1000.0, -1000.0, 0.0], [999.0, 1000.0, 1000.0], [0.0] * 3, [-1e3, 1e3, 5.0]])
SOFT = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.25, 0.25, 0.5], [0.0, 0.5, 0.5]])
CLASS_WEIGHTS = np.array([0.5, 2.0, 1.5])
KINKS = np.array([0.0, -1.0, 1.0, 0.3, -0.7, 2.9, 3.0, -3.0, 6.0, 7.0, -8.0, 30.0, -700.0, 700.0])
GAMMA, BETA = array(3, seed=3), array(3, seed=4)


def conv2d(title: str, bias: bool = True, **settings: Any) -> Case:
    title = f"conv2d ({title})" if title else "conv2d"
    operands = {"x": IMAGES, "weight": FILTERS, **({"bias": BIAS} if bias else {})}
    return Case(title, lambda **operands: F.conv2d(**operands, **settings), operands)


def of_x(
    title: str, function: Callable[..., Any], x: np.ndarray, *args: Any, **settings: Any
) -> Case:
    return Case(title, lambda x: function(x, *args, **settings), {"x": x})


def of_scores(
    title: str, function: Callable[..., Any], scores: np.ndarray, target: Any, **settings: Any
) -> Case:
    return Case(title, lambda scores: function(scores, target, **settings), {"scores": scores})


def batch_norm(title: str, x: np.ndarray, operands: Arrays, **settings: Any) -> Case:
    def call(x: Any, **operands: Any) -> Any:
        return F.batch_norm(x, **operands, **settings)

    return Case(f"batch_norm ({title})", call, {"x": x, **operands})


TRAINING, RUNNING = {"training": True}, "with the running statistics"
STATISTICS = {"running_mean": array(3, seed=8), "running_var": np.array([0.5, 2.0, 1.0])}
CASES = {
    "linear": Case("linear", F.linear, {"x": array(5, 4), "weight": array(3, 4), "bias": array(3)}),
    "linear, no bias": Case("linear", F.linear, {"x": array(5, 4), "weight": array(3, 4)}),
    "linear, one row": Case(
        "linear", F.linear, {"x": array(4), "weight": array(3, 4), "bias": array(3)}
    ),
    "linear, rows by rows": Case("linear", F.linear, {"x": array(4, 4), "weight": array(4, 4)}),
    "conv2d": conv2d(""),
    "conv2d, no bias": conv2d("", bias=False),
    "conv2d, stride": conv2d("stride 2", stride=2),
    "conv2d, stride and padding": conv2d("stride 2x1, padding 0x1", stride=[2, 1], padding=(0, 1)),
    "conv2d, padding": conv2d("padding 1", padding=1),
    "conv2d, dilation": conv2d("padding 2, dilation 2", padding=2, dilation=2),
    "conv2d, all": conv2d(
        "stride 3, padding 2x1, dilation 1x2", stride=3, padding=(2, 1), dilation=(1, 2)
    ),
    "conv2d, pairs": conv2d("padding 0x1", padding=((0, 0), (1, 1))),
    "conv1d": Case(
        "conv1d (stride 2, padding 1)",
        lambda x, weight, bias: F.conv1d(x, weight, bias, stride=2, padding="same"),
        {"x": array(2, 3, 7), "weight": array(4, 3, 3), "bias": BIAS},
    ),
    "conv3d": Case(
        "conv3d (stride 1x2x1, dilation 1x1x2)",
        lambda x, weight: F.conv3d(x, weight, stride=(1, 2, 1), dilation=(1, 1, 2)),
        {"x": array(2, 2, 3, 4, 5), "weight": array(3, 2, 2, 3, 2)},
    ),
    "max_pool2d": of_x("max_pool2d (2x2)", F.max_pool2d, IMAGES, 2),
    "max_pool2d, overlapping": of_x("max_pool2d (3x3, stride 2)", F.max_pool2d, IMAGES, 3, 2),
    "max_pool2d, padding": of_x(
        "max_pool2d (3x2, stride 2x1, padding 1)", F.max_pool2d, IMAGES, (3, 2), (2, 1), 1
    ),
    "max_pool2d, dilation": of_x(
        "max_pool2d (2x2, stride 1, dilation 2)", F.max_pool2d, IMAGES, 2, 1, dilation=2
    ),
    "max_pool2d, ties": of_x("max_pool2d (3x3, stride 1)", F.max_pool2d, tied(2, 2, 5, 5), 3, 1),
    "max_pool2d, all equal": of_x(
        "max_pool2d (3x3, stride 2, padding 1)", F.max_pool2d, np.zeros((1, 2, 5, 5)), 3, 2, 1
    ),
    "max_pool2d, ceil mode": of_x(
        "max_pool2d (3x3, padding 0+0 x 0+2)", F.max_pool2d, IMAGES, 3, ceil_mode=True
    ),
    "max_pool2d, one side": of_x(
        "max_pool2d (2x2, padding 0+0 x 0+1)", F.max_pool2d, IMAGES, 2, padding="same"
    ),
    "max_pool2d, indices": of_x(
        "max_pool2d (2x2)",
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0], IMAGES,
    ),
    "max_pool1d": of_x(
        "max_pool1d (3, padding 1+2, stride 2)",
        F.max_pool1d, array(2, 3, 8), 3, 2, 1, ceil_mode=True,
    ),
    "max_pool3d": of_x("max_pool3d (2x2x2)", F.max_pool3d, array(2, 3, 4, 5, 4), 2),
    "avg_pool2d": of_x("avg_pool2d (2x2)", F.avg_pool2d, IMAGES, 2),
    "avg_pool2d, overlapping": of_x(
        "avg_pool2d (3x2, stride 1)", F.avg_pool2d, IMAGES, (3, 2), (1, 1)
    ),
    "avg_pool2d, padding": of_x(
        "avg_pool2d (3x3, stride 2, padding 1)", F.avg_pool2d, IMAGES, 3, 2, 1
    ),
    "avg_pool2d, padding not counted": of_x(
        "avg_pool2d (3x2, stride 2, padding 1, padding not counted)",
        F.avg_pool2d, IMAGES, (3, 2), 2, 1, count_include_pad=False,
    ),
    "avg_pool2d, ceil mode": of_x(
        "avg_pool2d (3x2, padding 1+2 x 1+1, stride 2)",
        F.avg_pool2d, IMAGES, (3, 2), 2, 1, True,
    ),
    "avg_pool1d": of_x(
        "avg_pool1d (3, padding 1+2, stride 2)", F.avg_pool1d, array(2, 3, 8), 3, 2, 1, True
    ),
    "avg_pool1d, padding not counted": of_x(
        "avg_pool1d (3, padding 1+2, stride 2, padding not counted)",
        F.avg_pool1d, array(2, 3, 8), 3, 2, 1, True, False,
    ),
    "avg_pool1d, divisor": of_x(
        "avg_pool1d (3, padding 1+2, stride 2, divided by 5)",
        F.avg_pool1d, array(2, 3, 8), 3, 2, 1, True, False, 5,
    ),
    "avg_pool3d": of_x("avg_pool3d (2x2x2, stride 1)", F.avg_pool3d, array(2, 3, 4, 5, 4), 2, 1),
    "relu": of_x("relu", F.relu, array(3, 4)),
    "relu, zeros": of_x("relu", F.relu, tied(4, 4)),
    "relu, a number": of_x("relu", F.relu, np.array(2.0)),
    "leaky_relu": of_x("leaky_relu (slope 0.01)", F.leaky_relu, tied(4, 4)),
    "leaky_relu, slope": of_x("leaky_relu (slope 2)", F.leaky_relu, array(3, 4), 2.0),
    "leaky_relu, negative slope": of_x("leaky_relu (slope -0.5)", F.leaky_relu, tied(4, 4), -0.5),
    "gelu": of_x("gelu", F.gelu, np.concatenate([array(6), [0.0, 9.0, -9.0]])),
    **{
        name: of_x(f"{name} ({title})" if title else name, getattr(F, name), KINKS)
        for name, title in (
            ("elu", "alpha 1"), ("hardsigmoid", ""), ("hardswish", ""), ("log_sigmoid", ""),
            ("hardtanh", "min_val -1, max_val 1"), ("mish", ""), ("relu6", ""), ("selu", ""),
            ("silu", ""), ("softplus", "beta 1, threshold 20"),
        )
    },
    "elu, alpha": of_x("elu (alpha 0.5)", F.elu, KINKS, 0.5),
    "hardtanh, limits": of_x("hardtanh (min_val -3, max_val 0.5)", F.hardtanh, KINKS, -3.0, 0.5),
    "softplus, beta": of_x("softplus (beta 3, threshold 2)", F.softplus, KINKS, 3.0, 2.0),
    "softmax": of_x("softmax", F.softmax, SCORES),
    "softmax, axis": of_x("softmax (axis 0)", F.softmax, SCORES, 0),
    "softmax, extreme": of_x("softmax", F.softmax, EXTREME),
    "softmax, images": of_x("softmax (axis 1)", F.softmax, IMAGES, 1),
    "log_softmax": of_x("log_softmax", F.log_softmax, SCORES),
    "log_softmax, axis": of_x("log_softmax (axis 0)", F.log_softmax, SCORES, -2),
    "log_softmax, extreme": of_x("log_softmax", F.log_softmax, EXTREME),
    "cross_entropy": of_scores("cross_entropy", F.cross_entropy, SCORES, LABELS),
    "cross_entropy, extreme": of_scores("cross_entropy", F.cross_entropy, EXTREME, LABELS),
    "cross_entropy, list": of_scores("cross_entropy", F.cross_entropy, SCORES, [2, 0, 1, 1]),
    "cross_entropy, sum": of_scores(
        "cross_entropy (sum)", F.cross_entropy, SCORES, LABELS, reduction="sum"
    ),
    "cross_entropy, none": of_scores(
        "cross_entropy (one for each example)", F.cross_entropy, SCORES, LABELS, reduction="none"
    ),
    "cross_entropy, one example": of_scores("cross_entropy", F.cross_entropy, SCORES[0], 2),
    "cross_entropy, one example in a batch": of_scores(
        "cross_entropy", F.cross_entropy, SCORES[:1], [2]
    ),
    **{
        f"cross_entropy, weights, {reduction}": of_scores(
            f"cross_entropy ({title}weighted classes)",
            F.cross_entropy, SCORES, LABELS, weight=CLASS_WEIGHTS, reduction=reduction,
        )
        for reduction, title in (
            ("mean", ""), ("sum", "sum, "), ("none", "one for each example, ")
        )
    },
    **{
        f"cross_entropy, smoothing, {reduction}": of_scores(
            f"cross_entropy ({title}label smoothing 0.1)",
            F.cross_entropy, EXTREME, LABELS, label_smoothing=0.1, reduction=reduction,
        )
        for reduction, title in (
            ("mean", ""), ("sum", "sum, "), ("none", "one for each example, ")
        )
    },
    "cross_entropy, one example, smoothing": of_scores(
        "cross_entropy (label smoothing 0.2)",
        F.cross_entropy, SCORES[0], 2, label_smoothing=np.float64(0.2),
    ),
    "cross_entropy, probabilities": of_scores(
        "cross_entropy (probabilities as targets)", F.cross_entropy, SCORES, SOFT
    ),
    "cross_entropy, probabilities, smoothing": of_scores(
        "cross_entropy (sum, probabilities as targets, label smoothing 0.1)",
        F.cross_entropy, SCORES, SOFT, label_smoothing=0.1, reduction="sum",
    ),
    "nll_loss": Case(
        "nll_loss", lambda log_p: F.nll_loss(log_p, LABELS), {"log_p": -np.abs(SCORES)}
    ),
    "nll_loss, sum": Case(
        "nll_loss (sum)", lambda log_p: F.nll_loss(log_p, LABELS, reduction="sum"),
        {"log_p": -np.abs(SCORES)},
    ),
    "nll_loss, none": Case(
        "nll_loss (one for each example)",
        lambda log_p: F.nll_loss(log_p, LABELS, reduction="none"), {"log_p": -np.abs(SCORES)},
    ),
    "nll_loss, weights": Case(
        "nll_loss (weighted classes)",
        lambda log_p: F.nll_loss(log_p, LABELS, CLASS_WEIGHTS), {"log_p": -np.abs(SCORES)},
    ),
    "nll_loss, one example": Case(
        "nll_loss", lambda log_p: F.nll_loss(log_p, 1), {"log_p": -np.abs(SCORES[0])}
    ),
    "hinge_loss": of_scores("hinge_loss", F.hinge_loss, SCORES, LABELS),
    "hinge_loss, ties": of_scores("hinge_loss", F.hinge_loss, tied(4, 3), LABELS),
    "hinge_loss, sum": of_scores(
        "hinge_loss (sum)", F.hinge_loss, SCORES, LABELS, reduction="sum"
    ),
    "hinge_loss, none": of_scores(
        "hinge_loss (one for each example, margin 2)",
        F.hinge_loss, SCORES, LABELS, reduction="none", margin=2.0,
    ),
    "hinge_loss, margin 0": of_scores(
        "hinge_loss (margin 0)", F.hinge_loss, tied(4, 3), LABELS, margin=0
    ),
    "hinge_loss, negative margin": of_scores(
        "hinge_loss (margin -0.5)", F.hinge_loss, SCORES, LABELS, margin=-0.5
    ),
    "hinge_loss, squared": of_scores(
        "hinge_loss (squared)", F.hinge_loss, SCORES, LABELS, squared=True
    ),
    "hinge_loss, squared, none": of_scores(
        "hinge_loss (one for each example, margin 2, squared)",
        F.hinge_loss, SCORES, LABELS, reduction="none", margin=2.0, squared=True,
    ),
    "mse_loss": Case("mse_loss", F.mse_loss, {"x": array(3, 4), "target": array(3, 4, seed=1)}),
    "mse_loss, sum": Case(
        "mse_loss (sum)", lambda x, target: F.mse_loss(x, target, "sum"),
        {"x": array(3, 4), "target": array(3, 4, seed=1)},
    ),
    "mse_loss, none": Case(
        "mse_loss (one for each element)", lambda x, target: F.mse_loss(x, target, "none"),
        {"x": array(3, 4), "target": array(3, 4, seed=1)},
    ),
    "batch_norm, images": batch_norm(
        "training", IMAGES, {"weight": GAMMA, "bias": BETA}, **TRAINING
    ),
    "batch_norm, rows": batch_norm(
        "training", array(5, 3), {"weight": GAMMA, "bias": BETA}, **TRAINING, eps=0.1
    ),
    "batch_norm, sequences": batch_norm(
        "training", array(2, 3, 5), {"weight": GAMMA, "bias": BETA}, **TRAINING
    ),
    "batch_norm, plain": batch_norm("training", IMAGES, {}, **TRAINING),
    "batch_norm, weight": batch_norm("training", IMAGES, {"weight": GAMMA}, **TRAINING),
    "batch_norm, bias": batch_norm("training", IMAGES, {"bias": BETA}, **TRAINING),
    "batch_norm, a channel of equals": batch_norm(
        "training", IMAGES * np.array([1.0, 0.0, 2.0])[:, None, None], {"weight": GAMMA}, **TRAINING
    ),
    "batch_norm, evaluation": batch_norm(
        RUNNING, IMAGES, {"weight": GAMMA, "bias": BETA}, **STATISTICS
    ),
    "batch_norm, evaluation, rows": batch_norm(
        RUNNING, array(4, 3), {"weight": GAMMA, "bias": BETA}, **STATISTICS
    ),
    "batch_norm, evaluation, plain": batch_norm(RUNNING, IMAGES, {}, **STATISTICS),
    "instance_norm": Case(
        "instance_norm",
        lambda x, weight, bias: F.instance_norm(x, weight=weight, bias=bias),
        {"x": IMAGES, "weight": GAMMA, "bias": BETA},
    ),
    "instance_norm, sequences": of_x("instance_norm", F.instance_norm, array(2, 3, 5), eps=0.1),
    "instance_norm, evaluation": Case(
        f"instance_norm ({RUNNING})",
        lambda x, weight, bias: F.instance_norm(
            x, **STATISTICS, weight=weight, bias=bias, use_input_stats=False
        ),
        {"x": IMAGES, "weight": GAMMA, "bias": BETA},
    ),
    "layer_norm": Case(
        "layer_norm",
        lambda x, weight, bias: F.layer_norm(x, (6, 7), weight, bias),
        {"x": IMAGES, "weight": array(6, 7, seed=3), "bias": array(6, 7, seed=4)},
    ),
    "layer_norm, rows": Case(
        "layer_norm",
        lambda x, weight: F.layer_norm(x, [3], weight, eps=0.1),
        {"x": array(5, 3), "weight": GAMMA},
    ),
    "layer_norm, all": Case(
        "layer_norm",
        lambda x, weight, bias: F.layer_norm(x, 3, weight, bias),
        {"x": array(3), "weight": GAMMA, "bias": BETA},
    ),
    "layer_norm, plain": of_x("layer_norm", F.layer_norm, IMAGES, 7),
    **{
        f"local_response_norm, {size}, {len(x.shape)}": of_x(
            f"local_response_norm ({size} channels)", F.local_response_norm, x, size, 0.3, 0.6, 1.5
        )
        for size in (1, 2, 5) for x in (IMAGES, array(4, 6))
    },
    "subtract_mean": of_x("subtract_mean (axis 0)", F.subtract_mean, array(4, 3)),
    "subtract_mean, axes": of_x("subtract_mean (axes 0, 2)", F.subtract_mean, IMAGES, (0, 2)),
    "subtract_mean, all": of_x("subtract_mean", F.subtract_mean, IMAGES, None),
    **{
        f"{name}, {label}": of_x(
            f"{name} ({text})" if text else name, getattr(F, name), x, axis, keepdims=keepdims
        )
        for name, x in (
            ("mean", IMAGES), ("var", IMAGES), ("std", IMAGES), ("norm", IMAGES),
            ("logsumexp", 1000 * IMAGES),
        )
        for label, text, axis, keepdims in (
            ("all", "", None, False),
            ("all, kept", "", None, True),
            ("axis", "axis 1", 1, False),
            ("axes", "axes 2, 0", [2, -4], False),
            ("axis, kept", "axis 3", -1, True),
        )
    },
    "var, unbiased": of_x("var (axis 0, ddof 1)", F.var, array(5, 3), 0, ddof=1),
    "std, unbiased": of_x("std (ddof 1)", F.std, array(5, 3), ddof=1),
    "norm, a vector": of_x("norm", F.norm, array(3)),
}  # fmt: skip


def derived(loss: tc.Tensor, variables: dict[str, Any]) -> Program:
    """The derivation by layers, after its code was run and compared with autograd."""
    recording = read(loss)
    targets = {name: recording.vertex(t.node) for name, t in variables.items()}
    program = build(recording, targets, {}, "layers")
    space: dict[str, Any] = {}
    exec(source_of(program), space)
    arguments = {symbol.code: np.array(value) for symbol, value in program.inputs.items()}
    found, gradients = space[FUNCTION](**arguments)
    np.testing.assert_allclose(found, loss.numpy(), rtol=1e-10, atol=1e-13)
    right = differentiate(recording)
    for name, vertex in targets.items():
        expected = right.of[vertex]
        assert np.shape(gradients[name]) == expected.shape
        scale = max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(gradients[name], expected, rtol=1e-10, atol=1e-13 * scale)
    return program


def titles(program: Program, phase: str) -> list[str]:
    return [section.title for section in program.sections if section.phase == phase]


def variable(value: np.ndarray) -> tc.Tensor:
    return tc.tensor(value, requires_grad=True)
