"""What lies around a function is the same only if it is the same objects, or equal plain values."""

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn.compiler._watch import Identities, Kinds

X = tc.tensor([1.0, 2.0])


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.factor = 1000
        self.other = 1000

    def forward(self, x):
        return x * self.factor


def programs(compiled):
    [key] = compiled.entries
    return 1 + len(compiled._others.get(key, ()))


def test_equal_values_in_other_objects_make_no_other_program():
    model = Scaled()
    compiled = tc.compile(lambda x: model(x))
    for text in ("1000", "1000", "1000"):
        vars(model)["factor"] = int(text)
        assert np.array_equal(compiled(X).data, [1000.0, 2000.0])
    assert programs(compiled) == 1
    model.factor = 3  # it is still looked at
    assert np.array_equal(compiled(X).data, [3.0, 6.0])
    assert programs(compiled) == 2


def test_order_of_attributes_makes_no_other_program():
    model = Scaled()
    compiled = tc.compile(lambda x: model(x))
    compiled(X)
    vars(model)["factor"] = vars(model).pop("factor")
    assert np.array_equal(compiled(X).data, [1000.0, 2000.0])
    assert programs(compiled) == 1


def test_same_values_under_another_name():
    model = Scaled()
    compiled = tc.compile(lambda x: model(x))
    compiled(X)
    vars(model)["renamed"] = vars(model).pop("other")
    compiled(X)
    assert programs(compiled) == 2
    vars(model)["another"] = vars(model).pop("factor")
    with pytest.raises(AttributeError, match="factor"):
        compiled(X)


@pytest.mark.parametrize("value", [True, 1.0, np.float64(1.0), np.int64(1)])
def test_equal_values_of_other_kinds_are_others(value):
    model = Scaled()
    model.factor = 1
    compiled = tc.compile(lambda x: model(x) if type(model.factor) is int else x * 7.0)
    compiled(X)
    model.factor = value
    assert np.array_equal(compiled(X).data, [7.0, 14.0])


def test_identities():
    first, second, items = {"a": 1, "b": object()}, {}, [object(), object()]
    one = Identities([first, second], [items])
    assert one.same()
    items[0], items[1] = items[1], items[0]
    assert not one.same()
    items.reverse()
    assert one.same()
    second["c"] = first.pop("b")  # the same keys and values in one row
    assert not one.same()
    first["b"] = second.pop("c")
    assert one.same()
    second["c"] = 1
    assert not one.same()
    del second["c"]
    first["b"] = object()
    assert not one.same()


def test_a_pair_that_goes_from_one_dict_to_the_next():
    first, second = {"a": 1, "b": 2}, {"c": 3}
    one = Identities([first, second], [])
    second.clear()
    second.update(b=first.pop("b"), c=3)  # all keys in a row are the same, and so are all values
    assert not one.same()


def test_tensors_are_the_same_by_vertex_shape_and_dtype():
    held = tc.tensor([1.0, 2.0])
    one = Kinds([held])
    held.data = np.array([3.0, 4.0])
    assert one.same()
    held.data = np.array([[3.0, 4.0]])
    assert not one.same()
    held.data = np.array([3, 4])
    assert not one.same()
    held.data = np.array([3.0, 4.0])
    held.requires_grad = True
    assert not one.same()


def test_arrays_are_the_same_by_identity():
    held = {"array": np.zeros(2)}
    one = Identities([held], [])
    held["array"] = np.zeros(2)
    assert not one.same()


@pytest.mark.parametrize("executor", ["auto", "plain"])
def test_a_captured_array_that_is_resized_in_place(executor):
    held = np.arange(6.0).reshape(2, 3)
    compiled = tc.compile(lambda x: x.sum() * held, executor=executor)
    assert np.array_equal(compiled(X).data, [[0.0, 3.0, 6.0], [9.0, 12.0, 15.0]])
    held.resize((3, 2), refcheck=False)
    with pytest.warns(tc.compiler.CompileWarning, match="another shape or dtype"):
        assert np.array_equal(compiled(X).data, [[0.0, 3.0], [6.0, 9.0], [12.0, 15.0]])
