# ruff: noqa: E501  (the table of refusals has one line for each)
"""Rewrites of models: what they prove, what they change, and when they refuse."""

from __future__ import annotations

import copy
import re
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, GraphError
from tinygrad_cnn.models import LeNet5, rewrites
from tinygrad_cnn.models.rewrites import Rewrite
from tinygrad_cnn.models.rewrites._proof import proved


def _trained_norm(channels: int, kind: type[nn.Module] = nn.BatchNorm2d) -> Any:
    """A normalisation whose statistics and weights are not those of a new one."""
    rng = np.random.default_rng(channels)
    norm: Any = kind(channels)
    norm.load_state_dict(
        {
            "weight": rng.uniform(0.5, 2.0, channels),
            "bias": rng.standard_normal(channels),
            "running_mean": rng.standard_normal(channels),
            "running_var": rng.uniform(0.5, 2.0, channels),
            "num_batches_tracked": np.array(3),
        }
    )
    return norm


class Residual(nn.Module):
    """Imperative, with a skip: conv, norm, and the input added."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm = _trained_norm(4)

    def forward(self, x: Any) -> Any:
        return F.relu(self.norm(self.conv(x)) + x)


def _state(model: nn.Module) -> dict[str, Any]:
    return {name: value.copy() for name, value in model.state_dict().items()}


def _check(rewrite: Rewrite, model: nn.Module, shape: tuple[int, ...]) -> None:
    """The proof holds on other images than those it was made with."""
    x = np.random.default_rng(7).standard_normal(shape)
    results = []
    for each in (model, rewrite.model):
        double = copy.deepcopy(each).double().eval()
        images = tc.tensor(x, requires_grad=True)
        y = double(images)
        (y**3).sum().backward()
        results.append((y.numpy().ravel(), images.grad.numpy()))
    for old, new in zip(*results, strict=True):
        assert np.abs(old - new).max() <= 1e-10 * np.abs(old).max()
    assert rewrite.proof.output_error is not None
    assert max(rewrite.proof.output_error, rewrite.proof.gradient_error) <= 1e-10


# -- fully connected and convolution -----------------------------------------------------------


def test_lenets_fully_connected_layers_become_convolutions() -> None:
    model = LeNet5(image_size=32)
    slid = rewrites.fc_to_conv(model, (2, 1, 32, 32))
    _check(slid, model, (2, 1, 32, 32))
    assert slid.model(tc.zeros(1, 1, 40, 44)).shape == (1, 10, 3, 4)
    assert slid.proof.parameters == (61_706, 61_706)
    assert slid.proof.flops[0] == slid.proof.flops[1]
    assert slid.proof.changes == (
        "flatten: Flatten(start_dim=1, end_dim=-1) left out",
        "fc1: Linear(400, 120) -> Conv2d(16, 120, kernel_size=(5, 5), stride=(1, 1))",
        "fc2: Linear(120, 84) -> Conv2d(120, 84, kernel_size=(1, 1), stride=(1, 1))",
        "fc3: Linear(84, 10) -> Conv2d(84, 10, kernel_size=(1, 1), stride=(1, 1))",
    )


def test_a_head_with_dropout_and_norm_becomes_convolutions() -> None:
    norm = _trained_norm(6, nn.BatchNorm1d)
    head = [
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(3 * 4 * 4, 6),
        norm,
        nn.GELU(),
        nn.Linear(6, 2),
    ]
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.AdaptiveAvgPool2d(4), *head)
    slid = rewrites.fc_to_conv(model, (3, 1, 4, 4))
    _check(slid, model, (3, 1, 4, 4))
    assert any("AdaptiveAvgPool2d" in change for change in slid.proof.changes)
    assert slid.model(tc.zeros(1, 1, 9, 6)).shape == (1, 2, 6, 3)


def test_a_convolution_is_a_sparse_matrix() -> None:
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 2, bias=False)
    )
    dense = rewrites.conv_to_fc(model, (2, 2, 7, 6))
    _check(dense, model, (2, 2, 7, 6))
    matrix = dict(dense.model.named_parameters())["0.1.weight"].numpy()
    assert matrix.shape == (3 * 4 * 3, 2 * 7 * 6)
    touched = sum(
        0 <= 2 * i + a - 1 < 7 and 0 <= 2 * j + b - 1 < 6
        for i in range(4) for j in range(3) for a in range(3) for b in range(3)
    )  # fmt: skip
    assert np.count_nonzero(matrix) == 2 * 3 * touched
    assert np.unique(matrix[matrix != 0]).size == 2 * 3 * 9
    assert "54 different" in dense.proof.changes[0]


# -- layers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), _trained_norm(4), nn.ReLU()), (2, 3, 6, 5)),
        (nn.Sequential(nn.Conv2d(4, 4, 3, groups=2, bias=False), _trained_norm(4)), (2, 4, 6, 5)),
        (nn.Sequential(nn.Linear(5, 4), _trained_norm(4, nn.BatchNorm1d)), (3, 5)),
        (nn.Sequential(nn.Conv1d(2, 4, 3), _trained_norm(4, nn.BatchNorm1d)), (3, 2, 5)),
        (Residual(), (2, 4, 5, 5)),
        (nn.Sequential(Residual(), Residual()), (2, 4, 5, 5)),
    ],
    ids=["conv", "grouped", "linear", "signals", "residual", "nested"],
)
def test_batch_norm_is_folded(model: nn.Module, shape: tuple[int, ...]) -> None:
    model.double()
    before = _state(model)
    folded = rewrites.fold_batch_norm(model, shape)
    _check(folded, model, shape)
    assert not any(isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d) for m in folded.model.modules())
    assert folded.proof.flops[1] < folded.proof.flops[0]
    for name, value in _state(model).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_model_keeps_its_dtype() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), _trained_norm(4))
    folded = rewrites.fold_batch_norm(model, (2, 3, 6, 5))
    assert {p.dtype for p in folded.model.parameters()} == {np.dtype(np.float32)}
    x = tc.tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 5)), dtype=np.float32)
    np.testing.assert_allclose(folded.model.eval()(x), model.eval()(x), rtol=1e-4, atol=1e-5)


def test_norms_that_follow_no_layer_stay_and_are_named() -> None:
    model = nn.Sequential(_trained_norm(3), nn.Conv2d(3, 4, 3), _trained_norm(4))
    folded = rewrites.fold_batch_norm(model.double(), (1, 3, 5, 5))
    _check(folded, model, (1, 3, 5, 5))
    assert "0 stays: it follows no convolution or linear layer" in str(folded)


def test_average_pools_become_strided_convolutions() -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.AvgPool2d(3, 2, padding=1), nn.MaxPool2d(2))
    turned = rewrites.pool_to_conv(model.double(), (2, 1, 9, 9))
    _check(turned, model, (2, 1, 9, 9))
    assert isinstance(turned.model[1], nn.Conv2d)
    assert "2 (MaxPool2d) stays: the largest element of a window is not linear" in str(turned)
    assert turned.proof.parameters == (30, 30 + 3 * 9)


def test_two_3x3_stand_for_a_5x5_in_structure_alone() -> None:
    model = nn.Sequential(nn.Conv2d(6, 6, 5, stride=2, padding=2, bias=False), nn.ReLU())
    factored = rewrites.factor_convolutions(model, (1, 6, 9, 9))
    assert factored.proof.parameters == (25 * 36, 18 * 36)
    assert factored.proof.output_error is None
    assert "structure only" in str(factored)
    x = tc.zeros(1, 6, 9, 9)
    assert factored.model(x).shape == model(x).shape


def test_seven_by_seven_takes_49_and_three_3x3_take_27() -> None:
    model = nn.Sequential(nn.Conv2d(8, 8, 7, padding=3, bias=False))
    assert rewrites.factor_convolutions(model, (1, 8, 9, 9)).proof.parameters == (
        49 * 8**2,
        27 * 8**2,
    )


def test_dropout_is_removed_and_names_stay() -> None:
    model = nn.Sequential(nn.Conv2d(4, 3, 1), nn.Dropout(0.5), nn.Sequential(nn.Dropout2d(0.1)))
    removed = rewrites.remove_dropout(model, (2, 4, 3, 3))
    _check(removed, model, (2, 4, 3, 3))
    assert list(removed.model.state_dict()) == list(model.state_dict())
    assert not any("Dropout" in type(m).__name__ for m in removed.model.modules())
    assert removed.model.training is model.training


# -- refusals ----------------------------------------------------------------------------------


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.left(x) * self.right(x)


class UsedTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 1), _trained_norm(2)

    def forward(self, x: Any) -> Any:
        made = self.conv(x)
        return self.norm(made) + made


REFUSED = {
    "no dropout": (lambda: rewrites.remove_dropout(nn.Sequential(nn.ReLU()), (1, 2)), "has no dropout layer"),
    "no norm": (lambda: rewrites.fold_batch_norm(nn.Sequential(nn.ReLU()), (1, 2)), "there is no batch normalisation"),
    "norm of batches": (
        lambda: rewrites.fold_batch_norm(nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)), (2, 1, 3, 3)),
        "1 stays: it has no running statistics",
    ),
    "norm of what is used twice": (lambda: rewrites.fold_batch_norm(UsedTwice(), (1, 2, 3, 3)), "what conv returns is used elsewhere too"),
    "a maximum": (lambda: rewrites.pool_to_conv(nn.Sequential(nn.MaxPool2d(2)), (1, 1, 4, 4)), "not linear in its elements"),
    "averages at the border": (
        lambda: rewrites.pool_to_conv(nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False)), (1, 1, 4, 4)),
        "divisor of their own",
    ),
    "no large filter": (lambda: rewrites.factor_convolutions(nn.Sequential(nn.Conv2d(1, 1, 3)), (1, 1, 4, 4)), "no convolution above 3x3"),
    "even filters": (lambda: rewrites.factor_convolutions(nn.Sequential(nn.Conv2d(1, 1, 4)), (1, 1, 4, 4)), "4x4, not square with an odd side"),
    "no linear layer": (lambda: rewrites.fc_to_conv(nn.Sequential(nn.Conv2d(1, 1, 3)), (1, 1, 4, 4)), "no fully connected layer"),
    "no volume": (lambda: rewrites.fc_to_conv(nn.Sequential(nn.Linear(4, 2)), (1, 4)), "not a flattened volume"),
    "softmax": (lambda: rewrites.fc_to_conv(nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Softmax(0)), (1, 1, 2, 2)), "2 (Softmax) comes after"),
    "branches": (lambda: rewrites.fc_to_conv(Branching(), (1, 4)), "no chain of layers: the model computes multiply"),
    "no convolution": (lambda: rewrites.conv_to_fc(nn.Sequential(nn.Linear(4, 2)), (1, 4)), "no convolution"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_names_the_reason(call: Any, message: str) -> None:
    with pytest.raises(GraphError, match=re.escape(message)):
        call()


def test_a_matrix_that_would_not_fit_is_refused_before_it_is_made() -> None:
    with pytest.raises(ArgumentError, match=r"would have 307,200,000,000 weights"):
        rewrites.conv_to_fc(nn.Sequential(nn.Conv2d(3, 64, 3, padding=1)), (1, 3, 200, 200))


def test_unequal_models_are_not_proved_equal() -> None:
    before, after = nn.Sequential(nn.Linear(3, 2)), nn.Sequential(nn.Linear(3, 2))
    with pytest.raises(GraphError, match="not equal to the given one: outputs differ by"):
        proved(before, after, (2, 3), ["0: another"], "test")
