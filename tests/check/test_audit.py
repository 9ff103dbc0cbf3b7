"""The audit of gradients: nothing in a clean step, and the line where a gradient gets lost."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from audit_training import IMAGES, LABELS, Change, Training, log, only

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn.check.audit import audit

# -- a clean step --------------------------------------------------------------------------


def test_a_clean_step_gives_no_finding() -> None:
    report = Training().audit()
    assert report.ok
    assert report.findings == ()
    assert [layer.name for layer in report.layers] == ["conv.weight", "fc1.weight", "fc2.weight"]
    assert "no silent break" in str(report)


def _mask(h: tc.Tensor) -> tc.Tensor:
    return h * (h.data > 0.1)  # a mask is no function of the values that has a gradient


def _stable(h: tc.Tensor) -> tc.Tensor:
    shifted = h.flatten(1) - h.data.reshape(16, -1).max(axis=1, keepdims=True)
    return tc.exp(shifted) / tc.exp(shifted).sum(axis=1, keepdims=True)  # the shift cancels out


def _meant(h: tc.Tensor) -> tc.Tensor:
    with tc.no_grad():
        scale = h.data.std()
    return h / scale


@pytest.mark.parametrize("change", [log, _mask, _stable, _meant])
def test_what_is_read_without_harm_is_no_finding(change: Change) -> None:
    assert Training(change).audit().ok


def test_accuracy_evaluation_and_micro_batches_are_no_finding() -> None:
    training = Training()
    model, optimizer = training.model, training.optimizer

    def step() -> float:
        optimizer.zero_grad()
        for half in (slice(0, 8), slice(8, 16)):
            scores = model(IMAGES[half])
            (F.cross_entropy(scores, LABELS[half]) / 2).backward()
        optimizer.step()
        hits = (scores.data.argmax(axis=1) == LABELS[half]).mean()
        model.eval()
        with tc.no_grad():
            model(IMAGES)
        model.train()
        return float(hits)

    assert training.audit(step).ok


def test_an_update_by_hand_is_no_finding() -> None:
    training = Training()

    def step() -> None:
        F.cross_entropy(training.model(IMAGES), LABELS).backward()
        for parameter in training.model.parameters():
            parameter.data -= 0.1 * parameter.grad.data
            parameter.grad = None

    arrays = [parameter.data for parameter in training.model.parameters()]
    assert training.audit(step, restore=False).ok
    after = [parameter.data for parameter in training.model.parameters()]
    assert all(a is b and type(b) is np.ndarray for a, b in zip(arrays, after, strict=True))


def test_the_steps_of_the_fit_loop_are_clean() -> None:
    training = Training()
    data = [(IMAGES, LABELS)]
    options: dict[str, Any] = {"epochs": 1, "optimizer": training.optimizer, "progress": False}
    report = training.audit(lambda: tc.train.fit(training.model, data, **options))
    assert report.ok


# -- detached ------------------------------------------------------------------------------


def _numpy(h: tc.Tensor) -> tc.Tensor:
    return tc.tensor(np.maximum(h.numpy(), 0.1))  # here


def _asarray(h: tc.Tensor) -> tc.Tensor:
    return tc.as_tensor(np.asarray(h))  # here


def _asarray_computed(h: tc.Tensor) -> tc.Tensor:
    return tc.as_tensor(np.tanh(np.asarray(h)))  # here


def _array(h: tc.Tensor) -> tc.Tensor:
    return tc.tensor(np.array(h), dtype=np.float32)  # here


def _data(h: tc.Tensor) -> tc.Tensor:
    values = h.data  # here
    return tc.as_tensor(values[:, ::-1])


def _detach(h: tc.Tensor) -> tc.Tensor:
    return F.relu(h.detach())  # here


def _copied(h: tc.Tensor) -> tc.Tensor:
    return tc.tensor(h)  # here


def _concatenated(h: tc.Tensor) -> tc.Tensor:
    values = h.data  # here
    return tc.tensor(np.concatenate([values[:, :2], values[:, 2:]], axis=1))


@pytest.mark.parametrize(
    "change",
    [_numpy, _asarray, _asarray_computed, _array, _data, _detach, _copied, _concatenated],
)
def test_a_path_that_leaves_the_graph_is_found_where_it_does(change: Change) -> None:
    report = Training(change).audit()
    assert report.kinds == {"detached", "no_gradient"}
    only(report, "detached")
    missing = only(report, "no_gradient")
    assert missing.message.startswith("conv.weight, conv.bias, norm.weight, norm.bias never got")
    assert missing.numbers["parameters"] == 4


def _scaled(h: tc.Tensor) -> tc.Tensor:
    return h / (h.data.std() + 1e-5)  # here


def _straight_through(h: tc.Tensor) -> tc.Tensor:
    return h + (tc.tanh(h) - h).detach()  # here


def _with_number(h: tc.Tensor) -> tc.Tensor:
    total = (h * h).mean().item()  # here
    return h + total


@pytest.mark.parametrize("change", [_scaled, _straight_through, _with_number])
def test_a_part_of_a_gradient_that_is_lost_is_found(change: Change) -> None:
    """Every parameter gets a gradient, but not the right one."""
    report = Training(change).audit()
    assert report.kinds == {"detached"}
    assert only(report, "detached").numbers["largest element lost"] > 0


def test_a_penalty_on_data_is_found() -> None:
    training = Training()

    def step() -> None:
        training.optimizer.zero_grad()
        loss = F.cross_entropy(training.model(IMAGES), LABELS)
        penalty = sum((p.data**2).sum() for p in training.model.parameters())  # here
        (loss + 1e-3 * penalty).backward()
        training.optimizer.step()

    report = training.audit(step)
    assert report.kinds == {"detached"}
    assert "conv.weight, read with .data" in only(report, "detached").message


def test_losses_collected_in_a_new_tensor_are_found() -> None:
    w = tc.tensor([1.0, 2.0], requires_grad=True, name="w")

    def step() -> None:
        losses = [(w * 2.0).sum(), (w * w).sum()]
        (tc.tensor(losses).sum() + w.sum()).backward()  # here
        w.grad = None

    report = audit(step)
    assert report.kinds == {"detached"}
    assert "tc.tensor()" in only(report, "detached").message


# -- no gradient ---------------------------------------------------------------------------


class Branches(nn.Module):
    """A linear layer, and another one that is used as ``branch`` says."""

    def __init__(self, branch: Callable[[nn.Linear, tc.Tensor, tc.Tensor], tc.Tensor]) -> None:
        super().__init__()
        self.main, self.side = nn.Linear(64, 10), nn.Linear(64, 10)
        self.branch = branch

    def forward(self, x: Any) -> tc.Tensor:
        flat = tc.as_tensor(x).flatten(1)
        return self.branch(self.side, flat, self.main(flat))


def _unused(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    return y


def _forgotten(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    side(x)  # here
    return y


def _argmax(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    best = tc.argmax(side(x), axis=1)  # here
    return y * best.reshape(-1, 1)


def _compared(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    return y * (side(x) > 0)  # here


def _sign(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    return y + tc.sign(side(x))  # here


def _no_grad(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    with tc.no_grad():
        extra = side(x)  # here
    return y + extra


def _weight_read(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    mean = side.weight.numpy().mean() + side.bias.numpy().mean()  # here
    assert np.isfinite(mean)
    return y


def _frozen(side: nn.Linear, x: tc.Tensor, y: tc.Tensor) -> tc.Tensor:
    side.requires_grad_(False)
    return y + side(x)


@pytest.mark.parametrize(
    ("branch", "reason"),
    [
        (_unused, "the step does not use it"),
        (_forgotten, "which the loss does not use"),
        (_argmax, "read with argmax"),
        (_compared, "read with a comparison"),
        (_sign, "sign in Branches .* passes no gradient on"),
        (_no_grad, "it is used under no_grad only"),
        (_weight_read, r"only its values are used, read with .numpy\(\)"),
        (_frozen, "its requires_grad is False"),
    ],
)
def test_the_reason_why_a_parameter_gets_no_gradient(branch: Any, reason: str) -> None:
    model = Branches(branch)
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(IMAGES), LABELS).backward()
        optimizer.step()

    finding = only(audit(step, model=model), "no_gradient")
    assert finding.message.startswith("side.weight, side.bias never got a gradient")
    assert re.search(reason, finding.message)


def test_a_step_without_backward_trains_nothing() -> None:
    model = nn.Linear(64, 10)
    report = audit(lambda: model(IMAGES.reshape(16, 64)), model=model)
    assert "the step calls no backward" in only(report, "no_gradient").message


def test_gradients_that_were_not_asked_for_are_named() -> None:
    model = nn.Linear(64, 10)

    def step() -> None:
        loss = F.cross_entropy(model(IMAGES.reshape(16, 64)), LABELS)
        tc.gradients(loss, [model.weight])  # here

    finding = only(audit(step, model=model), "no_gradient")
    assert (
        finding.message == "bias never got a gradient: only the gradients of others were asked for"
    )


def test_parameters_are_those_of_the_optimiser_too() -> None:
    used, spare = (tc.tensor([1.0, 2.0], requires_grad=True, name=n) for n in ("used", "spare"))
    optimizer = optim.SGD([used, spare], lr=0.1)

    def step() -> None:
        optimizer.zero_grad()
        (used * used).sum().backward()
        optimizer.step()

    assert only(audit(step), "no_gradient").message.startswith("spare never")
    assert used.data.tolist() == [1.0, 2.0]  # known by the optimiser alone, and put back
