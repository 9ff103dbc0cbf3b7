"""The Tensor as a NumPy user meets it."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import DtypeError, GraphError, OutOfBoundsError, ShapeError


def variable(values: Any, **options: Any) -> Tensor:
    return tc.tensor(values, requires_grad=True, **options)


# -- making ---------------------------------------------------------------------------------


def test_tensor_copies_and_as_tensor_shares() -> None:
    array = np.zeros(3)
    copied, shared = tc.tensor(array), tc.as_tensor(array)
    array[0] = 1.0
    assert copied.tolist() == [0.0, 0.0, 0.0]
    assert shared.tolist() == [1.0, 0.0, 0.0]
    assert tc.as_tensor(shared) is shared
    assert np.shares_memory(shared.numpy(), array)


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (3.0, "float64"),
        (3, "int64"),
        (True, "bool"),
        ([1, 2.5], "float64"),
        ((1, 2), "int64"),
        (range(3), "int64"),
        ([[]], "float64"),
        (np.float32(1), "float32"),
        (np.zeros(2, np.float16), "float16"),
    ],
)
def test_dtype_follows_numpy(data: Any, dtype: str) -> None:
    assert tc.tensor(data).dtype == dtype
    assert tc.tensor(data, dtype=np.float32).dtype == np.float32


def test_tensors_inside_sequences_are_numbers() -> None:
    assert tc.tensor([[tc.tensor(1.0), 2.0], (3.0, variable(4.0))]).tolist() == [
        [1.0, 2.0],
        [3.0, 4.0],
    ]


@pytest.mark.parametrize("data", ["text", None, {}, object(), ["a"], [None]])
def test_only_numbers_are_data(data: Any) -> None:
    with pytest.raises(DtypeError, match="expected numbers"):
        tc.tensor(data)


def test_ragged_rows_are_a_shape_error() -> None:
    with pytest.raises(ShapeError, match="differ in length"):
        tc.tensor([[1.0], [1.0, 2.0]])


@pytest.mark.parametrize("data", [1, [1, 2], True, 1j, np.zeros(2, np.int8)])
def test_only_real_floating_point_can_require_a_gradient(data: Any) -> None:
    with pytest.raises(DtypeError, match="can't require a gradient"):
        tc.tensor(data, requires_grad=True)
    constant = tc.tensor(data)
    with pytest.raises(DtypeError, match="can't require a gradient"):
        constant.requires_grad = True
    assert not constant.requires_grad


# -- requires_grad, grad, names -------------------------------------------------------------


def test_requires_grad_is_set_on_leaves_only() -> None:
    x = tc.tensor(1.0)
    x.requires_grad = True
    x.requires_grad = True
    y = x * 2
    assert y.requires_grad
    with pytest.raises(GraphError, match=r"'multiply': use \.detach\(\)"):
        y.requires_grad = False
    x.requires_grad = False
    assert not x.requires_grad


def test_setting_requires_grad_again_keeps_the_gradient() -> None:
    x = variable(1.0)
    (x * 2).backward()
    x.requires_grad = True
    assert x.grad.item() == 2.0


def test_gradients_accumulate_until_cleared() -> None:
    x = variable([1.0, 2.0])
    for expected in (2.0, 4.0):
        (x * 2).sum().backward()
        assert x.grad.tolist() == [expected] * 2
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    assert not x.grad.requires_grad


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("weight", [None, np.ones(2), tc.ones(2)])
def test_gradients_share_no_memory(create_graph: bool, weight: Any) -> None:
    x, y = variable([1.0, 2.0]), variable([1.0, 2.0])
    z = x + y
    (z if weight is not None else (z * z).sum()).backward(weight, create_graph=create_graph)
    before = y.grad.tolist()
    x.grad.data *= 100.0
    assert y.grad.tolist() == before
    if weight is not None:
        assert np.asarray(weight).tolist() == [1.0, 1.0]


def test_a_gradient_may_be_changed_in_place() -> None:
    x, y = variable([1.0, 2.0]), variable([1.0, 2.0])
    (x + y).sum().backward()
    with tc.no_grad():
        x.grad *= 0.5
        x.grad[0] = 7.0
    assert (x.grad.tolist(), y.grad.tolist()) == ([7.0, 0.5], [1.0, 1.0])
    for g in tc.gradients((x - y).sum(), [x, y]):
        g.data += 1.0
    [gx] = tc.gradients(x.reshape(2, 1).sum(), [x])
    assert gx.tolist() == [1.0, 1.0]


def test_grad_is_checked_when_set() -> None:
    x = variable([1.0, 2.0])
    x.grad = np.array([3.0, 4.0])
    assert x.grad.tolist() == [3.0, 4.0]
    with pytest.raises(ShapeError, match=r"grad has shape \(3,\), its Tensor \(2,\)"):
        x.grad = tc.zeros(3)
    assert x.grad.tolist() == [3.0, 4.0]
    for constant in (tc.tensor(1.0), x * 2):
        with pytest.raises(GraphError, match="requires_grad=True"):
            constant.grad = tc.tensor(1.0)


def test_retain_grad_keeps_the_gradient_of_a_result() -> None:
    x = variable([1.0, 2.0])
    y = x * 3
    assert y.grad is None
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [6.0, 12.0]
    with pytest.raises(GraphError, match="does not require a gradient"):
        tc.tensor(1.0).retain_grad()


def test_names_belong_to_variables() -> None:
    x = variable(1.0, name="x")
    assert x.name == "x"
    x.name = "y"
    assert x.name == "y"
    assert (x * 2).name is None
    for other in (x * 2, tc.tensor(1.0)):
        with pytest.raises(GraphError, match="only a variable"):
            other.name = "z"


def test_detach_shares_data_and_stops_gradients() -> None:
    x = variable([1.0, 2.0])
    assert np.shares_memory(x.detach().numpy(), x.numpy())
    (x * x.detach()).sum().backward()
    assert x.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda x: tc.tensor(1.0).backward(), GraphError, "no variable with"),
        (lambda x: (x * 2).backward(), ShapeError, r"\(2,\) needs the gradient of that shape"),
        (lambda x: (x * 2).backward(tc.ones(3)), ShapeError, r"gradient has shape \(3,\)"),
        (lambda x: (x * 2).backward(np.ones(2, bool)), DtypeError, "gradient has dtype bool"),
        (lambda x: tc.gradients(x.sum(), [tc.tensor(1.0)]), GraphError, "an input does not"),
        (lambda x: tc.gradients([x.sum()], [x], [1.0, 2.0]), ShapeError, "1 outputs, but 2"),
    ],
)
def test_backward_refuses_bad_input(act: Any, error: type[Exception], message: str) -> None:
    x = variable([1.0, 2.0])
    with pytest.raises(error, match=message):
        act(x)
    assert x.grad is None


def test_seeds_take_the_dtype_of_the_result() -> None:
    x = tc.tensor(np.ones(2, np.float32), requires_grad=True)
    (x * 2).backward([1, 2])
    assert x.grad.dtype == np.float32
    assert x.grad.tolist() == [2.0, 4.0]


# -- writing in place -----------------------------------------------------------------------


@pytest.mark.parametrize("start", [8.0, [8.0, 8.0]])
@pytest.mark.parametrize(
    ("augmented", "expected"),
    [(operator.iadd, 10.0), (operator.isub, 6.0), (operator.imul, 16.0), (operator.itruediv, 4.0)],
)
def test_a_leaf_is_written_to_under_no_grad(start: Any, augmented: Any, expected: float) -> None:
    x = variable(start)
    before = x
    with tc.no_grad():
        x = augmented(x, 2.0)
    assert x is before
    assert np.all(x == expected)
    assert x.requires_grad
    with pytest.raises(GraphError, match=r"inside tc\.no_grad"):
        augmented(x, 2.0)
    assert np.all(x == expected)


def test_augmented_assignment_of_a_result_makes_a_new_one() -> None:
    x = variable([1.0, 2.0])
    y = first = x * x
    y += 1.0
    y *= x
    assert y is not first
    assert first.tolist() == [1.0, 4.0]
    y.sum().backward()
    assert x.grad.tolist() == [4.0, 13.0]  # (x**2 + 1) x


def test_augmented_assignment_of_a_constant_while_recording() -> None:
    constant, x = tc.tensor([1.0, 2.0]), variable([3.0, 4.0])
    total = constant
    total += x
    assert total.requires_grad
    assert constant.tolist() == [1.0, 2.0]


def test_items_are_set_under_no_grad() -> None:
    x, scalar = variable([1.0, 2.0, 3.0]), variable(1.0)
    with tc.no_grad():
        x[1:] = tc.tensor([7.0, 8.0])
        x[tc.tensor(0)] = 6.0
        scalar[...] = 5.0
    assert x.tolist() == [6.0, 7.0, 8.0]
    assert (scalar.item(), type(scalar.data)) == (5.0, np.float64)
    for refused in (x, x * 2):
        with pytest.raises(GraphError, match=r"tc\.where or tc\.scatter_add"):
            refused[0] = 1.0
    y = x * 2
    with tc.no_grad(), pytest.raises(GraphError):
        y[0] = 1.0
    assert x.tolist() == [6.0, 7.0, 8.0]


def test_in_place_keeps_shape_and_dtype() -> None:
    number, whole = tc.tensor(1.0), tc.tensor(3)
    with tc.no_grad():
        with pytest.raises(ShapeError, match=r"x \+= y: y of shape \(2,\) does not broadcast to x"):
            number += np.ones(2)
        with pytest.raises(TypeError):
            whole += 0.5
    assert (number.item(), number.shape, whole.item()) == (1.0, (), 3)


def test_writing_outside_of_a_variable_changes_nothing() -> None:
    x = tc.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with tc.no_grad():
        with pytest.raises(OutOfBoundsError, match=r"x of shape \(3,\): index 5 is out of bounds"):
            x[5] = 0.0
        with pytest.raises(ShapeError, match=r"x of shape \(3,\): could not broadcast"):
            x[:2] = np.zeros(3)
    assert x.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "write",
    [
        lambda w: w.__isub__(1.0),
        lambda w: w.__setitem__(0, 7.0),
        lambda w: (setattr(w, "grad", tc.ones(2)), tc.optim.SGD([w], lr=0.1).step()),
    ],
)
def test_a_write_between_forward_and_backward_is_noticed(write):
    w = tc.tensor([1.0, 2.0], requires_grad=True, name="w")
    stale = (w * w).sum()
    with tc.no_grad():
        write(w)
    with pytest.raises(GraphError, match="w was changed in place after 'multiply' used it"):
        stale.backward()
    (w * w).sum().backward()  # what is computed again is right


def test_a_write_to_an_operand_is_noticed_by_the_gradient_of_the_other():
    w = tc.tensor([1.0, 2.0], requires_grad=True, name="w")
    x = tc.tensor([3.0, 4.0], requires_grad=True)
    stale = (x * w).sum()
    with tc.no_grad():
        w -= 1.0
    with pytest.raises(GraphError, match="w was changed in place"):
        tc.gradients(stale, [x])
