"""Python that looks at values inside of compiled functions."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import (
    ROUNDS,
    Scenarios,
    calls,
    differentiated,
    in_rounds,
    linear,
    tensor,
    values,
)
from tinygrad_cnn import functional as F

scenario = Scenarios()


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def branch_parameter(compiled):
    w = tc.tensor(1.0, requires_grad=True)
    f = compiled(lambda x: x * w if w.item() > 0 else -x)
    found = [f(tensor(3))]
    with tc.no_grad():
        w.data = np.float64(-1.0)
    return [*found, *calls(f)]


@scenario(eagerly="a value that Python used is another than when recorded")
def branch_argument(compiled):
    f = compiled(lambda x: x * 2 if x.sum() > 0 else x * 3)
    return [*in_rounds(f, [tc.ones(3)]), f(-tc.ones(3)), f(tc.ones(3))]


@scenario(eagerly="a value that Python used is another than when recorded")
def while_loop(compiled):
    @compiled
    def f(x):
        n = 0
        while x.sum() > 1:
            x = x / 2
            n += 1
        return (x, n)

    return [*in_rounds(f, [tc.ones(3)]), f(tc.ones(3) * 9)]


@scenario(eagerly="a value that Python used is another than when recorded")
def in_set(compiled):
    f = compiled(lambda x: x * 1.0 if x.sum().item() in {3.0} else x * 2.0)
    return [*in_rounds(f, [tc.ones(3)]), f(tensor(3))]


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def in_dict(compiled):
    w = tc.tensor(1.0, requires_grad=True)
    d = {1.0: 5.0}
    f = compiled(lambda x: x * d.get(w.item(), 2.0))
    return calls(f)


@scenario(eagerly="a value that Python used is another than when recorded")
def isnan_branch(compiled):
    f = compiled(lambda x: 0.0 if np.isnan(x).any() else x * 2)
    return [*in_rounds(f, [values(3)]), f(np.array([np.nan] * 3)), f(values(3))]


@scenario(eagerly="a value that Python used is another than when recorded")
def ignored_labels(compiled):
    m = linear()
    f = compiled(lambda x, y: F.cross_entropy(m(x), y))
    return [
        f(tensor(4, 4, dtype=np.float32), np.array(y))
        for y in (*[[0, 1, 2, 0]] * ROUNDS, [0, -100, 2, 0], [0, 1, 1, 1])
    ]


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def data_read(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w).sum() + 0.1 * float(np.abs(w.data).sum()))
    found = calls(f)
    with tc.no_grad():
        w -= 1
    return [*found, *differentiated(f, tensor(3), count=1), w.grad]


@scenario(eagerly="an array of the function's values was asked for")
def numpy_view(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: x * float(w.numpy().sum()))
    found = calls(f)
    with tc.no_grad():
        w -= 1
    return [*found, *calls(f)]


@scenario(eagerly="an array of the function's values was asked for")
def hasattr_branch(compiled):
    f = compiled(
        lambda x: x * 2 if hasattr(x, "foo") else x * 3 if hasattr(x.numpy(), "strides") else x * 5
    )
    return calls(f)


@scenario(eagerly="the attribute 'tolist' of an array was asked for")
def tolist(compiled):
    f = compiled(lambda x: (x * 2).tolist())
    return calls(f)


@scenario
def formatted(compiled):
    f = compiled(lambda x: (x * 2, f"{x.sum().item()}"))
    return calls(f)


@scenario(eagerly="it does something else in each call, which does not follow from its arguments")
def formatted_digits(compiled):
    f = compiled(lambda x: (x * 2, f"{x.sum().item():.3f}"))
    return in_rounds(f, [tensor(3)], [tensor(3, seed=4)])


@scenario(eagerly="an array of the function's values was asked for")
def formatted_parameter(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w, f"{w}", str((x * w).detach()), repr(w.sum().item())))
    return in_rounds(f, [tensor(3)], [tensor(3, seed=4)])


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
    return [*calls(f), f(tensor(3, seed=3))]


@scenario
def item_types_of_parameters(compiled):
    w = tensor(3, grad=True)
    f = compiled(
        lambda x: ((x * w).sum().item(), (x * w).sum().item() * 2, 1 + (x * w > 0).sum().item())
    )
    return [*calls(f), f(tensor(3, seed=3))]


@scenario(eagerly="an array is computed with the number that item() gives")
def item_times_array(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: x * w.sum().item())
    return [f(tensor(3, dtype=np.float32)) for _ in range(ROUNDS)]


@scenario(eagerly="Python needs a value that depends on parameters or random numbers")
def float_returned(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: float((x * w).sum()))
    return calls(f)


@scenario(eagerly="a value that Python used is another than when recorded")
def rounded(compiled):
    f = compiled(lambda x: (int(x.sum()), round(float(x.sum()), 1), x * int(x.sum())))
    return [*in_rounds(f, [tc.ones(3)]), f(tc.ones(3) * 2)]


@scenario(eagerly="an array is computed with the number that item() gives")
def asserts_finite(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        y = (x * w).sum()
        assert np.isfinite(y.item())
        return y

    return in_rounds(f, [tc.ones(3)])


@scenario
def accuracy(compiled):
    m = linear()

    @compiled
    def f(x, y):
        scores = m(x)
        correct = tc.argmax(scores, axis=1) == y
        return correct.sum(), correct.mean(), F.softmax(scores, axis=1)

    return [f(tensor(4, 4, dtype=np.float32), np.array([0, 1, 2, 0])) for _ in range(ROUNDS)]


test_compiled_is_as_written = scenario.test()
