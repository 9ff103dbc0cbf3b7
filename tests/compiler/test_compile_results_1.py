"""Arguments and results of compiled functions: kinds, identity, memory of their own.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Net, Scenarios, tensor, values

scenario = Scenarios()


@scenario
def model_attr_compile(compiled):
    m = Net()
    f = compiled(m)
    return [
        getattr(f, "training", None),
        [p.shape for p in f.parameters()],
        f(tensor(2, 4)).shape,
        sorted(f.state_dict()),
    ]


@scenario
def ret_none(compiled):
    f = compiled(lambda x: None)
    return [f(tensor(3)), f(tensor(3))]


@scenario
def ret_const(compiled):
    f = compiled(lambda x: (3, "a", None, x, {"k": [x * 2]}))
    return [f(tensor(3)), f(tensor(3))]


@scenario
def ret_input_identity(compiled):
    f = compiled(lambda x: x)
    x = tensor(3, grad=True)
    return [f(x) is x, f(x) is x]


@scenario
def ret_param_identity(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * 2, w))
    _, b = f(tensor(3))
    _, b2 = f(tensor(3))
    return [b is w, b2 is w, b2.is_leaf]


@scenario
def ret_view(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: w.reshape(3, 1))
    a = f(tensor(3))
    a = f(tensor(3))
    a.sum().backward()
    return [a, w.grad]


@scenario
def ret_array_identity(compiled):
    f = compiled(lambda x: x)
    x = values(3)
    return [f(x) is x, f(x) is x]


@scenario
def ret_times_one(compiled):
    f = compiled(lambda x: x * 1.0)
    x = tensor(3)
    y = f(x)
    y = f(x)
    y.data[0] = 99
    return [x, y]


@scenario
def ret_twice(compiled):

    def f(x):
        return (x * 2, x * 2)

    f = compiled(f)
    a, b = f(tensor(3))
    a, b = f(tensor(3))
    a.data[0] = 99
    return [a, b]


@scenario
def ret_same_obj(compiled):

    def f(x):
        y = x * 2
        return (y, y)

    f = compiled(f)
    a, b = f(tensor(3))
    a, b = f(tensor(3))
    return [a is b]


@scenario
def ret_zeros(compiled):
    f = compiled(lambda x: (tc.zeros(3), x))
    a, _ = f(tensor(3))
    a.data[0] = 5
    b, _ = f(tensor(3))
    b.data[0] = 6
    d, _ = f(tensor(3))
    return [a, b, d]


@scenario(eagerly="it returns a Tensor that it makes from an array or variable")
def ret_grad_leaf(compiled):
    f = compiled(lambda x: (tc.zeros(3, requires_grad=True), x))
    a, _ = f(tensor(3))
    b, _ = f(tensor(3))
    return [a.requires_grad, b.requires_grad, b.is_leaf]


@scenario
def results_kept(compiled):
    m = Net(p=0.0)
    f = compiled(m)
    return [f(tensor(8, 4, seed=i)) for i in range(6)]


@scenario
def results_kept_views(compiled):
    m = Net(p=0.0)
    f = compiled(lambda x: m(x).reshape(-1)[2:9])
    return [f(tensor(8, 4, seed=i)) for i in range(6)]


@scenario
def results_kept_np(compiled):
    m = Net(p=0.0)
    f = compiled(m)
    return [f(tensor(8, 4, seed=i)).numpy()[1:] for i in range(6)]


@scenario
def kwargs(compiled):

    def f(x, *, k=2.0, **kw):
        return x * k + kw.get("b", 0)

    f = compiled(f)
    return [
        f(tensor(3)),
        f(tensor(3), k=3.0),
        f(x=tensor(3), b=tensor(3)),
        f(tensor(3), k=tensor(3)),
        f(tensor(3), k=-0.0),
        f(tensor(3), k=0.0),
    ]


@scenario
def zero_signs(compiled):
    f = compiled(lambda x, k: x * k)
    return [
        np.signbit(f(tc.ones(2), 0.0).data),
        np.signbit(f(tc.ones(2), -0.0).data),
        np.signbit(f(tc.ones(2), 0.0).data),
    ]


@scenario
def nan_arg(compiled):
    f = compiled(lambda x, k: x * k)
    return [f(tc.ones(2), float("nan")), f(tc.ones(2), float("nan"))]


@scenario
def bool_int(compiled):
    f = compiled(lambda x, k: x * k)
    return [
        f(tc.ones(2), True),
        f(tc.ones(2), 1),
        f(tc.ones(2), 1.0),
        f(tc.tensor([1, 2]), True),
        f(tc.tensor([1, 2]), 1.0),
    ]


@scenario
def np_scalars(compiled):
    f = compiled(lambda x, k: x * k)
    return [
        f(tensor(2, dtype=np.float32), np.float64(2)),
        f(tensor(2, dtype=np.float32), np.float64(3)),
        f(tensor(2, dtype=np.float32), 2.0),
    ]


@scenario
def nd_arg_types(compiled):
    f = compiled(
        lambda x: (
            x * 2,
            x.sum(),
            x.mean(axis=0),
            x.T,
            x[0],
            -x,
            x > 0,
            x.max(),
            x + 1,
            x.astype(np.float32),
            x.reshape(-1),
        )
    )
    return [f(values(3, 2)), f(values(3, 2))]


@scenario(eagerly="the attribute 'std' of an array was asked for")
def nd_arg_std(compiled):
    f = compiled(
        lambda x: (
            x.std(),
            x.var(axis=0),
            np.sqrt(np.abs(x)),
            x.round(1),
            x.argmax(),
            x.copy(),
            x.flatten(),
            x.ravel(),
            x.tolist(),
        )
    )
    return [f(values(3, 2)), f(values(3, 2))]


@scenario
def nd_inst(compiled):

    def f(x):
        return x * 2 if isinstance(x, np.ndarray) else x * 3

    f = compiled(f)
    return [f(values(3)), f(values(3)), f(tensor(3))]


@scenario(eagerly="an array is written to")
def nd_inplace(compiled):

    def f(x):
        x += 1
        return x * 2

    f = compiled(f)
    x = values(3)
    found = [f(x), f(x), f(x)]
    return [*found, x]


@scenario(eagerly="an element of an array is written to")
def nd_setitem(compiled):

    def f(x):
        x[0] = 5.0
        return x * 2

    f = compiled(f)
    x = values(3)
    found = [f(x), f(x), f(x)]
    return [*found, x]


@scenario
def t_inplace(compiled):

    def f(x):
        with tc.no_grad():
            x += 1
        return x * 2

    f = compiled(f)
    x = tensor(3)
    found = [f(x), f(x), f(x)]
    return [*found, x]


@scenario(eagerly="it changes a variable and returns what depends on one")
def t_inplace_leaf(compiled):

    def f(x):
        with tc.no_grad():
            x += 1
        return x * 2

    f = compiled(f)
    x = tensor(3, grad=True)
    found = [f(x), f(x), f(x)]
    found[-1].sum().backward()
    return [*found, x, x.grad]


@scenario(eagerly="an array of the function's values was asked for")
def t_inplace_view(compiled):

    def f(x):
        y = x.numpy()
        y += 1
        return x * 2

    f = compiled(f)
    x = tensor(3)
    found = [f(x), f(x), f(x)]
    return [*found, x]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
