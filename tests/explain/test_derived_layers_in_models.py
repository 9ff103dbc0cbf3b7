"""When functions are derived as a whole, with which operands, and how that reads in a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from layer_cases import (
    BIAS,
    CLASS_WEIGHTS,
    FILTERS,
    IMAGES,
    LABELS,
    SCORES,
    SOFT,
    array,
    derived,
    tied,
    titles,
    variable,
)  # fmt: skip

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn._graph import read
from tinygrad_cnn.explain._lines import Program
from tinygrad_cnn.explain._program import build
from tinygrad_cnn.explain._source import source_of
from tinygrad_cnn.explain._symbols import number
from tinygrad_cnn.explain.mathml import mathml

# -- where a derivation does not apply ---------------------------------------------------------


FALLBACKS: dict[str, tuple[str, Callable[[tc.Tensor], Any], np.ndarray]] = {
    "linear, three axes": ("linear", lambda x: F.linear(x, array(3, 4)), array(2, 5, 4)),
    "linear, a list": ("linear", lambda w: F.linear([[1.0, 2.0]], w), array(3, 2)),
    "linear, bias as a list": ("linear", lambda x: F.linear(x, array(2, 3), [1, 2]), array(2, 3)),
    "conv2d, groups": (
        "conv2d", lambda x: F.conv2d(x, array(4, 1, 2, 2), groups=2), array(1, 2, 4, 4)
    ),
    "conv2d, flipped": (
        "conv2d", lambda x: F.conv2d(x, array(3, 2, 2, 2), flip=True), array(1, 2, 4, 4)
    ),
    "conv2d, padded on one side": (
        "conv2d", lambda x: F.conv2d(x, array(3, 2, 2, 2), padding="same"), array(1, 2, 4, 4)
    ),
    "conv2d, reflected": (
        "conv2d",
        lambda x: F.conv2d(x, array(3, 2, 3, 3), padding=1, padding_mode="reflect"),
        array(1, 2, 4, 4),
    ),
    "conv1d, cropped": (
        "conv1d", lambda x: F.conv1d(x, array(3, 2, 3), stride=2, fit="crop"), array(1, 2, 6)
    ),
    "conv_transpose2d": (
        "conv_transpose2d",
        lambda x: F.conv_transpose2d(x, array(2, 3, 3, 2), None, 2, 1, 1, 1),
        array(2, 2, 3, 3),
    ),
    "locally_connected2d": (
        "locally_connected2d",
        lambda w: F.locally_connected2d(array(2, 2, 4, 3), w, stride=(2, 1)),
        array(3, 2, 2, 2, 2, 2),
    ),
    "gelu, tanh": ("gelu", lambda x: F.gelu(x, "tanh"), array(5)),
    "std of equals": ("std", lambda x: F.std(x, 1), np.ones((2, 3))),
    "norm of zeros": ("norm", lambda x: F.norm(x, 1), np.zeros((2, 3))),
    "norm, absolute": ("norm", lambda x: F.norm(x, ord=1), array(4)),
    "norm, cubes": ("norm", lambda x: F.norm(x, ord=3), array(4)),
    "norm, largest": ("norm", lambda x: F.norm(x, ord=np.inf), array(4)),
    "cross_entropy, images": (
        "cross_entropy", lambda x: F.cross_entropy(x, np.array([[[0, 1]]])), array(1, 2, 1, 2)
    ),
    "cross_entropy, ignored": (
        "cross_entropy", lambda x: F.cross_entropy(x, np.array([2, -100, 1, 1])), SCORES
    ),
    "cross_entropy, another ignored": (
        "cross_entropy", lambda x: F.cross_entropy(x, LABELS, ignore_index=1), SCORES
    ),
    "cross_entropy, weights as a list": (
        "cross_entropy", lambda x: F.cross_entropy(x, LABELS, [1.0, 2.0, 3.0]), SCORES
    ),
    "cross_entropy, weights and smoothing": (
        "cross_entropy",
        lambda x: F.cross_entropy(x, LABELS, CLASS_WEIGHTS, label_smoothing=0.1), SCORES,
    ),
    "cross_entropy, weights as a list and smoothing": (
        "cross_entropy",
        lambda x: F.cross_entropy(x, LABELS, [1.0, 2.0, 3.0], label_smoothing=0.1), SCORES,
    ),
    "cross_entropy, weights of one example": (
        "cross_entropy", lambda x: F.cross_entropy(x, 1, CLASS_WEIGHTS), SCORES[0]
    ),
    "cross_entropy, targets that are no probabilities": (
        "cross_entropy", lambda x: F.cross_entropy(x, 2 * SOFT), SCORES
    ),
    "cross_entropy, probabilities as lists": (
        "cross_entropy", lambda x: F.cross_entropy(x, SOFT.tolist()), SCORES
    ),
    "cross_entropy, by the probabilities": (
        "cross_entropy", lambda q: F.cross_entropy(SCORES, q), SOFT
    ),
    "nll_loss, ignored": (
        "nll_loss", lambda x: F.nll_loss(x, np.array([2, 0, 7, 1]), ignore_index=7), SCORES
    ),
    "mse_loss, a list": ("mse_loss", lambda x: F.mse_loss(x, [1.0, 2.0]), array(2)),
    "batch_norm, weight as a list": (
        "batch_norm", lambda x: F.batch_norm(x, weight=[1.0, 2.0], training=True), array(4, 2)
    ),
    "batch_norm, by the running mean": (
        "batch_norm", lambda m: F.batch_norm(array(4, 2), m, tc.tensor([1.0, 2.0])), array(2)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FALLBACKS)
def test_operations_are_shown_where_the_text_would_be_wrong(name: str) -> None:
    function, call, value = FALLBACKS[name]
    x = variable(value)
    program = derived((call(x) ** 2).sum(), {"x": x})
    assert not any(title.startswith(function) for title in titles(program, "forward"))


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("relu", F.relu),
        ("max_pool2d", lambda x: F.max_pool2d(x.reshape(1, 1, 4, 4), 2)),
        ("hinge_loss", lambda x: F.hinge_loss(x, [0, 1, 2, 3])),
    ],
)
def test_other_conventions(function: str, call: Callable[[tc.Tensor], Any]) -> None:
    with tc.conventions(ties="split", relu_at_zero=0.5):
        x = variable(tied(4, 4))
        loss = (call(x) ** 2).sum()
    program = derived(loss, {"x": x})
    assert not any(title.startswith(function) for title in titles(program, "forward"))


def test_relu_with_derivative_1_at_0() -> None:
    with tc.conventions(relu_at_zero=1):
        x = variable(tied(4, 4))
        loss = (F.relu(x) * array(4, 4)).sum()
    program = derived(loss, {"x": x})
    assert "relu" in titles(program, "backward")
    assert ">= 0" in source_of(program)


def test_split_ties_do_not_concern_relu() -> None:
    with tc.conventions(ties="split"):
        x = variable(tied(4, 4))
        loss = F.relu(x).sum()
    assert "relu" in titles(derived(loss, {"x": x}), "backward")


@pytest.mark.parametrize("name", ["linear", "conv2d", "mean", "cross_entropy", "batch_norm"])
def test_a_scope_of_the_users_that_is_called_like_a_function(name: str) -> None:
    x = variable(array(3))
    with tc.scope(name):
        y = x * x
    assert name not in titles(derived(y.sum(), {"x": x}), "forward")


# -- operands ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "value"),
    [
        (lambda x: F.linear(x, x), array(3, 3)),
        (lambda x: F.conv2d(x, x), array(2, 2, 3, 3)),
        (lambda x: F.conv2d(x, x, padding=1), array(2, 2, 3, 3)),
        (lambda x: F.mse_loss(x, x), array(4)),
        (lambda x: F.mse_loss(x * x, x), array(4)),
        (lambda x: F.relu(x) * F.relu(x) + x, array(4)),
        (lambda x: F.softmax(x) * x, array(2, 3)),
        (lambda x: F.batch_norm(array(4, 3), None, None, x, x, training=True), array(3)),
        (lambda x: F.cross_entropy(x, LABELS) + F.cross_entropy(-x, LABELS), SCORES),
        (lambda x: F.cross_entropy(x, LABELS) * F.hinge_loss(x, LABELS), SCORES),
        (lambda x: F.max_pool2d(x, 2).mean() + F.avg_pool2d(x, 2).sum(), IMAGES),
        (lambda x: x.mean() * x.std() + x.var() - x.mean(0).norm(), array(4, 3)),
    ],
)  # fmt: skip
def test_an_operand_that_is_used_more_than_once(call: Callable[..., Any], value: Any) -> None:
    x = variable(value)
    derived((call(x) * 2.0).sum(), {"x": x})


@pytest.mark.parametrize("name", ["h", "loss"])
def test_by_an_intermediate_result(name: str) -> None:
    x = variable(IMAGES)
    h = F.relu(F.conv2d(x, FILTERS))
    loss = F.cross_entropy(h.reshape(2, -1), [1, 0])
    program = derived(loss, {name: {"h": h, "loss": loss}[name]})
    assert not any(title.startswith("conv2d") for title in titles(program, "backward"))


def test_labels_that_were_changed_since_are_taken_as_they_were() -> None:
    labels, x = LABELS.copy(), variable(SCORES)
    loss = F.cross_entropy(x, labels)
    labels[0] = 1
    program = derived(loss, {"x": x})
    given = {symbol.code: value for symbol, value in program.inputs.items()}
    np.testing.assert_array_equal(given["labels"], LABELS)


@pytest.mark.parametrize("wrap", [tc.tensor, np.asarray, list, tuple])
def test_labels_of_every_kind(wrap: Callable[..., Any]) -> None:
    x = variable(SCORES)
    program = derived(F.hinge_loss(x, wrap(LABELS)), {"x": x})
    assert "hinge_loss" in titles(program, "forward")


def test_labels_have_the_users_name_and_are_passed_once() -> None:
    x = variable(SCORES)
    loss = F.cross_entropy(x, LABELS) + F.hinge_loss(x, LABELS)
    recording = read(loss)
    known = {id(x.node): "x", id(LABELS): "y"}
    program = build(recording, {"x": recording.vertex(x.node)}, known, "layers")
    assert [symbol.code for symbol in program.inputs] == ["y", "x"]


@pytest.mark.parametrize("number", [np.float32(0.25), np.float64(0.25), 0.25])
def test_settings_that_are_numpy_scalars(number: Any) -> None:
    x = variable(SCORES)
    loss = F.cross_entropy(F.leaky_relu(x, number), LABELS, label_smoothing=number)
    program = derived(loss, {"x": x})
    expected = ["leaky_relu (slope 0.25)", "cross_entropy (label smoothing 0.25)"]
    assert titles(program, "forward") == expected


@pytest.mark.parametrize("value", [0, -2, 0.1, -1e-5, 2.5e20, np.inf, -np.inf, True, np.float32(3)])
def test_numbers_that_are_written_out(value: Any) -> None:
    symbol = number(value)
    assert eval(symbol.code) == value
    assert not symbol.code.isidentifier()  # it would become an argument
    mathml(symbol.latex)


# -- how it reads ------------------------------------------------------------------------------


def code_of(program: Program) -> list[str]:
    return [line.to_numpy() for line in program.lines()]


def test_convolution_reads_like_the_notes() -> None:
    x, weight, bias = map(variable, (IMAGES, FILTERS, BIAS))
    loss = F.conv2d(x, weight, bias, stride=2, padding=1).sum()
    recording = read(loss)
    named = {"x": x, "W": weight, "b": bias}
    program = build(
        recording,
        {name: recording.vertex(t.node) for name, t in named.items()},
        {id(t.node): name for name, t in named.items()},
        "layers",
    )
    assert code_of(program)[:4] == [
        "x_col = im2col(x, (3, 2), stride=(2, 2), padding=(1, 1))",
        "W_row = W.reshape(4, -1)",
        "conv2d_row = W_row @ x_col + b[:, None]",
        "conv2d = conv2d_row.reshape(4, 3, 4, -1).transpose(3, 0, 1, 2)",
    ]
    assert code_of(program)[-6:] == [
        "dconv2d_row = dconv2d.transpose(1, 2, 3, 0).reshape(4, -1)",
        "dW_row = dconv2d_row @ x_col.T",
        "dW = dW_row.reshape(W.shape)",
        "db = dconv2d_row.sum(axis=1)",
        "dx_col = W_row.T @ dconv2d_row",
        "dx = col2im(dx_col, x.shape, (3, 2), stride=(2, 2), padding=(1, 1))",
    ]
    shapes = [line.target.shape for line in program.lines()][:4]
    assert shapes == [(18, 24), (4, 18), (4, 24), (2, 4, 3, 4)]


def test_softmax_loss_reads_like_the_assignment() -> None:
    scores = variable(SCORES)
    loss = F.cross_entropy(scores, LABELS)
    recording = read(loss)
    known = {id(scores.node): "scores", id(LABELS): "y"}
    program = build(recording, {"scores": recording.vertex(scores.node)}, known, "layers")
    assert code_of(program) == [
        "shifted = scores - scores.max(axis=-1, keepdims=True)",
        "log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))",
        "loss = -log_p[np.arange(len(y)), y].mean()",
        "p = np.exp(log_p)",
        "dscores = (p - one_hot(y, 3)) / len(y)",
    ]
    shown = program.lines()[2].to_latex(shapes=False)
    assert shown.endswith(r"= -\frac{1}{N} \sum_{n} {\ln p}_{n, {y}_{n}}")


# -- whole models ------------------------------------------------------------------------------


class Block(tc.nn.Module):
    """A residual block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = tc.nn.Conv2d(3, 3, 3, padding=1, bias=False, dtype=float)
        self.bn1 = tc.nn.BatchNorm2d(3, dtype=float)
        self.conv2 = tc.nn.Conv2d(3, 3, 3, padding=1, dtype=float)

    def forward(self, x: tc.Tensor) -> tc.Tensor:
        return F.relu(self.conv2(F.relu(self.bn1(self.conv1(x)))) + x)


def _batch_norm_net() -> tc.nn.Module:
    nn = tc.nn
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, dtype=float), nn.BatchNorm2d(4, dtype=float), nn.LeakyReLU(),
        nn.AvgPool2d(2, padding=1, count_include_pad=False), nn.Flatten(), nn.Dropout(0.5),
        nn.Linear(16, 5, dtype=float), nn.BatchNorm1d(5, dtype=float), nn.GELU(),
    )  # fmt: skip


@pytest.mark.parametrize("loss", [F.cross_entropy, F.hinge_loss])
@pytest.mark.parametrize(
    ("build_model", "images"),
    [
        (lambda: tc.models.LeNet5(dtype=float), array(2, 1, 28, 28)),
        (_batch_norm_net, array(3, 3, 7, 6)),
        (lambda: _batch_norm_net().eval(), array(3, 3, 7, 6)),
        (lambda: tc.nn.Sequential(Block(), Block(), tc.nn.Flatten()), array(2, 3, 3, 3)),
    ],
    ids=["LeNet5", "batch norm", "batch norm, evaluation", "residual"],
)
def test_models(build_model: Callable[[], tc.nn.Module], images: Any, loss: Any) -> None:
    tc.manual_seed(0)
    model = build_model()
    result = loss(model(images), np.arange(len(images)))
    program = derived(result, dict(model.named_parameters()))
    called = {v.scope.name for v in read(result) if v.scope is not None and _is_outermost(v.scope)}
    used = {title.rpartition(": ")[2].split(" (")[0] for title in titles(program, "forward")}
    assert len(called) >= 2
    assert called <= used
    for line in program.lines():
        mathml(line.to_latex())


def _is_outermost(scope: Any) -> bool:
    """Whether a scope is a call of a function that no function made."""
    return scope.kind == "function" and (scope.parent is None or scope.parent.kind == "module")
