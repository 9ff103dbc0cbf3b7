"""Python that looks at values inside of compiled functions.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, tensor, values
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

scenario = Scenarios()


@scenario(eagerly="an array is computed with the number that item() gives")
def item_weak(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: x * w.sum().item())
    return [
        f(tensor(3, dtype=np.float32)),
        f(tensor(3, dtype=np.float32)),
        f(tensor(3, dtype=np.float32)),
    ]


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def float_ret(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: float((x * w).sum()))
    return [f(tensor(3)), f(tensor(3)), f(tensor(3))]


@scenario
def accuracy(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)

    def f(x, y):
        found = m(x)
        return (
            (tc.argmax(found, axis=1) == y).sum(),
            (tc.argmax(found, axis=1) == y).mean(),
            F.softmax(found, axis=1),
        )

    f = compiled(f)
    return [f(tensor(4, 4, dtype=np.float32), np.array([0, 1, 2, 0])) for _ in range(3)]


@scenario
def mean_nd(compiled):
    w = tensor(3, grad=True)

    def f(x):
        return (x * w > 0, np.mean(x * w > 0), (x * w > 0).astype(int), np.sum(x * w > 0, axis=0))

    f = compiled(f)
    return [f(tensor(3)) for _ in range(3)]


@scenario
def index_oob(compiled):
    w = tensor(5, 3, grad=True)
    f = compiled(lambda i: w[i].sum())
    found = []
    for i in ([0, 1], [0, 1], [4, 7], [2, -1]):
        try:
            found.append(f(tc.tensor(np.array(i))))
        except Exception as e:
            found.append(type(e).__name__)
    return found


@scenario(eagerly="the shape of what a mask chooses depends on values")
def bool_index(compiled):
    f = compiled(lambda x: x[x > 0].sum())
    return [f(tensor(5)), f(tensor(5)), f(-tensor(5))]


@scenario(eagerly="an array of the function's values was asked for")
def nonzero(compiled):
    f = compiled(lambda x: np.nonzero(x.numpy())[0])
    return [f(tensor(5)), f(tensor(5)), f(tc.zeros(5))]


@scenario(eagerly="a value that Python used is another than when recorded")
def while_loop(compiled):

    def f(x):
        n = 0
        while x.sum() > 1:
            x = x / 2
            n += 1
        return (x, n)

    f = compiled(f)
    return [f(tc.ones(3)), f(tc.ones(3)), f(tc.ones(3) * 9)]


@scenario
def iterate(compiled):
    f = compiled(lambda x: [r * 2 for r in x])
    return [f(tensor(3, 2)), f(tensor(3, 2))]


@scenario
def detect_anomaly(compiled):
    f = compiled(lambda x: tc.log(x).sum())
    found = []
    for v in (tc.ones(2), tc.zeros(2)):
        with tc.detect_anomaly(), np.errstate(all="ignore"):
            try:
                found.append(f(v))
            except Exception as e:
                found.append(type(e).__name__)
    return found


@scenario
def np_warnings(compiled):
    f = compiled(lambda x: tc.log(x))
    found = []
    with np.errstate(all="raise"):
        for v in (tc.ones(2), tc.ones(2), tc.zeros(2)):
            try:
                found.append(f(v))
            except FloatingPointError:
                found.append("FPE")
    return found


@scenario(eagerly="the shape of what a mask chooses depends on values")
def mask_mean(compiled):
    f = compiled(lambda x: x[x > 0].mean())
    return [f(tensor(5)), f(tensor(5)), f(-tensor(5))]


@scenario
def np_fns(compiled):
    f = compiled(
        lambda x: (
            np.sqrt(np.abs(x)),
            np.cumsum(x),
            np.sort(x),
            np.argsort(x),
            np.clip(x, -1, 1),
            np.round(x, 1),
            np.diff(x),
            np.std(x),
            np.tile(x, 2),
            np.outer(x, x),
            np.dot(x, x),
            np.maximum(x, 0),
            np.where(x > 0, x, 0),
        )
    )
    return [f(values(5)), f(values(5)), f(values(5)[::-1])]


@scenario(eagerly="nonzero gives a tuple")
def np_nonzero(compiled):
    f = compiled(lambda x: np.nonzero(x > 0)[0])
    return [f(values(5)), f(values(5)), f(-values(5))]


@scenario(eagerly="the shape of what numpy.unique gives depends on values")
def np_unique(compiled):
    f = compiled(lambda x: np.unique(x))
    return [f(np.array([1, 1, 2])), f(np.array([1, 1, 2])), f(np.array([1, 3, 2]))]


@scenario(eagerly="the shape of what numpy.repeat gives depends on values")
def np_repeat(compiled):
    f = compiled(lambda x, n: np.repeat(x, n))
    return [
        f(values(3), np.array([1, 1, 2])),
        f(values(3), np.array([1, 1, 2])),
        f(values(3), np.array([1, 1, 5])),
    ]


@scenario(eagerly="the shape of what numpy.bincount gives depends on values")
def np_bincount(compiled):
    f = compiled(lambda n: np.bincount(n))
    return [f(np.array([1, 1, 2])), f(np.array([1, 1, 2])), f(np.array([1, 1, 5]))]


@scenario(eagerly="split gives a list")
def np_split(compiled):
    f = compiled(lambda n: np.split(n, 2))
    return [f(np.arange(4)), f(np.arange(4))]


@scenario
def onehot(compiled):
    f = compiled(lambda y: F.one_hot(y, 4) if hasattr(F, "one_hot") else y)
    return [f(np.array([1, 1, 2])), f(np.array([1, 1, 2])), f(np.array([1, 1, 3]))]


@scenario
def onehot_n(compiled):
    f = compiled(lambda y: F.one_hot(y) if hasattr(F, "one_hot") else y)
    return [f(np.array([1, 1, 2])), f(np.array([1, 1, 2])), f(np.array([1, 1, 5]))]


@scenario
def custom_prim_forward_numpy_branch(compiled):
    p = tc.primitive(
        "my_abs", forward=lambda x: x if x.sum() > 0 else -x, vjps=(lambda g, ans, x: g,)
    )
    f = compiled(lambda x: p(x).sum())
    return [f(tensor(3)), f(tensor(3)), f(-tensor(3))]


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def np_made_inside(compiled):
    f = compiled(lambda x: x * np.arange(3) + np.zeros(3) + np.array([1.0, 2.0, 3.0]))
    return [f(tensor(3)), f(tensor(3))]


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def tc_tensor_inside(compiled):
    f = compiled(lambda x: x * tc.tensor([1.0, 2.0, 3.0]))
    return [f(tensor(3)), f(tensor(3))]


@scenario
def tc_tensor_scalar_inside(compiled):
    g = [1.0]
    f = compiled(lambda x: x * tc.tensor(g[0]))
    found = [f(tensor(3)), f(tensor(3))]
    g[0] = 2.0
    return [*found, f(tensor(3))]


@scenario(eagerly="an array of the function's values was asked for")
def tc_tensor_of_symbol(compiled):
    f = compiled(lambda x: tc.tensor(x) * 2 + tc.as_tensor(x))
    return [f(tensor(3)), f(tensor(3)), f(values(3)), f(values(3))]


@scenario(eagerly="an array is computed with the number that item() gives")
def tc_tensor_of_list(compiled):
    w = tensor(2, grad=True)
    f = compiled(lambda x: tc.tensor([w[0].item(), w[1].item()]) * x)
    found = [f(tensor(2)), f(tensor(2))]
    with tc.no_grad():
        w += 1
    return [*found, f(tensor(2))]


@scenario(eagerly="a value that Python used is another than when recorded")
def round_int(compiled):
    f = compiled(lambda x: (int(x.sum()), round(float(x.sum()), 1), x * int(x.sum())))
    return [f(tc.ones(3)), f(tc.ones(3)), f(tc.ones(3) * 2)]


@scenario
def asserts(compiled):

    def f(x):
        assert (x >= 0).all(), "neg"
        return x * 2

    f = compiled(f)
    found = [f(tc.ones(3)), f(tc.ones(3))]
    try:
        f(-tc.ones(3))
    except AssertionError as e:
        found.append(str(e)[:3])
    return found


@scenario(eagerly="an array is computed with the number that item() gives")
def asserts_finite(compiled):
    w = tensor(3, grad=True)

    def f(x):
        y = (x * w).sum()
        assert np.isfinite(y.item())
        return y

    f = compiled(f)
    return [f(tc.ones(3)), f(tc.ones(3))]


@scenario(eagerly="a value that Python used is another than when recorded")
def isnan_guard(compiled):
    f = compiled(lambda x: 0.0 if np.isnan(x).any() else x * 2)
    return [f(values(3)), f(values(3)), f(np.array([np.nan] * 3)), f(values(3))]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
