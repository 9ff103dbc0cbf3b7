"""Groups, gradients, saved states and errors: what all optimisers share."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn._core.primitive import Primitive
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, CheckpointError, DtypeError, GraphError
from tinygrad_cnn.optim import SGD, Adadelta, Adam, RMSprop


def leaf(*values: float) -> Tensor:
    return Tensor(np.array(values), requires_grad=True)


def test_groups_have_their_own_options_and_numbers() -> None:
    a, b, c = leaf(1.0), leaf(1.0), leaf(1.0)
    made = SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1)
    made.add_param_group({"params": [c], "lr": 1.0, "maximize": True})
    for param in (a, b, c):
        param.grad = Tensor(np.ones(1))
    made.step()
    np.testing.assert_allclose([a.item(), b.item(), c.item()], [0.9, 0.5, 2.0])
    saved = made.state_dict()["param_groups"]
    assert [group["params"] for group in saved] == [[0], [1], [2]]


def test_a_scalar_parameter_is_reassigned() -> None:
    param = Tensor(2.0, requires_grad=True)
    param.grad = Tensor(3.0)
    SGD([param], lr=0.5, momentum=0.9).step()
    assert param.data == 0.5
    assert isinstance(param.data, np.float64)
    assert param.requires_grad


def test_parameters_without_gradient_are_skipped() -> None:
    idle, frozen, used = leaf(1.0), Tensor(np.ones(1)), leaf(1.0)
    made = Adam([idle, frozen, used])
    used.grad = Tensor(np.ones(1))
    made.step()
    assert idle.item() == frozen.item() == 1.0
    assert used.item() != 1.0
    assert list(made.state) == [2]


def test_zero_grad_drops_or_zeroes() -> None:
    param = leaf(1.0, 2.0)
    made = SGD([param])
    grad = np.ones(2)
    param.grad = Tensor(grad)
    made.zero_grad(set_to_none=False)
    assert param.grad is not None
    assert (param.grad.data == 0).all()
    assert (grad == 1).all()
    made.zero_grad()
    assert param.grad is None


def damage(saved: dict[str, Any], *path: Any, value: Any = None) -> dict[str, Any]:
    """A copy of ``saved`` with one entry replaced, or removed where ``value`` is None."""
    damaged = place = copy.deepcopy(saved)
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return damaged


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("state",), None),
        (("param_groups",), None),
        (("state",), 3),
        (("param_groups",), 3),
        (("param_groups", 0), None),
        (("param_groups", 0), 3),
        (("param_groups", 0, "params"), [0, 1]),
        (("param_groups", 0, "eps"), None),
        (("param_groups", 0, "eps"), -1.0),
        (("param_groups", 0, "momentum"), 0.9),
        (("param_groups", 0, "amsgrad"), True),
        (("state", 7), {}),
        (("state", 1), 3),
        (("state", 1, "exp_avg"), None),
        (("state", 1, "step"), None),
        (("state", 1, "step"), -1),
        (("state", 1, "step"), "x"),
        (("state", 1, "sum"), np.zeros(5)),
        (("state", 2, "exp_avg"), np.zeros(1)),
        (("state", 0, "exp_avg"), np.zeros((4, 3))),
        (("state", 0, "exp_avg"), np.zeros((3, 4), dtype=int)),
    ],
    ids=str,
)
def test_a_state_that_does_not_fit_changes_nothing(path: tuple[Any, ...], value: Any) -> None:
    params = [Tensor(np.ones(shape), requires_grad=True) for shape in ((3, 4), (5,), ())]
    made = Adam(params)
    for param in params:
        param.grad = Tensor(param.data)
    made.step()
    before = made.state_dict()
    later = copy.deepcopy(before)
    later["param_groups"][0]["lr"] = 0.5
    later["state"][0]["exp_avg"] += 1
    with pytest.raises(CheckpointError, match="Adam"):
        made.load_state_dict(damage(later, *path, value=value))
    np.testing.assert_equal(made.state_dict(), before)


def test_a_state_saved_after_momentum_was_switched_off_fits() -> None:
    param = leaf(1.0)
    made = SGD([param], momentum=0.9)
    param.grad = Tensor(np.ones(1))
    made.step()
    made.param_groups[0]["momentum"] = 0.0
    made.load_state_dict(made.state_dict())
    assert made.state == {0: {"step": 1}}


def test_the_state_of_another_optimizer_does_not_fit() -> None:
    with pytest.raises(CheckpointError, match="lacks alpha"):
        RMSprop([leaf(1.0)]).load_state_dict(Adam([leaf(1.0)]).state_dict())


@pytest.mark.parametrize(
    ("optimizer", "options", "message"),
    [
        (SGD, {"lr": -1.0}, r"lr=-1.0, expected a number in \[0, inf\)"),
        (SGD, {"lr": float("nan")}, "lr=nan"),
        (SGD, {"lr": "0.1"}, "lr='0.1'"),
        (SGD, {"nesterov": True}, "nesterov needs momentum"),
        (SGD, {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "nesterov needs momentum"),
        (Adam, {"betas": (0.9, 1.0)}, "betas=1.0"),
        (Adam, {"betas": 0.9}, "a pair"),
        (Adam, {"eps": -1e-8}, "eps"),
        (Adadelta, {"rho": 1.5}, "rho"),
    ],
)
def test_options_outside_their_domain(
    optimizer: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        optimizer([leaf(1.0)], **options)
    made = optimizer([leaf(1.0)])
    with pytest.raises(ArgumentError, match=message):
        made.add_param_group({"params": [leaf(1.0)], **options})
    assert len(made.param_groups) == 1


def result_of_an_operation() -> Tensor:
    double = Primitive("double", lambda x: 2 * x, (lambda g, ans, x: 2 * g,))
    return double(Tensor(np.ones(2), requires_grad=True))


def read_only() -> Tensor:
    return Tensor(np.broadcast_to(1.0, (3,)), requires_grad=True)


TWICE = leaf(1.0)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ([], ArgumentError, "no parameters"),
        (iter([]), ArgumentError, "no parameters"),
        (leaf(1.0), ArgumentError, "expected a list"),
        ({leaf(1.0)}, ArgumentError, "got set"),
        (3, ArgumentError, "got int"),
        ([TWICE, TWICE], ArgumentError, r"parameter 1 of shape \(1,\) was given before"),
        ([{"params": [TWICE]}, {"params": [TWICE]}], ArgumentError, "given before"),
        ([{"params": [TWICE], "learning_rate": 1}], ArgumentError, "no option 'learning_rate'"),
        ([{"param": [TWICE]}], ArgumentError, "the key 'params'"),
        ([{"params": [TWICE]}, TWICE], ArgumentError, "the key 'params'"),
        ([np.ones(2)], DtypeError, "parameter 0 is not a Tensor but ndarray"),
        ([("weight", TWICE)], DtypeError, "not a Tensor but tuple"),
        ([result_of_an_operation()], GraphError, "the result of 'double'"),
        ([read_only()], ArgumentError, "read-only"),
    ],
)
def test_parameters_that_cannot_be_optimised(
    params: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SGD(params)


def test_a_gradient_of_another_dtype_updates_nothing() -> None:
    first, second = leaf(1.0), leaf(1.0)
    made = Adam([first, second])
    first.grad, second.grad = Tensor(np.ones(1)), Tensor(np.ones(1, dtype=np.float32))
    with pytest.raises(DtypeError, match=r"parameter 1 .*float64, its gradient float32"):
        made.step()
    assert first.item() == 1.0
    assert not made.state


def test_repr_shows_the_options_of_each_group() -> None:
    made = SGD([{"params": [leaf(1.0)]}, {"params": [leaf(1.0)], "lr": 0.5}], lr=0.1)
    first, second = repr(made).splitlines()
    assert first.startswith("SGD(1 parameters, lr=0.1, momentum=0.0")
    assert "lr=0.5" in second
