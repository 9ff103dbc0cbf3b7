"""The audit of values: changed in place, in the wrong mode, dead, vanishing, exploding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from audit_training import IMAGES, LABELS, Change, Training, only

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.check.audit import Audit, AuditFinding, audit

# -- accumulated, changed, mutated ---------------------------------------------------------


def test_gradients_of_two_steps_that_add_up_are_found() -> None:
    training = Training()

    def step() -> None:
        loss = F.cross_entropy(training.model(IMAGES), LABELS)
        loss.backward()  # here
        training.optimizer.step()

    finding = only(training.audit(step), "accumulated")
    assert "fc2.weight, fc2.bias" in finding.message
    assert "zero_grad" in finding.fix
    assert training.audit(step, calls=1).ok  # it takes two


def test_zeros_in_place_of_gradients_are_fine() -> None:
    training = Training()

    def step() -> None:
        F.cross_entropy(training.model(IMAGES), LABELS).backward()
        training.optimizer.step()
        training.optimizer.zero_grad(set_to_none=False)

    assert training.audit(step).ok


def _clipped_in_place(h: tc.Tensor) -> tc.Tensor:
    h.data[h.data < 0.5] = 0.0  # here
    return h


def _written_later(h: tc.Tensor) -> tc.Tensor:
    y = h * h
    with tc.no_grad():
        h.numpy()[:, 0] = 0.0  # here
    return y


@pytest.mark.parametrize("change", [_clipped_in_place, _written_later])
def test_a_result_that_is_changed_before_backward_is_found(change: Change) -> None:
    report = Training(change).audit()
    assert report.kinds == {"saved_changed"}
    assert "gather_windows in Net/max_pool2d" in only(report, "saved_changed").message


def test_a_weight_that_is_changed_before_backward_is_found() -> None:
    training = Training()

    def step() -> None:
        training.optimizer.zero_grad()
        loss = F.cross_entropy(training.model(IMAGES), LABELS)
        training.model.fc2.weight.data *= 0.9  # here
        loss.backward()
        training.optimizer.step()

    finding = only(training.audit(step), "saved_changed")
    assert finding.message.startswith("fc2.weight was changed in place")
    assert finding.numbers["elements"] == 200


def test_an_input_that_the_step_changes_is_found() -> None:
    training = Training()
    images = IMAGES.copy()

    def step() -> None:
        nonlocal images
        training.optimizer.zero_grad()
        images /= 2  # here
        F.cross_entropy(training.model(images), LABELS).backward()
        training.optimizer.step()

    report = training.audit(step)
    assert report.kinds == {"input_mutated"}
    assert only(report, "input_mutated").message.startswith("images, shape (16, 1, 8, 8)")


def test_an_input_that_the_model_changes_is_found() -> None:
    class Centred(nn.Linear):
        def forward(self, x: Any) -> tc.Tensor:
            x.data -= x.data.mean()  # here
            return super().forward(x)

    model = Centred(64, 10)

    def step() -> None:
        batch = tc.tensor(IMAGES.reshape(16, 64))
        F.cross_entropy(model(batch), LABELS).backward()
        model.zero_grad()

    assert only(audit(step, model=model), "input_mutated").numbers["elements"] == 1024


# -- modes ---------------------------------------------------------------------------------


def test_layers_in_eval_mode_in_a_training_step_are_found() -> None:
    training = Training()
    training.model.eval()
    report = training.audit()
    assert report.kinds == {"eval_in_training"}
    names = [finding.message.split(" is ")[0] for finding in report.findings]
    assert names == ["norm (BatchNorm2d)", "drop (Dropout)"]
    assert [f.where.text for f in report.findings if f.where] == [
        "h = F.max_pool2d(F.relu(self.norm(self.conv(tc.as_tensor(x)))), 2)",
        "return self.fc2(self.drop(h))",
    ]
    assert not training.model.training


def test_layers_in_training_mode_in_an_evaluation_are_found() -> None:
    training = Training()

    def step() -> None:
        training.step()
        with tc.no_grad():
            training.model(IMAGES)

    report = training.audit(step)
    assert report.kinds == {"training_in_evaluation"}
    assert len(report.findings) == 2


# -- dead, vanishing, exploding ------------------------------------------------------------


def deep(activation: type[nn.Module], layers: int, scale: float = 1.0) -> nn.Sequential:
    """A stack of linear layers of 32 units with weights ``scale`` times the default."""
    generator = np.random.default_rng(2)
    parts: list[nn.Module] = [nn.Flatten()]
    for number in range(layers):
        linear = nn.Linear(64 if number == 0 else 32, 32, generator=generator)
        with tc.no_grad():
            linear.weight *= scale
        parts += [linear, activation()]
    return nn.Sequential(*parts, nn.Linear(32, 10, generator=generator))


def steps_of(model: nn.Module) -> Audit:
    """The audit of plain steps on the images."""
    optimizer = optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()

    return audit(step, model=model)


def only_where_unmarked(report: Audit, kind: str) -> AuditFinding:
    """The one finding of a kind, at the line where the model is called."""
    [finding] = [finding for finding in report.findings if finding.kind == kind]
    assert finding.where is not None
    assert finding.where.file == __file__
    assert "model(IMAGES)" in finding.where.text
    return finding


def test_dead_relus_are_counted() -> None:
    model = deep(nn.ReLU, 2)
    with tc.no_grad():
        model[1].bias[:24] = -50.0
    report = steps_of(model)
    finding = only_where_unmarked(report, "dead_relu")
    assert finding.numbers["share"] >= 0.75
    assert "2/relu" in finding.message
    assert "of 32 units" in finding.message
    assert report.kinds == {"dead_relu"}


def test_a_relu_layer_that_is_dead_as_a_whole_stops_the_gradient() -> None:
    model = deep(nn.ReLU, 2)
    with tc.no_grad():
        model[1].bias -= 50.0
    report = steps_of(model)
    assert report.kinds == {"dead_relu", "vanishing"}
    assert only_where_unmarked(report, "vanishing").numbers == {"1.weight": 0.0, "3.weight": 0.0}


def test_gradients_that_vanish_are_found_by_layer() -> None:
    report = steps_of(deep(nn.Sigmoid, 9))
    numbers = only_where_unmarked(report, "vanishing").numbers
    assert list(numbers)[:2] == ["1.weight", "3.weight"]
    assert max(numbers.values()) < 1e-4
    ratios = [layer.relative for layer in report.layers]
    assert ratios == sorted(ratios)  # smaller the further from the loss
    assert ratios[-1] == 1.0


def test_gradients_that_explode_are_found_by_layer() -> None:
    report = steps_of(deep(nn.Identity, 6, scale=20.0))
    numbers = only_where_unmarked(report, "exploding").numbers
    assert min(numbers.values()) > 1e3


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU, nn.Sigmoid])
def test_shallow_networks_of_every_kind_are_healthy(activation: type[nn.Module]) -> None:
    assert steps_of(deep(activation, 3)).ok
