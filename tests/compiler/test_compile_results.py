"""What compiled functions return: kinds, identity, memory of their own."""

from __future__ import annotations

import collections

import tinygrad_cnn as tc
from tests.compiled_scenarios import (
    Net,
    Scenarios,
    calls,
    differentiated,
    in_rounds,
    tensor,
    values,
)
from tinygrad_cnn import nn

scenario = Scenarios()


@scenario
def none(compiled):
    return calls(compiled(lambda x: None))


@scenario
def constants(compiled):
    f = compiled(lambda x: (3, "a", None, x, {"k": [x * 2]}))
    return calls(f)


@scenario
def argument_itself(compiled):
    f = compiled(lambda x: x)
    x = tensor(3, grad=True)
    return [y is x for y in in_rounds(f, [x])]


@scenario
def parameter_itself(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: (x * 2, w))
    return [second is w for _, second in calls(f)] + [w.is_leaf]


@scenario
def view_of_parameter(compiled):
    w = tensor(3, grad=True)
    f = compiled(lambda x: w.reshape(3, 1))
    return [*differentiated(f, tensor(3)), w.grad]


@scenario
def array_itself(compiled):
    f = compiled(lambda x: x)
    x = values(3)
    return [y is x for y in in_rounds(f, [x])]


@scenario
def unchanged_values(compiled):
    f = compiled(lambda x: x * 1.0)
    x = tensor(3)
    y = in_rounds(f, [x])[-1]
    y.data[0] = 99
    return [x, y]


@scenario
def equal_results(compiled):
    f = compiled(lambda x: (x * 2, x * 2))
    a, b = calls(f)[-1]
    a.data[0] = 99
    return [a, b]


@scenario
def same_result_twice(compiled):
    @compiled
    def f(x):
        y = x * 2
        return (y, y)

    return [a is b for a, b in calls(f)]


@scenario
def zeros_made_inside(compiled):
    f = compiled(lambda x: (tc.zeros(3), x))
    found = []
    for number in (5, 6, 7):
        found.append(f(tensor(3))[0])
        found[-1].data[0] = number
    return found


@scenario(eagerly="it returns a Tensor that it makes from an array or variable")
def leaf_made_inside(compiled):
    return calls(compiled(lambda x: (tc.zeros(3, requires_grad=True), x)))


@scenario
def shape_and_dtype(compiled):
    f = compiled(lambda x: (x.shape, x.dtype, len(x), x.ndim, x.size, x * 1))
    return calls(f, shape=(3, 2))


@scenario
def results_kept(compiled):
    f = compiled(Net(p=0.0))
    return [f(tensor(8, 4, seed=i)) for i in range(6)]


@scenario
def results_kept_views(compiled):
    m = Net(p=0.0)
    f = compiled(lambda x: m(x).reshape(-1)[2:9])
    return [f(tensor(8, 4, seed=i)) for i in range(6)]


@scenario
def results_kept_as_arrays(compiled):
    f = compiled(Net(p=0.0))
    return [f(tensor(8, 4, seed=i)).numpy()[1:] for i in range(6)]


@scenario
def namedtuple(compiled):
    P = collections.namedtuple("P", "a b")
    f = compiled(lambda p: P(p.a * 2, p.b))
    return in_rounds(f, [P(tensor(3), 1)])


@scenario(eagerly="it returns a set, in which there may be arrays")
def set_result(compiled):
    f = compiled(lambda x: {x.shape[0], 3})
    return calls(f)


@scenario(eagerly="it returns a Thing, in which there may be arrays")
def object_result(compiled):
    class Thing:
        def __init__(self, a):
            self.a = a

    f = compiled(lambda x: Thing(x * 2))
    return [thing.a for thing in calls(f)]


@scenario(eagerly="it returns a generator, in which there may be arrays")
def generator(compiled):
    @compiled
    def f(x):
        yield x
        yield (x * 2)

    return [list(results) for results in calls(f)]


@scenario
def argument_changed_later(compiled):
    f = compiled(lambda x: x + 0.0)
    x = tensor(3)
    y = in_rounds(f, [x])[-1]
    x.data[...] = 9
    return [y]


@scenario
def state_across(compiled):
    f = compiled(lambda x, h: (x * 2 + h, h * 0.5 + x))
    h = tc.zeros(3)
    found = []
    for i in range(5):
        y, h = f(tensor(3, seed=i), h)
        found.append((y, h))
    return found


@scenario
def recurrence(compiled):
    tc.manual_seed(0)
    a = nn.Linear(3, 3)
    f = compiled(lambda xs, h: [(h := tc.tanh(a(x) + h)) for x in xs][-1])
    return in_rounds(f, *([[tensor(2, 3)] * length, tc.zeros(2, 3)] for length in (2, 1)))


@scenario
def iterate(compiled):
    f = compiled(lambda x: [r * 2 for r in x])
    return calls(f, shape=(3, 2))


@scenario
def stack_items(compiled):
    f = compiled(lambda x: tc.stack([x[0], x[1] * 2]))
    return in_rounds(f, [tensor(2)], [tensor(2, seed=1)])


@scenario
def generator_inside(compiled):
    f = compiled(lambda x: sum(x[i] * i for i in range(len(x))))
    return in_rounds(f, [tensor(3)], [tensor(4)])


test_compiled_is_as_written = scenario.test()
