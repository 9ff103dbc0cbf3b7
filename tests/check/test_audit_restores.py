"""The audit leaves everything as it was, computes what the step computes, and shows itself."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from audit_training import IMAGES, LABELS, Training, log

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn, optim
from tinygrad_cnn._core import backprop, primitive
from tinygrad_cnn._core import tensor as tensors
from tinygrad_cnn.check.audit import audit


def patched() -> list[Any]:
    """All that an audit replaces, as it is now."""
    owners = tc.Tensor, nn.Module, optim.Optimizer, optim.LRScheduler
    modules = tensors, primitive, backprop
    return [dict(vars(owner)) for owner in (*owners, *modules)]


def test_the_model_and_everything_replaced_are_as_before() -> None:
    training = Training()
    training.step()  # so that there is momentum to be put back
    F.cross_entropy(training.model(IMAGES), LABELS).backward()  # and a gradient
    schedule = optim.lr_scheduler.StepLR(training.optimizer, 1)
    before, attributes = training.state(), patched()
    graph = training.model.fc1.weight.sum()

    def step() -> None:
        training.step()
        schedule.step()
        training.model.eval()

    training.audit(step)
    np.testing.assert_equal(training.state(), before)
    assert patched() == attributes
    assert schedule.last_epoch == 0
    graph.backward()  # recorded before: the weights are those that it saw


def test_restore_false_leaves_the_model_trained() -> None:
    training, twin = Training(), Training()
    tc.manual_seed(0)
    training.audit(restore=False)
    tc.manual_seed(0)
    twin.step()
    twin.step()
    np.testing.assert_equal(training.state(), twin.state())


def test_everything_is_put_back_after_an_exception() -> None:
    training = Training()
    before, attributes = training.state(), patched()

    def step() -> None:
        training.step()
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        training.audit(step)
    np.testing.assert_equal(training.state(), before)
    assert patched() == attributes
    assert training.audit().ok


def test_the_audited_step_computes_what_it_computes_alone() -> None:
    training, twin = Training(log), Training(log)
    tc.manual_seed(0)
    training.audit(calls=3)
    tc.manual_seed(0)
    for _ in range(3):
        twin.step()
    assert training.losses == twin.losses


def test_other_threads_are_left_alone() -> None:
    training, other = Training(), Training(lambda h: tc.tensor(h.numpy()))
    kinds = []

    def step() -> None:
        training.step()
        thread = threading.Thread(target=lambda: kinds.append(type(other.model.fc1.weight.data)))
        elsewhere = threading.Thread(target=other.step)
        for one in (thread, elsewhere):
            one.start()
            one.join()

    assert training.audit(step).ok
    assert kinds == [np.ndarray, np.ndarray]
    assert len(other.losses) == 2


def test_an_audit_inside_of_an_audit_is_refused() -> None:
    training = Training()
    with pytest.raises(tc.errors.GraphError, match="another audit is running"):
        training.audit(lambda: training.audit())
    assert training.audit().ok


def test_detect_anomaly_still_detects() -> None:
    def step() -> None:
        with tc.detect_anomaly():
            tc.tensor([0.0]) / tc.tensor([0.0])  # here

    with pytest.raises(tc.errors.NonFiniteError, match="divide made 1 NaN") as caught:
        audit(step)
    assert "# here" in str(caught.value)


@pytest.mark.parametrize("calls", [0, -1, 1.5])
def test_a_number_of_calls_that_is_none_is_refused(calls: Any) -> None:
    with pytest.raises(tc.errors.ArgumentError, match="calls"):
        audit(lambda: None, calls=calls)


def test_the_report_is_text_and_html() -> None:
    report = Training(lambda h: h.detach()).audit()
    text = str(report)
    for part in (
        "2 finding(s)",
        "detached: ",
        "test_audit_restores.py:",
        "fix: ",
        "relative to the last",
    ):
        assert part in text
    assert "<table>" in report._repr_html_()
    assert "detached" in report.findings[0]._repr_html_()
