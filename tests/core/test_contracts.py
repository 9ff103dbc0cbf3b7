"""The contracts between the engine and its operations, one by one."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn._core.backprop import backpropagate
from tinygrad_cnn._core.node import Node
from tinygrad_cnn._core.primitive import Primitive, every
from tinygrad_cnn._core.tensor import Tensor
from tinygrad_cnn.errors import GraphError, ShapeError

CHAIN = 100_000


def variable(*values: Any) -> Tensor:
    return tc.tensor(values if len(values) > 1 else values[0], requires_grad=True)


def identity(*rules: Any, name: str = "odd") -> Primitive:
    """An operation on its first argument that is not registered."""
    return Primitive(name, lambda x, *rest: x, rules)


def constructions(action: Callable[[], Any]) -> Counter[str]:
    """How many Tensors and vertices come into being while ``action`` runs."""
    made: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "c_call" and argument == Tensor.__new__:
            made["tensor"] += 1
        elif event == "call" and frame.f_code in (Tensor.__init__.__code__, Node.__init__.__code__):
            made["tensor" if frame.f_code is Tensor.__init__.__code__ else "node"] += 1

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return made


def conv_net_loss(x: Tensor, w: Tensor) -> Tensor:
    hidden = tc.functional.relu(tc.functional.conv2d(x, w, padding=1))
    return (tc.functional.max_pool2d(hidden, 2) ** 2).mean()


# -- 1, 2: arrays and settings; rules on arrays and on Tensors ------------------------------


def test_forward_sees_arrays_and_settings_by_name() -> None:
    seen: list[Any] = []

    def forward(x: Any, y: Any, *, scale: float) -> Any:
        seen.extend((type(x), type(y), scale))
        return x * y * scale

    Primitive("scaled", forward, (None, None))(variable(1.0, 2.0), np.ones(2), scale=3.0)
    assert seen == [np.ndarray, np.ndarray, 3.0]


def test_first_order_backward_creates_no_node_and_only_the_gradients_of_leaves() -> None:
    x, w = variable(np.ones((2, 3, 4, 4))), variable(np.ones((2, 3, 3, 3)))
    made = constructions(conv_net_loss(x, w).backward)
    assert made == {"tensor": 2}


def test_the_count_of_constructions_can_fail() -> None:
    x, w = variable(np.ones((2, 3, 4, 4))), variable(np.ones((2, 3, 3, 3)))
    loss = conv_net_loss(x, w)
    made = constructions(lambda: loss.backward(create_graph=True))
    assert made["tensor"] > 10
    assert made["node"] > 10


@pytest.mark.parametrize(("create_graph", "kind"), [(False, np.ndarray), (True, Tensor)])
def test_rules_run_on_arrays_or_on_tensors(create_graph: bool, kind: type) -> None:
    seen = []

    def rule(g: Any, ans: Any, x: Any) -> Any:
        seen.extend((type(ans), type(x)))
        return g * 3.0

    identity(rule)(variable(1.0, 2.0)).sum().backward(create_graph=create_graph)
    assert seen == [kind, kind]


def test_create_graph_goes_to_any_order() -> None:
    x = variable(2.0)
    derivative = x**5
    for expected in (80.0, 160.0, 240.0, 240.0, 120.0):
        [derivative] = tc.gradients(derivative, [x], create_graph=True)
        assert derivative.item() == expected


def test_backward_with_create_graph_gives_gradients_that_have_gradients() -> None:
    x = variable(3.0)
    (x**3).backward(create_graph=True)
    (x.grad * 2).backward()
    assert x.grad.item() == 27 + 2 * 18


# -- 3, 4: rules that are missing, left out or wrong ----------------------------------------


def test_none_means_not_differentiable() -> None:
    x, y = variable(1.0), variable(2.0)
    identity(None, lambda g, ans, x, y: 5.0 * g)(x, y).backward()
    assert x.grad is None
    assert y.grad.item() == 5.0


def test_a_missing_rule_names_primitive_and_argument() -> None:
    result = identity(lambda g, ans, x, y: g)(variable(1.0), variable(2.0))
    with pytest.raises(GraphError, match="odd has no gradient rule for argument 1"):
        result.backward()


def test_rules_run_only_for_arguments_that_need_a_gradient() -> None:
    def never(*args: Any) -> Any:
        raise AssertionError

    y = variable(2.0)
    x = variable(1.0)
    identity(never, lambda g, ans, x, y: g)(tc.tensor(1.0), y).backward()
    result = identity(never, lambda g, ans, x, y: g)(x, y)
    assert tc.gradients(result, [y]) == [tc.tensor(1.0)]


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_wrong_shape_names_primitive_and_argument(create_graph: bool) -> None:
    result = identity(lambda g, ans, x: g.sum())(variable(1.0, 2.0)).sum()
    message = r"rule of odd for argument 0 returned shape \(\), the argument has shape \(2,\)"
    with pytest.raises(ShapeError, match=message):
        result.backward(create_graph=create_graph)


def test_one_rule_for_any_number_of_arguments() -> None:
    total = Primitive("total", lambda *xs: sum(xs), every(lambda i, g, ans, *xs: g * (i + 1)))
    xs = [variable(float(i)) for i in range(3)]
    total(*xs).backward()
    assert [x.grad.item() for x in xs] == [1.0, 2.0, 3.0]


# -- 6: memory ------------------------------------------------------------------------------


class Tracked(np.ndarray):
    """An array that a test can watch being freed: views keep it alive through ``base``."""


def saved_array() -> tuple[Any, weakref.ref[Any]]:
    array = np.ones(3).view(Tracked)
    return array, weakref.ref(array)


def test_a_graph_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        x = variable(1.0, 2.0)
        y = (tc.exp(x) * x).sum()
        array = y.node.parents[0].args[0]
        watch = weakref.ref(array)
        del array, y
        assert watch() is None
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_saved_arrays_are_let_go_during_the_walk() -> None:
    """When the first operation is differentiated, what later ones saved is gone already."""
    alive: list[bool] = []
    first = identity(lambda g, ans, x: alive.append(watch() is not None) or g)
    x = variable(1.0, 2.0, 3.0)
    y = first(x)
    array, watch = saved_array()
    result = (y * array).sum()
    del array
    assert watch() is not None
    result.backward()
    assert alive == [False]


def test_saved_arrays_are_kept_where_asked_for() -> None:
    array, watch = saved_array()
    result = (variable(1.0, 2.0, 3.0) * array).sum()
    del array
    result.backward(retain_graph=True)
    assert watch() is not None
    result.backward()
    assert watch() is None


def test_a_second_backward_says_what_to_do() -> None:
    x = variable(3.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 12.0
    with pytest.raises(GraphError, match=r"'multiply' were freed.*retain_graph=True"):
        y.backward()
    assert x.grad.item() == 12.0


def test_a_walk_to_an_intermediate_result_frees_only_what_it_passed() -> None:
    x = variable(3.0)
    h = x * x
    assert tc.gradients(h * 2, [h]) == [tc.tensor(2.0)]
    assert tc.gradients(h, [x]) == [tc.tensor(6.0)]


def test_create_graph_retains_the_graph() -> None:
    x = variable(3.0)
    y = x * x
    y.backward(create_graph=True)
    y.backward()
    assert x.grad.item() == 12.0


# -- 7: the walk ----------------------------------------------------------------------------


@pytest.mark.parametrize("differentiate", [True, False])
def test_a_long_chain_differentiates_and_is_freed(differentiate: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        x = variable(1.0)
        y = x
        for _ in range(CHAIN):
            y = y + 1.0
        leaf = weakref.ref(y)
        if differentiate:
            y.backward()
            assert x.grad.item() == 1.0
        before = sys.getrefcount(x.node)
        del y
        assert leaf() is None
        after = sys.getrefcount(x.node)  # not inside assert, which holds on to what it shows
        assert after == before - 1  # the first operation is gone
    finally:
        gc.enable()


def test_shared_vertices_are_visited_once() -> None:
    """A ladder of 60 rungs has 2**60 paths."""
    x = variable(1.0)
    y = x
    for _ in range(60):
        y = y + y
    visits: Counter[Node] = Counter()
    backpropagate({y.node: np.float64(1.0)}, visit=lambda node, g, _: visits.update([node]))
    assert len(visits) == 61
    assert set(visits.values()) == {1}


def test_a_root_that_another_root_depends_on() -> None:
    x = variable(2.0)
    y = x * x
    z = y * y
    assert tc.gradients([y, z], [x, y], [1.0, 10.0], retain_graph=True) == [
        tc.tensor(4.0 + 10 * 32.0),
        tc.tensor(1.0 + 10 * 8.0),
    ]
    assert tc.gradients([y, y], [x]) == [tc.tensor(8.0)]


def test_independent_inputs_have_no_gradient() -> None:
    x, y = variable(2.0), variable(3.0)
    assert tc.gradients(x * 2, [x, y]) == [tc.tensor(2.0), None]


# -- 8: threads -----------------------------------------------------------------------------


def test_recording_state_belongs_to_a_thread() -> None:
    seen: list[bool] = []

    def look() -> None:
        seen.append(tc.is_grad_enabled())
        with tc.no_grad():
            seen.append(tc.is_grad_enabled())
        with tc.scope("theirs"):
            seen.append((variable(1.0) * 2).node.scope.path == "theirs")

    with tc.no_grad(), tc.scope("ours"), tc.conventions(ties="split"):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert not tc.is_grad_enabled()
    assert seen == [True, False, True]


def test_threads_differentiate_at_once() -> None:
    found: dict[int, float] = {}

    def work(k: int) -> None:
        x = variable(float(k))
        y = x
        for _ in range(300):
            y = y * 1.0 + x
        y.backward()
        found[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(4), 301.0)
