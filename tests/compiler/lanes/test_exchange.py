"""The arrays that a native step is given and gives back."""

import numpy as np
import pytest

from tinygrad_cnn.compiler._program import Program
from tinygrad_cnn.compiler._symbols import Symbol
from tinygrad_cnn.compiler.lanes.exchange import Exchange, address

SINGLE = np.dtype(np.float32)


def symbols(*kinds):
    return [Symbol(shape, np.dtype(dtype), None) for shape, dtype in kinds]


def exchange(inputs, outputs, aliases=None, packed=()):
    program = Program(inputs, [], outputs)
    return Exchange(program, aliases or {}, packed, SINGLE)


def array(*shape, start=0):
    return np.arange(start, start + np.prod(shape), dtype=np.float32).reshape(shape)


def test_arrays_are_read_where_they_are():
    one, x = exchange(symbols(((2, 3), "f4")), []), array(2, 3)
    one.take([x])
    assert one.given[0] is x
    assert one.addresses([("in", 0)]).tolist() == [address(x)]
    y = array(2, 3, start=9)
    one.take([y])
    assert one.given[0] is y
    assert one.addresses([("in", 0)]).tolist() == [address(y)]


@pytest.mark.parametrize(
    "x", [np.arange(6).reshape(2, 3), np.arange(6.0).reshape(2, 3), array(3, 2).T], ids=str
)
def test_others_are_copied_in_each_run(x):
    one = exchange(symbols(((2, 3), x.dtype)), [])
    for _ in range(2):
        one.take([x])
        assert one.given[0] is not x
        assert one.given[0].dtype == SINGLE
        assert one.given[0].flags.c_contiguous
        assert np.array_equal(one.given[0], x)
        assert one.addresses([("in", 0)]).tolist() == [address(one.given[0])]
        x += 1  # the same array with other numbers


def test_packed_arrays_lie_as_they_like():
    one, x = exchange(symbols(((2, 3), "f4")), [], packed=[0]), array(3, 2).T
    one.take([x])
    assert one.given[0] is x


def test_an_array_follows_one_that_was_copied():
    one, x = exchange(symbols(((2, 3), "f4")), []), array(2, 3)
    one.take([array(3, 2).T])
    one.take([x])
    assert one.given[0] is x
    one.take([array(3, 2).T])
    assert np.array_equal(one.given[0], array(3, 2).T)
    assert np.array_equal(x, array(2, 3))


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, np.asarray])
def test_numbers_are_copied(kind):
    one = exchange(symbols(((), "f8")), [])
    places = set()
    for value in (1.0, 2.0, 3.0):
        one.take([kind(value)])
        assert one.given[0] == value
        places.add(int(one.addresses([("in", 0)])[0]))
    assert len(places) == 1


def test_memory_mapped_arrays(tmp_path):
    one, x = exchange(symbols(((6,), "f4")), []), array(6)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", np.float32)
    one.take([mapped])
    assert one.addresses([("in", 0)]).tolist() == [address(mapped)]


def test_results_are_used_again_when_nobody_holds_them():
    one = exchange([], symbols(((4,), "f4")))
    first = id(one.results()[0])
    assert id(one.results()[0]) == first
    held = one.results()[0]
    second = one.results()[0]
    assert second is not held
    third = one.results()[0]
    assert all(third is not other for other in (held, second))
    held[...] = 5.0
    assert one.results()[0] is not held


def test_views_of_results_hold_them():
    one = exchange([], symbols(((4,), "f4")))
    view = one.results()[0][1:]
    assert not np.shares_memory(one.results()[0], view)


def test_state_goes_around_in_two_arrays():
    one = exchange(symbols(((4,), "f4")), symbols(((4,), "f4")))
    state, seen = array(4), set()
    for _ in range(10):
        one.take([state])
        outputs = one.results()
        assert outputs[0] is not state
        places = [address(state), address(outputs[0])]
        assert one.addresses([("in", 0), ("out", 0)]).tolist() == places
        state = outputs.pop()
        seen.add(id(state))
    assert len(seen) == 2


def test_results_that_are_written_over_inputs():
    one = exchange(symbols(((2, 3), "f4")), symbols(((2, 3), "f4")), aliases={0: 0})
    for x in (array(2, 3), array(2, 3)):
        one.take([x])
        assert one.results()[0] is x
        assert one.addresses([("out", 0), ("in", 0)]).tolist() == [address(x)] * 2
    turned = array(3, 2).T
    one.take([turned])
    assert not np.shares_memory(one.results()[0], turned)
    one.take([x])
    assert one.results()[0] is x


def test_results_have_their_own_dtypes():
    kinds = ((4,), "f4"), ((4,), "i8"), ((), "f4"), ((), "i8")
    one = exchange([], [*symbols(*kinds), 7.0])
    outputs = one.results()
    for made in outputs[:4]:
        made[...] = 3.0
    one.finish(outputs)
    assert [np.asarray(made).dtype for made in outputs[:4]] == [dtype for _, dtype in kinds]
    assert [type(made) for made in outputs[2:]] == [np.float32, np.int64, float]
    assert all(np.all(made == 3) for made in outputs[:4])


def test_slots_may_follow():
    one, x, y = exchange(symbols(((2,), "f4"), ((2,), "f4")), []), array(2), array(2)
    one.take([x, y])
    slots = [("in", 1)]
    assert one.addresses(slots).tolist() == [address(y)]
    slots.append(("in", 0))
    assert one.addresses(slots).tolist() == [address(y), address(x)]
