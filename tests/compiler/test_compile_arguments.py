"""Arguments of compiled functions: numbers, dtypes, strides, containers, objects."""

from __future__ import annotations

import collections
import dataclasses
import types

import numpy as np

import tinygrad_cnn as tc
from tests.compiled_scenarios import Scenarios, calls, differentiated, in_rounds, tensor, values
from tinygrad_cnn import nn

scenario = Scenarios()


@scenario
def kwargs(compiled):
    @compiled
    def f(x, *, k=2.0, **kw):
        return x * k + kw.get("b", 0)

    x = tensor(3)
    given = {}, {"k": 3.0}, {"b": tensor(3)}, {"k": tensor(3)}, {"k": -0.0}, {"k": 0.0}
    return in_rounds(lambda options: [f(x, **options), f(x=x, **options)], *zip(given))


@scenario
def zero_signs(compiled):
    f = compiled(lambda x, k: x * k)
    return in_rounds(lambda k: np.signbit(f(tc.ones(2), k).data), [0.0], [-0.0])


@scenario
def nan(compiled):
    return in_rounds(compiled(lambda x, k: x * k), [tc.ones(2), float("nan")])


@scenario
def bools_and_ints(compiled):
    f = compiled(lambda x, k: x * k)
    x, n = tc.ones(2), tc.tensor([1, 2])
    return in_rounds(f, [x, True], [x, 1], [x, 1.0], [n, True], [n, 1.0])


@scenario
def numpy_scalars(compiled):
    f = compiled(lambda x, k: x * k)
    x = tensor(2, dtype=np.float32)
    return in_rounds(f, [x, np.float64(2)], [x, np.float64(3)], [x, 2.0])


@scenario
def strings(compiled):
    f = compiled(lambda x, mode: x * 2 if mode == "a" else x * 3)
    return in_rounds(f, [tensor(3), "a"], [tensor(3), "b"])


@scenario
def array_methods(compiled):
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
    return in_rounds(f, [values(3, 2)])


@scenario(eagerly="the attribute 'std' of an array was asked for")
def array_methods_without_symbols(compiled):
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
    return in_rounds(f, [values(3, 2)])


@scenario
def array_or_tensor(compiled):
    f = compiled(lambda x: x * 2 if isinstance(x, np.ndarray) else x * 3)
    return in_rounds(f, [values(3)], [tensor(3)])


@scenario(eagerly="numpy: an array without elements")
def dtypes(compiled):
    f = compiled(lambda x: (x * 2, x + x))
    arrays = (
        np.float16([1, 2]),
        np.int32([1, 2]),
        np.uint8([200, 2]),
        np.array([True, False]),
        np.complex64([1 + 2j]),
        np.zeros((0, 3)),
        np.float64(3.0),
        np.int64(2),
    )
    return in_rounds(f, *([tc.tensor(np.array(array))] for array in arrays))


@scenario
def reductions_of_dtypes(compiled):
    f = compiled(lambda x: (x.sum(), x.mean(), x.max(), x.prod()))
    arrays = (
        np.float16([1, 2]),
        np.int32([1, 2]),
        np.uint8([200, 200]),
        np.float64([3.0]),
        np.float32([[1, 2]]),
    )
    return in_rounds(f, *([tc.tensor(np.array(array))] for array in arrays))


@scenario
def promotion(compiled):
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
    dtypes = np.int32, np.int64, np.float32, np.float16, np.uint8
    return in_rounds(f, *([tc.tensor(np.array([1, 2, 3], dtype))] for dtype in dtypes))


@scenario
def strided(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * w).sum(axis=1))
    fixed = values(5, 3)
    fixed.flags.writeable = False
    found = []
    for x in (
        values(3, 5).T,
        values(10, 3)[::2],
        fixed,
        np.broadcast_to(values(3), (5, 3)),
        values(5, 6)[:, ::-2],
        np.asfortranarray(values(5, 3)),
    ):
        found += differentiated(f, tc.as_tensor(x), count=1)
    return [*found, w.grad]


@scenario
def convolution_of_strided(compiled):
    tc.manual_seed(0)
    f = compiled(nn.Conv2d(2, 4, 3, padding=1))
    batch_last = np.moveaxis(values(2, 8, 8, 5, dtype=np.float32), -1, 0)
    sparse = values(10, 2, 8, 16, dtype=np.float32)[::2, :, :, ::2]
    fixed = sparse.copy()
    fixed.flags.writeable = False
    return in_rounds(f, *([tc.as_tensor(x)] for x in (batch_last, sparse, fixed)))


@scenario
def sorting(compiled):
    return calls(compiled(lambda x: (tc.sort(x), tc.argsort(x), tc.cumsum(x, axis=0))), 3, (5,))


@scenario
def arrays_by_length(compiled):
    f = compiled(
        lambda x: (
            x * tc.arange(len(x))
            + tc.eye(len(x))[0]
            + tc.zeros_like(x)
            + tc.ones_like(x)
            + tc.full((len(x),), 2.0)
        )
    )
    return in_rounds(f, [tensor(3)], [tensor(4)])


@scenario
def recursion(compiled):
    @compiled
    def f(x, n):
        return x if n == 0 else f(x * 2, n - 1)

    return in_rounds(f, [tensor(3), 3], [tensor(3), 2])


@scenario
def mutable_default(compiled):
    def f(x, k=[2.0]):  # noqa: B006 the point of it
        return x * k[0]

    d = f.__defaults__[0]
    g = compiled(f)
    found = calls(g)
    d[0] = 3.0
    return [*found, *calls(g)]


@scenario
def object_argument(compiled):
    g = types.SimpleNamespace(alpha=2.0)
    f = compiled(lambda thing, x: x * thing.alpha)
    found = in_rounds(f, [g, tensor(3)])
    g.alpha = 3.0
    return [*found, *in_rounds(f, [g, tensor(3)])]


@scenario
def set_argument(compiled):
    f = compiled(lambda x, s: x * len(s))
    s = {1}
    found = in_rounds(f, [tensor(3), s])
    s.add(2)
    return [*found, *in_rounds(f, [tensor(3), s])]


@scenario
def tensor_in_object(compiled):
    b = types.SimpleNamespace(x=tensor(3))
    f = compiled(lambda thing: thing.x * 2)
    found = in_rounds(f, [b])
    b.x = tensor(3, seed=3)
    found += in_rounds(f, [b])
    b.x.data[...] = 1.0
    return [*found, f(b)]


@scenario
def dataclass(compiled):
    @dataclasses.dataclass
    class B:
        x: object
        y: object

    f = compiled(lambda b: b.x * 2 + b.y)
    return in_rounds(f, *([B(tensor(3, seed=i), tensor(3))] for i in range(2)))


@scenario
def ordered_dict(compiled):
    f = compiled(lambda d: d["a"] * d["b"])
    return in_rounds(f, *([collections.OrderedDict(a=tensor(3, seed=i), b=2.0)] for i in range(3)))


test_compiled_is_as_written = scenario.test()
