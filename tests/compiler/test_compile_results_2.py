"""Arguments and results of compiled functions: kinds, identity, memory of their own.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import collections

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, tensor, values
from tinygrad_cnn import nn

scenario = Scenarios()


@scenario(eagerly="elements of a Tensor are written to")
def t_setitem(compiled):

    def f(x):
        with tc.no_grad():
            x[0] = 5.0
        return x * 2

    f = compiled(f)
    x = tensor(3)
    found = [f(x), f(x), f(x)]
    return [*found, x]


@scenario
def buf_inplace(compiled):
    b = tensor(3)
    a = b.numpy()

    def f(x):
        with tc.no_grad():
            nonlocal b
            b += 1
        return x * b

    f = compiled(f)
    found = [f(tensor(3)), f(tensor(3)), f(tensor(3))]
    return [*found, b, a]


@scenario(eagerly="it changes an array that it also knows otherwise")
def buf_inplace_obj(compiled):

    class B:
        pass

    B.b = tensor(3)
    a = B.b.numpy()
    v = B.b.detach()

    def f(x):
        b = B.b
        with tc.no_grad():
            b += 1
        return x * b + v

    f = compiled(f)
    found = [f(tensor(3)), f(tensor(3)), f(tensor(3))]
    return [*found, B.b, a, v]


@scenario(eagerly="it changes an array that it also knows otherwise")
def param_inplace_alias(compiled):
    w = tensor(3, grad=True)
    v = w.detach()

    def f(x):
        with tc.no_grad():
            w.__iadd__(1)
        return x * v

    f = compiled(f)
    found = [f(tensor(3)), f(tensor(3)), f(tensor(3))]
    return [*found, w, v]


@scenario(eagerly="elements of a Tensor are written to")
def param_setitem(compiled):
    w = tensor(3, grad=True)

    def f(x):
        with tc.no_grad():
            w[0] = x.sum()
        return x * w

    f = compiled(f)
    found = [f(tensor(3)), f(tensor(3, seed=2)), f(tensor(3))]
    return [*found, w]


@scenario(eagerly="it changes a variable and returns what depends on one")
def param_iadd_dtype(compiled):
    w = tensor(3, grad=True, dtype=np.float32)

    def f(x):
        with tc.no_grad():
            w.__iadd__(x)
        return x * w

    f = compiled(f)
    found = [f(tensor(3)), f(tensor(3, seed=2)), f(tensor(3))]
    return [*found, w]


@scenario(eagerly="numpy: an array without elements")
def dtypes(compiled):
    f = compiled(lambda x: (x * 2, x + x))
    return [
        f(tc.tensor(np.array(v)))
        for v in (
            np.float16([1, 2]),
            np.int32([1, 2]),
            np.uint8([200, 2]),
            np.array([True, False]),
            np.complex64([1 + 2j]),
            np.zeros((0, 3)),
            np.float64(3.0),
            np.int64(2),
        )
    ]


@scenario
def reductions_dtypes(compiled):
    f = compiled(lambda x: (x.sum(), x.mean(), x.max(), x.prod()))
    return [
        f(tc.tensor(np.array(v)))
        for v in (
            np.float16([1, 2]),
            np.int32([1, 2]),
            np.uint8([200, 200]),
            np.float64([3.0]),
            np.float32([[1, 2]]),
        )
    ]


@scenario
def strided(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w).sum(axis=1))
    found = []
    a = values(3, 5).T
    b = values(10, 3)[::2]
    d = values(5, 3)
    d.flags.writeable = False
    e = np.broadcast_to(values(3), (5, 3))
    g = values(5, 6)[:, ::-2]
    for v in (a, b, d, e, g, np.asfortranarray(values(5, 3))):
        found.append(f(tc.as_tensor(v)))
        found[-1].sum().backward()
    return [*found, w.grad]


@scenario
def ret_shape(compiled):
    f = compiled(lambda x: (x.shape, x.dtype, len(x), x.ndim, x.size, x * 1))
    return [f(tensor(3, 2)), f(tensor(3, 2))]


@scenario
def namedtuple(compiled):
    P = collections.namedtuple("P", "a b")
    f = compiled(lambda p: P(p.a * 2, p.b))
    return [f(P(tensor(3), 1)), f(P(tensor(3), 1))]


@scenario
def sort_topk(compiled):
    f = compiled(
        lambda x: (tc.sort(x) if hasattr(tc, "sort") else x, tc.argsort(x), tc.cumsum(x, axis=0))
    )
    return [f(tensor(5)) for _ in range(3)]


@scenario
def int_float_promote(compiled):
    f = compiled(
        lambda x: (
            x * 2,
            x * 2.0,
            x / 2,
            x // 2,
            x % 3,
            x**2,
            x**0.5,
            x + np.float32(1),
            1 - x,
            2 / x,
            x * True,
            x.astype(np.float32) * x,
        )
    )
    return [
        f(tc.tensor(np.array([1, 2, 3], d)))
        for d in (np.int32, np.int64, np.float32, np.float16, np.uint8)
    ]


@scenario
def batch_last_conv(compiled):
    tc.manual_seed(0)
    m = nn.Conv2d(2, 4, 3, padding=1)
    f = compiled(m)
    a = np.moveaxis(values(2, 8, 8, 5, dtype=np.float32), -1, 0)
    b = values(10, 2, 8, 16, dtype=np.float32)[::2, :, :, ::2]
    d = b.copy()
    d.flags.writeable = False
    return [f(tc.as_tensor(v)) for v in (a, b, d, a)]


@scenario(eagerly="it returns a set, in which there may be arrays")
def set_fn(compiled):
    f = compiled(lambda x: {x.shape[0], 3})
    return [f(tensor(3)), f(tensor(3))]


@scenario(eagerly="it returns a Thing, in which there may be arrays")
def obj_result(compiled):

    class Thing:
        def __init__(s, a):
            s.a = a

    f = compiled(lambda x: Thing(x * 2))
    return [f(tensor(3)).a, f(tensor(3)).a, f(tensor(3)).a]


@scenario
def lstm_like(compiled):
    tc.manual_seed(0)
    a = nn.Linear(3, 3)
    f = compiled(lambda xs, h: [(h := tc.tanh(a(x) + h)) for x in xs][-1])
    return [
        f([tensor(2, 3), tensor(2, 3)], tc.zeros(2, 3)),
        f([tensor(2, 3), tensor(2, 3)], tc.zeros(2, 3)),
        f([tensor(2, 3)], tc.zeros(2, 3)),
    ]


@scenario
def state_across(compiled):
    tc.manual_seed(0)
    f = compiled(lambda x, h: (x * 2 + h, h * 0.5 + x))
    h = tc.zeros(3)
    found = []
    for i in range(5):
        y, h = f(tensor(3, seed=i), h)
        found.append((y, h))
    return found


@scenario
def arange_shapes(compiled):
    f = compiled(
        lambda x: (
            x * tc.arange(len(x))
            + tc.eye(len(x))[0]
            + tc.zeros_like(x)
            + tc.ones_like(x)
            + tc.full((len(x),), 2.0)
        )
    )
    return [f(tensor(3)), f(tensor(3)), f(tensor(4))]


@scenario
def stack_items(compiled):
    f = compiled(lambda x: tc.stack([x[0], x[1] * 2]))
    return [f(tensor(2)), f(tensor(2, seed=1))]


@scenario
def lambda_kw_default(compiled):
    f = compiled(lambda x, *, k=3.0: x * k)
    return [f(tensor(3)), f(tensor(3), k=4.0)]


@scenario
def str_arg(compiled):
    f = compiled(lambda x, mode: x * 2 if mode == "a" else x * 3)
    return [f(tensor(3), "a"), f(tensor(3), "b"), f(tensor(3), "a")]


@scenario
def mutate_after_view(compiled):
    f = compiled(lambda x: x + 0.0)
    x = tensor(3)
    y = f(x)
    y = f(x)
    x.data[...] = 9
    return [y]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
