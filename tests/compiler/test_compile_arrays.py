"""NumPy's functions in compiled functions, and arrays that those make."""

from __future__ import annotations

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import Scenarios, calls, in_rounds, tensor, values

scenario = Scenarios()


@scenario
def means_of_masks(compiled):
    w = tensor(3, grad=True)

    @compiled
    def f(x):
        mask = x * w > 0
        return mask, np.mean(mask), mask.astype(int), np.sum(mask, axis=0)

    return calls(f)


@scenario
def functions(compiled):
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
    return in_rounds(f, [values(5)], [values(5)[::-1]])


@scenario(eagerly="nonzero gives a tuple")
def nonzero_of_array(compiled):
    f = compiled(lambda x: np.nonzero(x > 0)[0])
    return in_rounds(f, [values(5)], [-values(5)])


@scenario(eagerly="an array of the function's values was asked for")
def nonzero_of_tensor(compiled):
    f = compiled(lambda x: np.nonzero(x.numpy())[0])
    return in_rounds(f, [tensor(5)], [tc.zeros(5)])


@scenario(eagerly="the shape of what a mask chooses depends on values")
def mask_index(compiled):
    f = compiled(lambda x: (x[x > 0].sum(), x[x > 0].mean()))
    return in_rounds(f, [tensor(5)], [-tensor(5)])


@scenario(eagerly="the shape of what numpy.unique gives depends on values")
def unique(compiled):
    f = compiled(lambda x: np.unique(x))
    return in_rounds(f, [np.array([1, 1, 2])], [np.array([1, 3, 2])])


@scenario(eagerly="the shape of what numpy.repeat gives depends on values")
def repeat(compiled):
    f = compiled(lambda x, n: np.repeat(x, n))
    return in_rounds(f, [values(3), np.array([1, 1, 2])], [values(3), np.array([1, 1, 5])])


@scenario(eagerly="the shape of what numpy.bincount gives depends on values")
def bincount(compiled):
    f = compiled(lambda n: np.bincount(n))
    return in_rounds(f, [np.array([1, 1, 2])], [np.array([1, 1, 5])])


@scenario(eagerly="split gives a list")
def split(compiled):
    f = compiled(lambda n: np.split(n, 2))
    return in_rounds(f, [np.arange(4)])


@scenario
def one_hot(compiled):
    f = compiled(lambda y: tc.eye(4)[y])
    return in_rounds(f, [np.array([1, 1, 2])], [np.array([1, 1, 3])])


@scenario(eagerly="a value that Python used is another than when recorded")
def one_hot_of_largest(compiled):
    f = compiled(lambda y: tc.eye(int(y.max()) + 1)[y])
    return [*in_rounds(f, [np.array([1, 1, 2])]), f(np.array([1, 1, 5]))]


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def array_made_inside(compiled):
    f = compiled(lambda x: x * np.arange(3) + np.zeros(3) + np.array([1.0, 2.0, 3.0]))
    return calls(f)


@scenario(eagerly="an array of shape (3,) that the function makes itself is used")
def tensor_made_inside(compiled):
    f = compiled(lambda x: x * tc.tensor([1.0, 2.0, 3.0]))
    return calls(f)


@scenario
def scalar_made_inside(compiled):
    g = [1.0]
    f = compiled(lambda x: x * tc.tensor(g[0]))
    found = calls(f)
    g[0] = 2.0
    return [*found, *calls(f)]


@scenario(eagerly="an array of the function's values was asked for")
def tensor_of_argument(compiled):
    f = compiled(lambda x: tc.tensor(x) * 2 + tc.as_tensor(x))
    return in_rounds(f, [tensor(3)], [values(3)])


@scenario(eagerly="an array is computed with the number that item() gives")
def tensor_of_items(compiled):
    w = tensor(2, grad=True)
    f = compiled(lambda x: tc.tensor([w[0].item(), w[1].item()]) * x)
    found = calls(f, shape=(2,))
    with tc.no_grad():
        w += 1
    return [*found, f(tensor(2))]


test_compiled_is_as_written = scenario.test()
