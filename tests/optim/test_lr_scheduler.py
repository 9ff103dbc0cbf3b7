"""Learning-rate schedules, against PyTorch."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, CheckpointError
from tinygrad_cnn.optim import SGD, Adagrad, Adam, lr_scheduler

SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [30, 5, 5, 12], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("LinearLR", {}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 20}),
    ("CosineAnnealingLR", {"T_max": 50}),
    ("CosineAnnealingLR", {"T_max": 12, "eta_min": 0.01}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 50}),
    ("OneCycleLR", {"max_lr": [0.5, 0.1], "epochs": 9, "steps_per_epoch": 6, "pct_start": 0.4}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "anneal_strategy": "linear"}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "three_phase": True, "div_factor": 5.0}),
    ("OneCycleLR", {"max_lr": 0.5, "total_steps": 60, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 60, "max_momentum": [0.9, 0.8]}),
]


def optimizer(kind: Any = SGD) -> Any:
    params = [Tensor(1.0, requires_grad=True) for _ in range(2)]
    options = {"momentum": 0.9} if kind is SGD else {}
    return kind([{"params": params[:1]}, {"params": params[1:], "lr": 0.3}], lr=0.2, **options)


def torch_optimizer(torch: Any, kind: Any) -> Any:
    params = [torch.tensor(1.0, requires_grad=True) for _ in range(2)]
    options = {"momentum": 0.9} if kind is SGD else {}
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.3}]
    return getattr(torch.optim, kind.__name__)(groups, lr=0.2, **options)


def rates(made: Any, key: str = "lr") -> list[Any]:
    return [group[key] for group in made.param_groups]


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize(("name", "settings"), SCHEDULES)
def test_fifty_steps_equal_pytorch(name: str, settings: dict[str, Any], kind: Any) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer(kind), torch_optimizer(torch, kind)
    schedule = getattr(lr_scheduler, name)(ours, **settings)
    reference = getattr(torch.optim.lr_scheduler, name)(theirs, **settings)
    momentum = "momentum" if kind is SGD else "betas"
    theirs.step()
    for _ in range(50):
        assert schedule.get_last_lr() == rates(ours) == reference.get_last_lr()
        assert rates(ours, momentum) == rates(theirs, momentum)
        schedule.step()
        reference.step()
    assert schedule.last_epoch == 50


def test_two_schedules_on_one_optimizer_multiply_as_in_pytorch() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = optimizer(), torch_optimizer(torch, SGD)
    both = []
    for module, made in ((lr_scheduler, ours), (torch.optim.lr_scheduler, theirs)):
        both.append([module.LinearLR(made), module.CosineAnnealingLR(made, T_max=10)])
    theirs.step()
    for _ in range(30):
        for schedules in both:
            for schedule in schedules:
                schedule.step()
        assert rates(ours) == rates(theirs)


@pytest.mark.parametrize(("name", "settings"), SCHEDULES)
def test_a_restored_schedule_goes_on_to_the_same_bits(name: str, settings: dict[str, Any]) -> None:
    made = optimizer()
    schedule = getattr(lr_scheduler, name)(made, **settings)
    for _ in range(10):
        schedule.step()
    saved = json.loads(json.dumps([schedule.state_dict(), made.state_dict()]))
    other = optimizer()
    restored = getattr(lr_scheduler, name)(other, **settings)
    restored.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    assert restored.get_last_lr() == schedule.get_last_lr()
    for _ in range(20):
        schedule.step()
        restored.step()
        assert rates(other) == rates(made)


def test_a_schedule_sets_the_rate_of_the_next_step() -> None:
    param = Tensor(np.ones(1), requires_grad=True)
    made = SGD([param], lr=1.0)
    schedule = lr_scheduler.ExponentialLR(made, gamma=0.5)
    for _ in range(3):
        param.grad = Tensor(np.ones(1))
        made.step()
        schedule.step()
    assert param.item() == 1 - 1 - 0.5 - 0.25


def test_degenerate_cycles_have_no_division_by_zero() -> None:
    made = SGD([Tensor(1.0, requires_grad=True)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule = lr_scheduler.OneCycleLR(made, 1.0, total_steps=10, pct_start=0.1)
    assert schedule.get_last_lr() == [1.0]
    for _ in range(9):
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([1 / 25 / 1e4])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gamma": None}, "lacks gamma"),
        ({"gamma": "x"}, "gamma='x'"),
        ({"_last_lr": 0.1}, "_last_lr=0.1"),
        ({"_last_lr": [0.1]}, "1 parameter groups, the optimiser has 2"),
        ({"T_max": 3}, "T_max=3"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: dict[str, Any], message: str) -> None:
    schedule = lr_scheduler.StepLR(optimizer(), step_size=3)
    before = schedule.state_dict()
    state = {**before, "last_epoch": 7, **change}
    with pytest.raises(CheckpointError, match=message):
        schedule.load_state_dict({key: v for key, v in state.items() if v is not None})
    assert schedule.state_dict() == before


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("StepLR", {"step_size": 0}, "step_size=0"),
        ("StepLR", {"step_size": 3, "gamma": -1}, "gamma=-1"),
        ("ExponentialLR", {"gamma": float("nan")}, "gamma=nan"),
        ("LinearLR", {"start_factor": 0.0}, "start_factor=0.0"),
        ("LinearLR", {"end_factor": 1.5}, "end_factor=1.5"),
        ("CosineAnnealingLR", {"T_max": 2.5}, "T_max=2.5"),
        ("OneCycleLR", {"max_lr": 1.0}, "total_steps"),
        ("OneCycleLR", {"max_lr": 1.0, "steps_per_epoch": 3}, "epochs=None"),
        ("OneCycleLR", {"max_lr": [1.0], "total_steps": 5}, "max_lr has 1 values"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "anneal_strategy": "x"}, "'x'"),
        ("OneCycleLR", {"max_lr": 1.0, "total_steps": 5, "pct_start": 2.0}, "pct_start=2.0"),
    ],
)
def test_settings_outside_their_domain_change_nothing(
    name: str, settings: dict[str, Any], message: str
) -> None:
    made = optimizer()
    before = made.state_dict()
    with pytest.raises(ArgumentError, match=message):
        getattr(lr_scheduler, name)(made, **settings)
    assert made.state_dict() == before


def test_one_cycle_needs_momentum_and_ends() -> None:
    with pytest.raises(ArgumentError, match="Adagrad has no momentum"):
        lr_scheduler.OneCycleLR(optimizer(Adagrad), 1.0, total_steps=2)
    made = optimizer()
    schedule = lr_scheduler.OneCycleLR(made, 1.0, total_steps=2)
    schedule.step()
    schedule.step()
    before = rates(made)
    with pytest.raises(ArgumentError, match="step 3 of a cycle of 2"):
        schedule.step()
    assert rates(made) == before
    assert schedule.last_epoch == 2


def test_a_schedule_needs_an_optimizer() -> None:
    with pytest.raises(ArgumentError, match="needs an Optimizer, got list"):
        lr_scheduler.StepLR([], 3)  # type: ignore[arg-type]
