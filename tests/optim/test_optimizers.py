"""The update formulas: against PyTorch, and against the steps that CS231n publishes."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.optim import SGD, Adadelta, Adagrad, Adam, AdamW, Optimizer, RMSprop

SETTINGS: list[tuple[Any, dict[str, Any]]] = [
    (SGD, {}),
    (SGD, {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.01}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1, "maximize": True}),
    (Adagrad, {}),
    (Adagrad, {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1}),
    (Adagrad, {"initial_accumulator_value": 0.5, "eps": 1e-3, "maximize": True}),
    (RMSprop, {}),
    (RMSprop, {"alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    (RMSprop, {"momentum": 0.9}),
    (RMSprop, {"centered": True}),
    (RMSprop, {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    (Adadelta, {}),
    (Adadelta, {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    (Adam, {}),
    (Adam, {"lr": 0.1, "betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1}),
    (Adam, {"amsgrad": True, "betas": (0.9, 0.5), "maximize": True}),
    (AdamW, {}),
    (AdamW, {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True, "maximize": True}),
]
GRID = pytest.mark.parametrize(
    ("optimizer", "settings"),
    SETTINGS,
    ids=[f"{cls.__name__}-{'-'.join(settings) or 'defaults'}" for cls, settings in SETTINGS],
)
SHAPES = [(3, 4), (5,), ()]


def parameters(rng: np.random.Generator, dtype: str = "float64") -> list[Tensor]:
    return [Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True) for shape in SHAPES]


def gradients(rng: np.random.Generator, steps: int) -> list[list[Any]]:
    return [[np.asarray(rng.normal(size=shape)) for shape in SHAPES] for _ in range(steps)]


def run(optimizer: Optimizer, params: list[Tensor], steps: list[list[Any]]) -> None:
    for grads in steps:
        for param, grad in zip(params, grads, strict=True):
            param.grad = Tensor(grad.astype(param.dtype))
        optimizer.step()


@GRID
def test_twenty_steps_equal_pytorch(
    optimizer: Any, settings: dict[str, Any], rng: np.random.Generator
) -> None:
    torch = pytest.importorskip("torch")
    params = parameters(rng)
    steps = gradients(rng, 20)
    theirs = [torch.tensor(param.numpy().copy(), requires_grad=True) for param in params]
    reference = getattr(torch.optim, optimizer.__name__)(theirs, **settings)
    for grads in steps:
        for param, grad in zip(theirs, grads, strict=True):
            param.grad = torch.tensor(grad)
        reference.step()
    run(optimizer(params, **settings), params, steps)
    for param, expected in zip(params, theirs, strict=True):
        np.testing.assert_allclose(param.numpy(), expected.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adagrad", "RMSprop", "Adadelta", "Adam", "AdamW"])
def test_defaults_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours = {cls.__name__: cls for cls, _ in SETTINGS}[name]([Tensor(1.0, requires_grad=True)])
    reference = getattr(torch.optim, name)([torch.tensor(1.0, requires_grad=True)])
    assert ours.defaults == {key: reference.defaults[key] for key in ours.defaults}


@GRID
def test_float32_stays_float32_and_close_to_float64(
    optimizer: Any, settings: dict[str, Any]
) -> None:
    single = parameters(np.random.default_rng(1), "float32")
    double = parameters(np.random.default_rng(1))
    made = optimizer(single, **settings, **({} if "lr" in settings else {"lr": np.float64(0.01)}))
    steps = gradients(np.random.default_rng(2), 5)
    run(made, single, steps)
    run(optimizer(double, **settings, **({} if "lr" in settings else {"lr": 0.01})), double, steps)
    kept = [value for state in made.state.values() for value in state.values()]
    assert {array.dtype for array in kept if isinstance(array, np.ndarray)} <= {np.dtype("f4")}
    for a, b in zip(single, double, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-3, atol=2e-5)


@GRID
def test_memory_order_does_not_matter(
    optimizer: Any, settings: dict[str, Any], rng: np.random.Generator
) -> None:
    start, steps = rng.normal(size=(3, 4, 5)), rng.normal(size=(3, 3, 4, 5))
    plain = Tensor(start.copy(), requires_grad=True)
    # The first axis innermost in memory, and a slice of a larger array.
    moved = Tensor(np.moveaxis(np.moveaxis(start, 0, -1).copy(), -1, 0), requires_grad=True)
    sliced = Tensor(np.repeat(start, 2, axis=2)[:, :, ::2], requires_grad=True)
    made = optimizer([plain, moved, sliced], **settings)
    for grad in steps:
        plain.grad, moved.grad = Tensor(grad), Tensor(grad)
        sliced.grad = Tensor(np.asfortranarray(grad))
        made.step()
    assert (plain.data == moved.data).all()
    assert (plain.data == sliced.data).all()
    assert moved.data.strides[0] == 8


@GRID
def test_a_step_is_in_place_and_leaves_gradients_alone(
    optimizer: Any, settings: dict[str, Any], rng: np.random.Generator
) -> None:
    param = Tensor(rng.normal(size=(3, 4)), requires_grad=True)
    array, before = param.data, param.data.copy()
    grad = rng.normal(size=(3, 4))
    copy = grad.copy()
    grad.flags.writeable = False
    param.grad = Tensor(grad)
    optimizer([param], **settings).step()
    assert param.data is array
    assert not (array == before).any()
    assert (grad == copy).all()


@GRID
def test_a_restored_optimizer_goes_on_to_the_same_bits(
    optimizer: Any, settings: dict[str, Any], rng: np.random.Generator
) -> None:
    steps = gradients(rng, 10)
    params = parameters(rng)
    made = optimizer(params, **settings)
    run(made, params, steps[:5])
    saved = made.state_dict()
    untouched = copy.deepcopy(saved)
    # The copy starts with other options, which the state replaces, and in another memory order.
    copies = [Tensor(np.array(param.data, order="F"), requires_grad=True) for param in params]
    restored = optimizer(copies, lr=0.123)
    restored.load_state_dict(saved)
    run(made, params, steps[5:])
    run(restored, copies, steps[5:])
    for a, b in zip(params, copies, strict=True):
        assert (a.data == b.data).all()
    np.testing.assert_equal(saved, untouched)
    np.testing.assert_equal(made.state_dict(), restored.state_dict())


@pytest.fixture
def published(shared: Path) -> Any:
    cases = json.loads((shared / "fixtures" / "cs231n.json").read_text())

    def arrays(name: str) -> dict[str, Any]:
        return {
            key: np.linspace(value[1], value[2], math.prod(value[3])).reshape(value[3])
            if isinstance(value, list) and value[0] == "linspace"
            else value
            for key, value in cases[name].items()
        }

    return arrays


def one_step(optimizer: Any, case: Any, state: dict[str, Any], **options: Any) -> Any:
    """The parameter after one step of ``case`` from ``state``."""
    param = Tensor(case["w"], requires_grad=True)
    param.grad = Tensor(case["dw"])
    made = optimizer([param], lr=case["learning_rate"], **options)
    made.load_state_dict({**made.state_dict(), "state": {0: state}})
    made.step()
    return param.data


def test_sgd_with_momentum_takes_the_published_step(published: Any) -> None:
    case = published("sgd_momentum")
    # There v = mu v - lr dw and w += v: PyTorch's velocity is that one divided by -lr.
    state = {"step": 1, "momentum_buffer": case["v"] / -case["learning_rate"]}
    result = one_step(SGD, case, state, momentum=case["momentum"])
    np.testing.assert_allclose(result, case["next_w"], rtol=0, atol=1e-8)


def test_rmsprop_takes_the_published_step(published: Any) -> None:
    case = published("rmsprop")
    state = {"step": 1, "square_avg": case["cache"]}
    options = {"alpha": case["decay_rate"], "eps": case["epsilon"]}
    result = one_step(RMSprop, case, state, **options)
    np.testing.assert_allclose(result, case["next_w"], rtol=0, atol=1e-8)


def test_adam_takes_the_published_step(published: Any) -> None:
    case = published("adam")
    state = {"step": case["t_before"], "exp_avg": case["m"], "exp_avg_sq": case["v"]}
    options = {"betas": (case["beta1"], case["beta2"]), "eps": case["epsilon"]}
    result = one_step(Adam, case, state, **options)
    np.testing.assert_allclose(result, case["next_w"], rtol=0, atol=1e-8)
