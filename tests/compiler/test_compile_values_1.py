"""Python that looks at values inside of compiled functions.

Each scenario runs once as it is written and once compiled; all that can be seen must be the same.
"""

from __future__ import annotations

import contextlib
import io

import numpy as np
import pytest

import tinygrad_cnn as tc
from tests.compiled_scenarios import EXECUTORS, Scenarios, tensor
from tinygrad_cnn import functional as F
from tinygrad_cnn import nn

scenario = Scenarios()


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def branch_param(compiled):
    w = tc.tensor(1.0, requires_grad=True)
    f = compiled(lambda x: x * w if w.item() > 0 else -x)
    found = [f(tensor(3))]
    with tc.no_grad():
        w.data = np.float64(-1.0)
    return [*found, f(tensor(3))]


@scenario(eagerly="a value that Python used is another than when recorded")
def branch_arg(compiled):

    def f(x):
        if x.sum() > 0:
            return x * 2
        return x * 3

    f = compiled(f)
    return [f(tc.ones(3)), f(tc.ones(3)), f(-tc.ones(3)), f(tc.ones(3))]


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def data_attr(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w).sum() + 0.1 * float(np.abs(w.data).sum()))
    found = [f(tensor(3)), f(tensor(3))]
    with tc.no_grad():
        w -= 1
    y = f(tensor(3))
    y.backward()
    return [*found, y, w.grad]


@scenario(eagerly="the function assigns to .data of a Tensor")
def data_set(compiled):
    w = tensor(3, grad=True)

    def f(x):
        y = (x * w).sum()
        w.data = w.data - 0.1
        return y

    f = compiled(f)
    return [f(tensor(3)), f(tensor(3)), f(tensor(3)), w]


@scenario(eagerly="an element of an array is written to")
def data_inplace(compiled):
    w = tensor(3, grad=True)

    def f(x):
        y = (x * w).sum()
        w.data[...] = w.data - 0.1
        return y

    f = compiled(f)
    return [f(tensor(3)), f(tensor(3)), f(tensor(3)), w]


@scenario(eagerly="an array of the function's values was asked for")
def numpy_view(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: x * float(w.numpy().sum()))
    found = [f(tensor(3)), f(tensor(3))]
    with tc.no_grad():
        w -= 1
    return [*found, f(tensor(3))]


@scenario(eagerly="the attribute 'tolist' of an array was asked for")
def tolist(compiled):
    f = compiled(lambda x: (x * 2).tolist())
    return [f(tensor(3)), f(tensor(3))]


@scenario(eagerly="a value that Python used is another than when recorded")
def in_set(compiled):
    f = compiled(lambda x: x * 1.0 if x.sum().item() in {3.0} else x * 2.0)
    return [f(tc.ones(3)), f(tc.ones(3)), f(tensor(3))]


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def in_dict_get(compiled):
    w = tc.tensor(1.0, requires_grad=True)
    d = {1.0: 5.0}
    f = compiled(lambda x: x * d.get(w.item(), 2.0))
    return [f(tensor(3)), f(tensor(3)), f(tensor(3))]


@scenario
def fmt(compiled):
    f = compiled(lambda x: (x * 2, f"{x.sum().item()}"))
    return [f(tensor(3)), f(tensor(3))]


@scenario(eagerly="it does something else in each call, which does not follow from its arguments")
def fmt2(compiled):
    f = compiled(lambda x: (x * 2, f"{x.sum().item():.3f}"))
    return [f(tensor(3)), f(tensor(3, seed=4))]


@scenario(eagerly="an array of the function's values was asked for")
def fmt3(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w, f"{w}", str((x * w).detach()), repr(w.sum().item())))
    return [f(tensor(3)), f(tensor(3, seed=4))]


@scenario(eagerly="it prints, which is to happen in each call")
def prints(compiled):
    b = io.StringIO()

    def f(x):
        print("hello")
        return x * 2

    f = compiled(f)
    with contextlib.redirect_stdout(b):
        found = [f(tensor(3)), f(tensor(3)), f(tensor(3)), f(tensor(3))]
    return [*found, b.getvalue()]


@scenario
def recursion(compiled):

    def f(x, n):
        return x if n == 0 else f(x * 2, n - 1)

    f = compiled(f)
    return [f(tensor(3), 3), f(tensor(3), 3), f(tensor(3), 2)]


@scenario(eagerly="it returns a generator, in which there may be arrays")
def generator_fn(compiled):

    def f(x):
        yield x
        yield (x * 2)

    f = compiled(f)
    return [list(f(tensor(3))), list(f(tensor(3)))]


@scenario
def gen_inside(compiled):
    f = compiled(lambda x: sum(x[i] * i for i in range(len(x))))
    return [f(tensor(3)), f(tensor(3)), f(tensor(4))]


@scenario
def exception(compiled):

    def f(x):
        if x.shape[0] == 2:
            raise KeyError("mine")
        return x * 2

    f = compiled(f)
    found = []
    for n in (2, 3, 2, 3, 3):
        try:
            found.append(f(tensor(n)))
        except KeyError as e:
            found.append(str(e))
    return found


@scenario
def exception_value(compiled):
    w = tc.tensor([1.0, 2.0], requires_grad=True)
    L = [True]

    def f(x):
        if L[0]:
            raise KeyError("mine")
        return (x * w).sum()

    f = compiled(f)
    found = []
    for n in (True, False, False, True, False):
        L[0] = n
        try:
            f(tensor(2)).backward()
            found.append(w.grad)
        except KeyError as e:
            found.append(str(e))
    return found


@scenario
def catches(compiled):

    def f(x):
        try:
            return x * float(x.exp().sum())
        except Exception:
            return x * 0

    f = compiled(f)
    return [f(tensor(3)), f(tensor(3)), f(tensor(3))]


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def catches_param(compiled):
    w = tensor(3, grad=True)

    def f(x):
        try:
            return x * float(w.sum())
        except Exception:
            return x * 0

    f = compiled(f)
    return [f(tensor(3)), f(tensor(3)), f(tensor(3))]


@scenario(eagerly="an array of the function's values was asked for")
def hasattr_branch(compiled):
    f = compiled(
        lambda x: x * 2 if hasattr(x, "foo") else x * 3 if hasattr(x.numpy(), "strides") else x * 5
    )
    return [f(tensor(3)), f(tensor(3))]


@scenario(eagerly="a value that Python used is another than when recorded")
def ignore_idx(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    f = compiled(lambda x, y: F.cross_entropy(m(x), y))
    return [
        f(tensor(4, 4, dtype=np.float32), np.array(y))
        for y in ([0, 1, 2, 0], [0, 1, 2, 0], [0, -100, 2, 0], [0, 1, 1, 1])
    ]


@scenario
def bad_labels(compiled):
    tc.manual_seed(0)
    m = nn.Linear(4, 3)
    found = []
    f = compiled(lambda x, y: F.cross_entropy(m(x), y))
    for y in ([0, 1, 2, 0], [0, 1, 2, 0], [0, 7, 2, 0], [0, 1, 1, 1], [0.5, 1, 1, 1], [0, 1]):
        try:
            found.append(f(tensor(4, 4, dtype=np.float32), np.array(y)))
        except Exception as e:
            found.append(type(e).__name__ + str(e))
    return found


@scenario
def divzero_item(compiled):

    def f(x):
        return 1 / x.sum().item()

    f = compiled(f)
    found = []
    for v in (tc.ones(2), tc.ones(2), tc.zeros(2)):
        try:
            found.append(f(v))
        except ZeroDivisionError:
            found.append("z")
    return found


@scenario
def item_types(compiled):
    f = compiled(
        lambda x: (
            x.sum().item(),
            x.sum().item() * 2,
            (x > 0).sum().item(),
            (x > 0).any().item(),
            -x.sum().item(),
            round(x.sum().item(), 2),
        )
    )
    return [f(tensor(3)), f(tensor(3)), f(tensor(3, seed=3))]


@scenario
def item_types2(compiled):
    w = tensor(3, grad=True)
    f = compiled(
        lambda x: ((x * w).sum().item(), (x * w).sum().item() * 2, 1 + (x * w > 0).sum().item())
    )
    return [f(tensor(3)), f(tensor(3)), f(tensor(3, seed=3))]


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", scenario.functions)
def test_compiled_is_as_written(name, executor):
    scenario.check(name, executor)
