"""The ledger: parts that add up to the gradient bit by bit, and what wrong walks would get."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import functional as F
from tinygrad_cnn.check.ledger import Ledger, ledger


def _shared(rng: np.random.Generator) -> tuple[tc.Tensor, tc.Tensor, tc.Tensor]:
    """A float32 variable with three uses, an intermediate result with two, and a number."""
    x = tc.tensor(rng.normal(size=(3, 4)).astype(np.float32), requires_grad=True, name="x")
    h = F.relu(x * 2.0)
    return x, h, (h * F.sigmoid(h) * x).sum() + (x**3).sum() / 7.0


def _walks(book: Ledger) -> dict[str, float]:
    return {walk.name: float(walk.gradient) for walk in book.walks}


def test_contributions_add_up_to_the_gradient_of_backward_to_the_last_bit(
    rng: np.random.Generator,
) -> None:
    for seed in range(20):
        x, _, y = _shared(np.random.default_rng(seed))
        book = ledger(y, x)
        y.backward()
        total = list(itertools.accumulate(entry.gradient for entry in book.contributions))[-1]
        assert total.dtype == np.float32
        assert total.tobytes() == book.gradient.tobytes() == x.grad.data.tobytes()
        assert len(book.contributions) == 3


def test_the_order_of_adding_is_what_makes_it_exact() -> None:
    x = tc.tensor(1.0, requires_grad=True)
    book = ledger(1e16 * x + 1.0 * x - 1e16 * x, x)
    parts = [float(entry.gradient) for entry in book.contributions]
    assert parts == [-1e16, 1.0, 1e16]
    assert book.gradient == (-1e16 + 1.0) + 1e16 != -1e16 + 1e16 + 1.0


def test_contributions_say_which_use_they_are_of(rng: np.random.Generator) -> None:
    with tc.scope("head"):
        x = tc.tensor(rng.normal(size=3), requires_grad=True)
        y = F.softmax(x).sum() - x.sum()  # both uses
    entries = ledger(y, x).contributions
    assert [(e.operation, e.argument, e.scope) for e in entries] == [
        ("sum", 0, "head"),
        ("subtract", 0, "head/softmax"),
    ]
    assert [e.source.text.endswith("# both uses") for e in entries if e.source] == [True, True]
    assert [e.met for e in entries] == sorted({e.met for e in entries})


def test_a_use_on_both_sides_is_two_contributions() -> None:
    x = tc.tensor(3.0, requires_grad=True)
    entries = ledger(x * x, x).contributions
    assert [(e.argument, float(e.gradient)) for e in entries] == [(0, 3.0), (1, 3.0)]


def test_an_intermediate_result_has_a_ledger_and_so_has_the_result_itself(
    rng: np.random.Generator,
) -> None:
    _, h, y = _shared(rng)
    book = ledger(y, h)
    [expected] = tc.gradients(y, [h], retain_graph=True)
    assert book.gradient.tobytes() == expected.data.tobytes()
    [entry] = ledger(y, y).contributions
    assert (entry.operation, float(entry.gradient)) == ("upstream", 1.0)


def test_upstream_weights_the_result(rng: np.random.Generator) -> None:
    x = tc.tensor(rng.normal(size=3), requires_grad=True)
    weights = rng.normal(size=3)
    assert np.array_equal(ledger(x + x, x, weights).gradient, 2 * weights)
    with pytest.raises(tc.errors.ShapeError, match="needs the gradient of that shape"):
        ledger(x + x, x)


def test_walks_that_do_not_wait_lose_what_comes_later() -> None:
    x = tc.tensor(3.0, requires_grad=True)
    h = x * 2.0  # 6
    book = ledger(h + h * h, x)
    assert book.gradient == 26.0
    assert _walks(book) == {"depth-first": 2.0, "breadth-first": 2.0, "overwriting": 12.0}
    reasons = [walk.reason for walk in book.walks]
    assert all("passes its gradient on with 1 of 3" in reason for reason in reasons[:2])
    assert "keeps the last of 3" in reasons[2]


def test_depth_first_and_breadth_first_go_wrong_in_different_graphs() -> None:
    x = tc.tensor(1.0, requires_grad=True)
    h = x * 2.0
    shallow = h * 3.0
    deep = ((h * 5.0) * 1.0) * 1.0
    deep_first, shallow_first = _walks(ledger(deep + shallow, x)), _walks(ledger(shallow + deep, x))
    assert (deep_first["depth-first"], deep_first["breadth-first"]) == (10.0, 6.0)
    assert (shallow_first["depth-first"], shallow_first["breadth-first"]) == (6.0, 6.0)


def test_every_walk_is_right_on_a_chain(rng: np.random.Generator) -> None:
    x = tc.tensor(rng.normal(size=4), requires_grad=True)
    book = ledger(F.tanh(x * 2.0).sum(), x)
    assert [(walk.error, walk.reason) for walk in book.walks] == [(0.0, "")] * 3


def test_a_result_that_does_not_use_the_variable_has_an_empty_ledger() -> None:
    x, other = (tc.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    book = ledger(other.sum(), x)
    assert (book.contributions, book.walks) == ((), ())
    assert not book.gradient.any()
    assert "the gradient is zero" in str(book)


def test_nothing_is_changed(rng: np.random.Generator) -> None:
    x, h, y = _shared(rng)
    h.retain_grad()
    book = ledger(y, x)
    assert x.grad is None
    assert h.grad is None
    book.contributions[0].gradient[...] = 0.0  # the reader's own copy
    again = ledger(y, x)
    assert again.gradient.tobytes() == book.gradient.tobytes()
    y.backward()  # the graph is still there
    assert x.grad.data.tobytes() == book.gradient.tobytes()


def test_a_long_chain_needs_no_recursion() -> None:
    x = h = tc.tensor(1.0, requires_grad=True)
    for _ in range(5000):
        h = h + 1.0
    assert ledger(h, x).gradient == 1.0


def test_what_was_not_recorded_or_is_freed_is_an_error() -> None:
    x = tc.tensor(1.0, requires_grad=True)
    y = x * x
    with pytest.raises(tc.errors.GraphError, match="x requires no gradient"):
        ledger(y, tc.tensor(1.0))
    with pytest.raises(tc.errors.GraphError, match="does not require a gradient"):
        ledger(tc.tensor(1.0), x)
    y.backward()
    with pytest.raises(tc.errors.GraphError, match="freed by an earlier backward"):
        ledger(y, x)


def test_the_report_shows_the_sum_and_the_wrong_numbers_beside_the_right_one() -> None:
    x = tc.tensor([1.0, 3.0], requires_grad=True, name="x")
    h = x * 2.0
    book = ledger((h + h * h).sum(), x)
    assert book.shown == (1,)  # where the walks are most wrong
    text = str(book)
    assert "ledger of the gradient of x" in text
    for part in ("sum so far", "backprop: 26", "depth-first: 2, wrong", "overwriting: 12, wrong"):
        assert part in text
    assert "<table>" in book._repr_html_()
