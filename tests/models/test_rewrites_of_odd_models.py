# ruff: noqa: E501  (the table of refusals has one line for each)
"""Rewrites of models that share layers, freeze them, skip around them or return other things."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from benchmarks._measure import traced
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ArgumentError, GraphError
from tinygrad_cnn.models import rewrites, sliding_scores

SHAPE = (2, 3, 8, 8)


class Written(nn.Module):
    """A model whose forward is given."""

    def __init__(self, forward: Callable[..., Any], **parts: nn.Module) -> None:
        super().__init__()
        self.written = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any) -> Any:
        return self.written(self, x)


class Add(nn.Module):
    def forward(self, a: Any, b: Any) -> Any:
        return a + b


def _head(*after: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 3, 3), nn.Flatten(), nn.Linear(108, 4), *after)


# -- sharing -----------------------------------------------------------------------------------


def test_a_layer_is_replaced_wherever_it_is_held() -> None:
    drop = nn.Dropout()
    removed = rewrites.remove_dropout(nn.Sequential(drop, nn.Sequential(nn.ReLU(), drop)), SHAPE)
    assert not any(isinstance(m, nn.Dropout) for m in removed.model.modules())


def test_a_shared_pool_becomes_one_convolution_if_the_channels_are_the_same() -> None:
    pool = nn.AvgPool2d(2)
    shared = rewrites.pool_to_conv(nn.Sequential(pool, nn.ReLU(), pool), SHAPE)
    assert shared.proof.parameters == (0, 12)
    assert len(shared.proof.changes) == 1
    with pytest.raises(GraphError, match=r"1 .* stays: it is called with 3 and 5 channels"):
        rewrites.pool_to_conv(nn.Sequential(nn.ReLU(), pool, nn.Conv2d(3, 5, 1), pool), SHAPE)


def test_a_shared_convolution_is_factored_once() -> None:
    conv = nn.Conv2d(3, 3, 5, padding=2, padding_mode="reflect", flip=True, bias=False)
    factored = rewrites.factor_convolutions(nn.Sequential(conv, nn.ReLU(), conv), SHAPE)
    assert factored.proof.parameters == (225, 162)
    assert len(factored.proof.changes) == 1
    first = dict(factored.model.named_modules())["0.0"]
    assert (first.padding_mode, first.flip) == ("reflect", True)


def test_a_model_that_is_one_layer_is_replaced_itself() -> None:
    assert isinstance(rewrites.pool_to_conv(nn.AvgPool2d(2), SHAPE).model, nn.Conv2d)
    assert isinstance(rewrites.remove_dropout(nn.Dropout(), SHAPE).model, nn.Identity)


@pytest.mark.parametrize(
    ("pool", "conv"), [(nn.AvgPool1d(2), nn.Conv1d), (nn.AvgPool3d((2, 1, 2)), nn.Conv3d)]
)
def test_pools_of_signals_and_volumes_are_convolutions(
    pool: nn.Module, conv: type[nn.Module]
) -> None:
    shape = (2, 3, *(4,) * pool.axes)  # type: ignore[attr-defined]
    rewrite = rewrites.pool_to_conv(nn.Sequential(pool), shape)
    assert isinstance(dict(rewrite.model.named_modules())["0"], conv)


# -- what a layer had stays --------------------------------------------------------------------


@pytest.mark.parametrize("rewrite", [rewrites.fc_to_conv, rewrites.conv_to_fc])
def test_what_was_frozen_stays_frozen(rewrite: Any) -> None:
    model = _head()
    model[0].requires_grad_(False)
    found = [p.requires_grad for p in rewrite(model, SHAPE).model.parameters()]
    assert found == [False, False, True, True]


def test_a_merged_layer_stays_frozen() -> None:
    model = nn.Sequential(nn.Conv2d(3, 3, 3).requires_grad_(False), nn.BatchNorm2d(3))
    merged = rewrites.fold_batch_norm(model, SHAPE).model
    assert not any(p.requires_grad for p in merged.parameters())


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rewrite", [rewrites.fc_to_conv, rewrites.conv_to_fc])
def test_new_layers_have_the_mode_of_the_model(rewrite: Any, training: bool) -> None:
    new = rewrite(_head(nn.BatchNorm1d(4)).train(training), SHAPE).model
    assert {module.training for module in new.modules()} == {training}


def test_rewrites_work_under_no_grad_and_leave_generators_alone() -> None:
    tc.manual_seed(5)
    expected = tc.rand(1).item()
    tc.manual_seed(5)
    noisy = Written(lambda self, x: self.drop(x) + 0.0 * tc.rand(1), drop=nn.Dropout())
    with tc.no_grad():
        rewrites.remove_dropout(noisy, SHAPE)
        sliding_scores(_head(), np.zeros((1, 3, 9, 9)), SHAPE)
        tc.manual_seed(5)
        rewrites.remove_dropout(noisy, SHAPE)
    assert tc.rand(1).item() == expected


# -- chains ------------------------------------------------------------------------------------


@pytest.mark.parametrize("rewrite", [rewrites.fc_to_conv, rewrites.conv_to_fc])
@pytest.mark.parametrize(
    "skip",
    [
        lambda self, x: self.head(self.add(F.relu(x), x)),
        lambda self, x: self.head(self.add(F.relu(x), b=x)),
        lambda self, x: self.head(self.add(F.relu(x), F.tanh(x))),
    ],
    ids=["second argument", "keyword", "branch"],
)
def test_a_layer_with_two_inputs_is_no_link(rewrite: Any, skip: Any) -> None:
    with pytest.raises(GraphError, match=r"no chain: add .Add. takes more than"):
        rewrite(Written(skip, add=Add(), head=_head()), SHAPE)


def test_functions_in_forward_are_layers_of_the_chain() -> None:
    def forward(self: Any, x: Any) -> Any:
        h, _ = F.max_pool2d(F.relu6(self.conv(x)), 2, return_indices=True)
        return F.log_softmax(self.fc(F.flatten(h, 1)), 1)

    model = Written(forward, conv=nn.Conv2d(3, 3, 3), fc=nn.Linear(27, 4))
    slid = rewrites.fc_to_conv(model, SHAPE)
    assert slid.model(tc.zeros(1, 3, 12, 10)).shape == (1, 4, 3, 2)
    assert any(
        "Linear(192, 108)" in change for change in rewrites.conv_to_fc(model, SHAPE).proof.changes
    )


def test_dropout_left_on_is_named() -> None:
    model = Written(lambda self, x: self.head(F.dropout(x)), head=_head())
    with pytest.raises(GraphError, match="the model computes dropout"):
        rewrites.fc_to_conv(model, SHAPE)


def test_a_matrix_of_one_row_needs_no_square_of_the_image() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 70))
    with traced() as peak:
        dense = rewrites.conv_to_fc(model, (1, 1, 70, 70))
        taken = peak()
    assert "Linear(4900, 1)" in dense.proof.changes[0]
    assert taken < 4900**2 * 8 / 2  # bytes of half of all unit images in float64


# -- refusals ----------------------------------------------------------------------------------

USED_BEFORE = Written(
    lambda self, x: (lambda h: (lambda kept: self.norm(h) + kept)(h * 2.0))(self.conv(x)),
    conv=nn.Conv2d(3, 3, 3), norm=nn.BatchNorm2d(3),
)  # fmt: skip
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "no model": (lambda: rewrites.fc_to_conv("lenet5", SHAPE), ArgumentError, "expected a model"),  # type: ignore[arg-type]
    "no shape": (lambda: rewrites.remove_dropout(nn.Dropout(), 5), ArgumentError, "or a shape"),  # type: ignore[arg-type]
    "two results": (
        lambda: rewrites.remove_dropout(Written(lambda s, x: (s.d(x), x), d=nn.Dropout()), SHAPE),
        ArgumentError, "remove_dropout: the model returns a tuple, expected one Tensor",
    ),
    "a constant": (
        lambda: rewrites.remove_dropout(Written(lambda s, x: tc.ones(2), d=nn.Dropout()), SHAPE),
        GraphError, "does not depend on its input",
    ),
    "used before the norm": (
        lambda: rewrites.fold_batch_norm(USED_BEFORE, SHAPE),
        GraphError, "norm stays: what conv returns is used elsewhere too",
    ),
    "norm of another axis": (
        lambda: rewrites.fold_batch_norm(nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)), (2, 3, 5)),
        GraphError, "1 stays: it normalises axis 1 of (2, 3, 3), not what 0 computes",
    ),
    "flattened by halves": (
        lambda: rewrites.fc_to_conv(nn.Sequential(nn.Flatten(2), nn.Linear(64, 4)), SHAPE),
        GraphError, "not a flattened volume",
    ),
    "statistics of the whole image": (
        lambda: rewrites.fc_to_conv(nn.Sequential(nn.InstanceNorm2d(3), nn.Flatten(), nn.Linear(192, 4)), SHAPE),
        GraphError, "0 (InstanceNorm2d) looks at the whole image",
    ),
    "one scale": (
        lambda: sliding_scores(_head(), np.zeros((1, 3, 9, 9)), SHAPE, scales=2.0),  # type: ignore[arg-type]
        ArgumentError, "sliding_scores: scales=2.0, expected a list",
    ),
    "one shift": (
        lambda: sliding_scores(_head(), np.zeros((1, 3, 9, 9)), SHAPE, shifts=(0, 1)),  # type: ignore[arg-type]
        ArgumentError, "a shift of 0, expected (rows, columns)",
    ),
    "a side": (lambda: sliding_scores(_head(), np.zeros((1, 3, 9, 9)), 8), ArgumentError, "input_shape=8"),  # type: ignore[arg-type]
}  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_model_for_a_rewrite_is_named(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_a_gradient_of_nan_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinygrad_cnn.models.rewrites import _proof

    errors = iter([0.0, np.nan])
    monkeypatch.setattr(_proof, "_error", lambda old, new: next(errors))
    with pytest.raises(GraphError, match="input gradients by nan"):
        rewrites.remove_dropout(nn.Sequential(nn.Dropout()), SHAPE)


# -- sliding -----------------------------------------------------------------------------------


def test_shifts_from_a_generator_serve_every_scale() -> None:
    image = np.random.default_rng(0).standard_normal((1, 3, 12, 12))
    shifts = [(0, 0), (1, 2)]
    listed = sliding_scores(_head(), image, SHAPE, scales=(1.0, 1.5), shifts=shifts)
    drawn = sliding_scores(_head(), image, SHAPE, scales=(1.0, 1.5), shifts=iter(shifts))
    assert [(m.scale, m.shift) for m in drawn.maps] == [(m.scale, m.shift) for m in listed.maps]
    assert len(drawn.maps) == 4
