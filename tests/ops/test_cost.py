"""FLOPs of primitives, against what Python's numbers count when they are computed with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cases import REGISTERED

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn._core.backprop import consumers_first
from tinygrad_cnn._core.node import Leaf
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.ops import flops


class Counted:
    """A number that counts the operations it takes part in."""

    operations = 0

    def __init__(self, value=0.0):
        self.value = value

    def _count(self, *_):
        Counted.operations += 1
        return Counted(self.value)

    __add__ = __radd__ = __sub__ = __mul__ = __truediv__ = __pow__ = __floordiv__ = _count
    __neg__ = __abs__ = exp = log = sqrt = tanh = sin = cos = floor = _count

    def __gt__(self, other):
        Counted.operations += 1
        return self.value > other.value

    __ge__ = __lt__ = __le__ = __gt__


def counted(name, *shapes, **params):
    """How often the primitive computes with two numbers or one, and what ``flops`` says."""
    primitive = REGISTERED[name]
    arrays = [np.empty(shape, object) for shape in shapes]
    for array in arrays:
        for place in np.ndindex(array.shape):
            array[place] = Counted(float(sum(place)))
    Counted.operations = 0
    result = primitive.forward(*arrays, **params)
    return Counted.operations, flops(name, shapes, np.shape(result), params)


@pytest.mark.parametrize(
    ("name", "shapes", "params"),
    [
        *(
            (name, [(2, 3), (3,)], {})
            for name in ("add", "subtract", "multiply", "divide", "power")
        ),
        *(
            (name, [(2, 3)], {})
            for name in ("negative", "abs", "exp", "log", "sqrt", "tanh", "sin")
        ),
        ("maximum", [(4, 1), (1, 3)], {"ties": "first"}),
        ("minimum", [(4, 3), ()], {"ties": "first"}),
        ("floor_divide", [(2,), (2,)], {}),
        ("clip", [(2, 3), (), (3,)], {}),
        ("sum", [(2, 3, 4)], {"axis": (0, 2), "keepdims": False}),
        ("sum", [(2, 3)], {"axis": (), "keepdims": False}),
        ("prod", [(2, 3)], {"axis": (0, 1), "keepdims": True}),
        ("max", [(2, 3)], {"axis": (1,), "keepdims": False, "ties": "first"}),
        ("cumsum", [(3, 4)], {"axis": 0}),
        ("cumsum", [(3, 4)], {"axis": -1}),
        ("sum_to", [(4, 2, 3)], {"shape": (2, 1)}),
        ("reshape", [(2, 3)], {"shape": (6,)}),
        ("transpose", [(2, 3)], {"axes": (1, 0)}),
        ("flip", [(2, 3)], {"axis": (0,)}),
        ("concatenate", [(2, 3), (1, 3)], {"axis": 0}),
        ("stack", [(3,), (3,)], {"axis": 1}),
        ("broadcast_to", [(3,)], {"shape": (2, 3)}),
        ("getitem", [(4,)], {"index": slice(1, 3)}),
    ],
)
def test_as_many_as_numbers_count(name, shapes, params):
    by_numbers, by_formula = counted(name, *shapes, **params)
    assert by_formula == by_numbers


def test_products_count_two_for_each_multiply_add():
    # numbers add one term less: there, the first one is not added to zero
    by_numbers, by_formula = counted("matmul", (5, 2, 3), (3, 4))
    assert by_formula == by_numbers + 5 * 2 * 4 == 2 * 5 * 2 * 3 * 4
    for inputs, output, shapes, expected in [
        (("ij", "jk"), "ik", [(2, 3), (3, 4)], 2 * 24),
        (("i", "j"), "ij", [(2,), (3,)], 6),  # nothing is summed
        (("ij",), "i", [(2, 3)], 6),
        (("ij",), "ji", [(2, 3)], 0),
        (("ij", "jk", "k"), "i", [(2, 3), (3, 4), (4,)], 3 * 24),
    ]:
        params = {"inputs": inputs, "output": output}
        out = tuple(2 if index == "i" else 3 if index == "j" else 4 for index in output)
        assert flops("einsum", shapes, out, params) == expected


def test_adjoints_of_windows_add_every_element():
    x = tc.ones(2, 3, 6, 6, requires_grad=True)
    columns = tc.im2col(x, 3)
    back = tc.col2im(columns, x.shape, 3)
    [im2col, col2im] = [node for node in reversed(consumers_first([back.node])) if node.primitive]
    assert counted_of(im2col) == 0
    assert counted_of(col2im) == math.prod(columns.shape)


def counted_of(node):
    shapes = [np.shape(arg) for arg in node.args]
    return flops(node.primitive.name, shapes, np.shape(node.ans), node.params)


def test_every_primitive_has_a_formula():
    for name in REGISTERED:
        params = {"axis": 0, "inputs": ("i", "i"), "output": ""}
        result = flops(name, [(3,), (3,), (3,)] if name != "einsum" else [(3,), (3,)], (3,), params)
        assert isinstance(result, int)
        assert result >= 0


def test_empty_arrays_take_nothing():
    assert flops("sum", [(0, 3)], (3,), {"axis": (0,)}) == 0
    assert flops("cumsum", [(0, 3)], (0, 3), {"axis": 0}) == 0
    assert flops("matmul", [(2, 0), (0, 3)], (2, 3), {}) == 0


def test_what_is_not_known_is_an_error():
    with pytest.raises(ArgumentError, match="no formula for the primitive 'convolve'"):
        flops("convolve", [(3,)], (3,), {})


@pytest.mark.parametrize("model", [tc.models.LeNet5, tc.models.DigitsNet, tc.models.ConvNetJS])
def test_twice_the_multiply_adds_of_the_summary(model):
    net = model()
    shape = (4, *net.input_shape)
    loss = F.cross_entropy(net(tc.zeros(*shape, dtype="float32")), [0] * 4)
    products = [
        counted_of(node)
        for node in consumers_first([loss.node])
        if not isinstance(node, Leaf) and node.primitive.name == "matmul"
    ]
    assert sum(products) == 2 * tc.models.summary(net, shape).multiply_adds
