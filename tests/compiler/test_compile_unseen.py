"""What a compiled function reads or does through calls into C is noticed: nothing goes stale."""

from __future__ import annotations

import array
import contextvars
import cProfile
import functools
import gc
import os
import pathlib
import sys
import threading
import time
import types
import warnings
import weakref
from collections import ChainMap
from datetime import UTC, datetime

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.compiler import CompileWarning
from tinygrad_cnn.compiler._signature import flatten
from tinygrad_cnn.compiler._trace import Trace

X = tc.tensor([1.0, 2.0])
SETTING = 1.0


def first(result):
    return float(result.data[0])


def compiled_and_warnings(f, times=4):
    g = tc.compile(f)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [g(X) for _ in range(times)]
    said = [str(w.message) for w in caught if w.category is CompileWarning]
    return g, results, said


class Holder:
    k = 1.0

    def __init__(self):
        self.k = 1.0


def set_global(value):
    global SETTING
    SETTING = value


# Each: what the function reads, as a number, how that becomes another, what the warning says.
READS = {}


def reads(says):
    def note(make):
        READS[make.__name__] = make, says
        return make

    return note


@reads("calls vars")
def of_vars():
    held = Holder()
    return lambda: vars(held)["k"], lambda: setattr(held, "k", 9.0)


@reads("calls globals")
def of_globals():
    set_global(1.0)
    return lambda: globals()["SETTING"], lambda: set_global(9.0)


@reads("calls eval")
def of_eval():
    set_global(1.0)
    return lambda: eval("SETTING"), lambda: set_global(9.0)


@reads("calls time.time")
def of_the_clock():
    clock = types.SimpleNamespace(start=time.time())
    return (
        lambda: 9.0 if time.time() > clock.start + 1000 else 1.0,
        lambda: setattr(clock, "start", 0.0),
    )


@reads("calls datetime.now")
def of_the_calendar():
    day = [datetime.now(UTC).year]
    return (
        lambda: 1.0 if datetime.now(UTC).year - day[0] < 5 else 9.0,
        lambda: day.append(0) or (day.__setitem__(0, 0)),
    )


@reads("calls ContextVar.get")
def of_a_context():
    variable = contextvars.ContextVar("unseen", default=1.0)
    return variable.get, lambda: variable.set(9.0)


@reads("calls posix.stat|calls nt.")
def of_the_disk():
    path = pathlib.Path(os.devnull)
    state = [path]
    return (
        lambda: 1.0 if state[0].exists() else 9.0,
        lambda: state.__setitem__(0, path / "nothing"),
    )


@reads("type array")
def of_an_array():
    numbers = array.array("d", [1.0])
    return lambda: numbers[0], lambda: numbers.__setitem__(0, 9.0)


@reads("type bytearray")
def of_a_bytearray():
    numbers = bytearray(b"\x01")
    return lambda: float(numbers[0]), lambda: numbers.__setitem__(0, 9)


@reads("type mappingproxy")
def of_a_proxy():
    inner = {"k": 1.0}
    outer = types.MappingProxyType(inner)
    return lambda: outer["k"], lambda: inner.__setitem__("k", 9.0)


@reads("type dict_values")
def of_a_view():
    inner = {"k": 1.0}
    view = inner.values()
    return lambda: sum(view), lambda: inner.__setitem__("k", 9.0)


@reads("may call time.time")
def of_a_partial():
    clock = functools.partial(time.time)
    limit = [clock() + 1000]
    return lambda: 9.0 if clock() > limit[0] else 1.0, lambda: limit.__setitem__(0, 0.0)


@reads("calls _get_extobj_dict|calls numpy")
def of_error_modes():
    return lambda: 9.0 if np.geterr()["under"] == "warn" else 1.0, lambda: np.seterr(under="warn")


@reads("")
def of_the_dict():
    held = Holder()
    return lambda: held.__dict__["k"], lambda: setattr(held, "k", 9.0)


@reads("")
def of_a_module():
    sys.unseen = 1.0
    return lambda: sys.unseen, lambda: setattr(sys, "unseen", 9.0)


@reads("")
def of_the_environment():
    os.environ["UNSEEN"] = "1"
    return lambda: float(os.environ["UNSEEN"]), lambda: os.environ.__setitem__("UNSEEN", "9")


@reads("")
def of_an_event():
    event = threading.Event()
    return lambda: 9.0 if event.is_set() else 1.0, event.set


@reads("")
def of_a_chain():
    inner = {"k": 1.0}
    chain = ChainMap({}, inner)
    return lambda: chain["k"], lambda: inner.__setitem__("k", 9.0)


@reads("")
def of_weak_keys():
    key = Holder()
    table = weakref.WeakKeyDictionary({key: 1.0})
    return lambda: table[key], lambda: table.__setitem__(key, 9.0)


@reads("")
def of_a_bound_method():
    items = [0]
    return items.__len__, lambda: items.extend([0] * 8)


@reads("")
def of_defaults():
    def helper(k=1.0):
        return k

    return lambda: helper(), lambda: setattr(helper, "__defaults__", (9.0,))


@reads("")
def of_code():
    def helper():
        return 1.0

    return lambda: helper(), lambda: setattr(helper, "__code__", (lambda: 9.0).__code__)


@pytest.mark.parametrize("name", READS)
def test_a_change_is_seen(name, monkeypatch):
    monkeypatch.setenv("UNSEEN", "1")
    make, says = READS[name]
    with np.errstate():
        read, change = make()
        g, results, said = compiled_and_warnings(lambda x: x * read())
        assert [first(r) for r in results] == [1.0] * 4
        assert len(said) == bool(says)
        if says:
            assert any(part in said[0] for part in says.split("|"))
        change()
        assert [first(g(X)) for _ in range(4)] == [9.0] * 4


def test_a_cache_keeps_no_symbols():
    @functools.lru_cache(None)
    def mask(n):
        return tc.ones(n) * 2

    _, results, said = compiled_and_warnings(lambda x: x * mask(2))
    assert not said
    assert [first(r) for r in results] == [2.0] * 4
    assert first(mask(2) + 1) == 3.0


def test_a_filled_cache_is_kept():
    @functools.lru_cache(None)
    def mask(n):
        return tc.ones(n) * 2

    kept = mask(2)
    _, results, said = compiled_and_warnings(lambda x: x * mask(2))
    assert not said
    assert first(results[3]) == 2.0
    assert mask(2) is kept


def test_arrays_as_keys_are_left_as_written():
    _, results, said = compiled_and_warnings(lambda x: {x: 1})
    assert "keys" in said[0]
    assert list(results[3]) == [X]


def test_harmless_calls_are_recorded():
    import itertools
    import math
    import operator

    scale = functools.partial(operator.mul, 2.0)
    pairs = {"b": 2, "a": 1}

    def f(x):
        total = x * math.sqrt(4.0)
        for i, (_, n) in zip(itertools.count(), sorted(pairs.items()), strict=False):
            total = total + scale(x) * n * len(f"{i:d}".strip()) * max(1, abs(-i))
        with np.errstate(all="ignore"):
            return functools.reduce(operator.add, [total, x])

    _, results, said = compiled_and_warnings(f)
    assert not said
    assert first(results[3]) == first(f(X))


def test_what_others_do_meanwhile_is_no_part_of_the_function():
    class Noisy:
        def __del__(self):
            time.perf_counter()

    def callback(phase, info):
        time.perf_counter()

    def f(x):
        Noisy()
        return sum((x * float(i) for i in range(2000)), x)

    gc.callbacks.append(callback)
    try:
        leaves = []
        trace = Trace(f, flatten(((X,), {}), leaves), leaves)
        assert len(trace.program.operations) >= 2000
    finally:
        gc.callbacks.remove(callback)


def test_the_profile_function_stays():
    seen = []

    def profile(frame, event, arg):
        seen.append(event)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        tc.compile(lambda x: x * 2)(X)
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(before)
    assert seen


def test_a_profiler_goes_on():
    profiler = cProfile.Profile()

    def after():
        return 1

    with profiler:
        tc.compile(lambda x: x * 2)(X)
        after()
    assert any(getattr(e.code, "co_name", "") == "after" for e in profiler.getstats())
