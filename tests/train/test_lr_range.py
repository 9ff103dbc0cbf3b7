"""The learning-rate range test: what it tries, what it concludes, what it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import DataLoader, Digits
from tinygrad_cnn.errors import ArgumentError, NonFiniteError
from tinygrad_cnn.train import LRRange, lr_range_test


def _quadratic() -> tuple[nn.Linear, list[Any]]:
    """(w - 3)²: plain gradient descent converges below a rate of 1, and diverges above it."""
    model = nn.Linear(1, 1, bias=False, dtype=np.float64)
    model.weight.data = np.zeros((1, 1))
    return model, [(np.ones((1, 1)), np.full((1, 1), 3.0))]


def _rates(*losses: float, start: float = 2.0) -> LRRange:
    return LRRange(np.geomspace(1e-3, 1e3, len(losses)), np.array(losses), start, "SGD")


def test_each_loss_is_what_the_update_with_its_rate_led_to() -> None:
    model, data = _quadratic()
    sgd = tc.optim.SGD(model.parameters(), lr=0.5)
    found = lr_range_test(model, data, low=0.01, high=0.16, steps=5, loss=F.mse_loss, optimizer=sgd)
    np.testing.assert_allclose(found.rates, [0.01, 0.02, 0.04, 0.08, 0.16])
    w, expected = 0.0, []
    for rate in found.rates:
        w -= rate * 2 * (w - 3)
        expected.append((w - 3) ** 2)
    assert found.start == 9.0
    np.testing.assert_allclose(found.losses, expected)
    assert model.weight.data == 0
    assert sgd.param_groups[0]["lr"] == 0.5


def test_it_ends_where_the_loss_explodes_and_says_from_which_rate_on() -> None:
    model, data = _quadratic()
    sgd = tc.optim.SGD(model.parameters(), lr=0.5)
    found = lr_range_test(model, data, low=1e-2, high=1e4, loss=F.mse_loss, optimizer=sgd)
    assert found.losses[-1] > 4 * found.start
    assert found.rates[-1] < 1e3
    assert found.lowest is not None
    assert found.lowest < 1.1  # above 1 it goes up again
    assert found.limit is not None
    assert found.limit > 1
    assert found.suggested == pytest.approx(found.lowest / 10)


def test_a_loss_that_overflows_ends_it_too() -> None:
    model, data = _quadratic()
    model.weight.data += 2.9
    sgd = tc.optim.SGD(model.parameters(), lr=0.5)
    found = lr_range_test(
        model, data, low=1e-3, high=1e300, steps=5, loss=F.mse_loss, optimizer=sgd
    )
    assert np.isinf(found.losses[-1]) or found.losses[-1] > 4 * found.start
    assert np.isfinite(found.smoothed).all()


def test_groups_keep_the_ratio_of_their_rates() -> None:
    model, data = _quadratic()
    model.extra = nn.Parameter(np.ones(1))
    model.forward = lambda x: F.linear(x, model.weight) * model.extra  # type: ignore[method-assign]
    groups = [{"params": [model.weight], "lr": 0.2}, {"params": [model.extra], "lr": 0.1}]
    lrs = []

    class Watched(tc.optim.SGD):
        def step(self) -> None:
            lrs.append([group["lr"] for group in self.param_groups])
            super().step()

    lr_range_test(
        model, data, low=1e-4, high=1e-2, steps=3, loss=F.mse_loss, optimizer=Watched(groups, lr=1)
    )
    np.testing.assert_allclose(lrs[:3], [[1e-4, 5e-5], [1e-3, 5e-4], [1e-2, 5e-3]])


def test_the_same_call_gives_the_same_result_and_the_loader_goes_on() -> None:
    model = nn.Sequential(tc.models.DigitsNet(), nn.Dropout(0.3))
    data = DataLoader(Digits("train"), 32, shuffle=True, seed=0)
    data.epoch = 7
    tc.manual_seed(1)
    first = lr_range_test(model, data, steps=60, high=0.1)
    drawn = tc.default_generator().random()
    tc.manual_seed(1)
    assert tc.default_generator().random() == drawn
    second = lr_range_test(model, data, steps=60, high=0.1)
    np.testing.assert_array_equal(first.losses, second.losses)
    assert data.epoch == 7
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize(
    ("found", "lowest", "limit"),
    [
        (_rates(2.0, 1.9, 1.5, 0.5, 0.8, 1.5, 2.6), 1.0, 1e3),
        (_rates(2.0, 1.9, 1.5, 0.5, 0.8, 1.5, np.inf), 1.0, 1e3),
        (_rates(2.0, 1.9, 1.5, 1.3, 1.0, 0.6, 0.1), 1e3, None),
        (_rates(2.0, 2.1, 2.0, 2.2, 2.4, 3.0, 9.0), None, None),
        (_rates(np.inf, np.inf), None, None),
    ],
)
def test_what_is_concluded(found: LRRange, lowest: float | None, limit: float | None) -> None:
    assert found.lowest == pytest.approx(lowest)
    assert found.limit == pytest.approx(limit)
    assert ("no rate lowers" in str(found)) == (lowest is None)
    assert ("no better than at the start" in str(found)) == (limit is not None)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"low": 0}, "low=0"),
        ({"low": 1, "high": 0.1}, "expected 0 < low < high"),
        ({"high": np.inf}, "high=inf"),
        ({"steps": 1}, "steps=1"),
        ({"loss": None}, "loss=None"),
        ({"optimizer": "sgd"}, "lr_range_test: optimizer='sgd'"),
        ({"data": (np.ones((2, 1)), np.ones((2, 1)))}, "expected batches, got arrays"),
    ],
)
def test_mistakes_are_refused(arguments: dict[str, Any], match: str) -> None:
    model, data = _quadratic()
    with pytest.raises(ArgumentError, match=match):
        lr_range_test(**{"model": model, "data": data, "loss": F.mse_loss, **arguments})


def test_data_without_a_batch_and_a_loss_that_is_nan_from_the_start() -> None:
    class Nothing:
        def __iter__(self) -> Any:
            return iter(())

    model, _ = _quadratic()
    with pytest.raises(ArgumentError, match="gave no batch"):
        lr_range_test(model, Nothing(), loss=F.mse_loss)
    with pytest.raises(NonFiniteError, match="the loss is nan"):
        lr_range_test(model, [(np.full((1, 1), np.nan), np.ones((1, 1)))], loss=F.mse_loss)


# -- the plot ------------------------------------------------------------------------------


def test_the_plot_shows_what_was_found(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = _rates(2.0, 1.9, 1.5, 0.5, 0.8, 1.5, 2.6)
    figure = found.plot(tmp_path / "range.png")
    assert (tmp_path / "range.png").read_bytes().startswith(b"\x89PNG")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == [
        "loss, averaged",
        "at the start",
        "try 1.0e-01",
        "lowest 1.0e+00",
        "too large",
    ]
    assert figure.axes[0].get_xscale() == "log"


@pytest.mark.parametrize("found", [_rates(np.inf, np.inf), _rates(2.0, 2.0, 2.0)])
def test_what_never_falls_can_be_drawn(found: LRRange, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found.plot(tmp_path / "range")
    assert (tmp_path / "range.png").exists()


def test_other_files_and_other_results_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ArgumentError, match=r"ends in \.png"):
        _rates(2.0, 1.0).plot(tmp_path / "range.jpg")
    with pytest.raises(ArgumentError, match="existing folder"):
        _rates(2.0, 1.0).plot(tmp_path / "nowhere" / "range.png")
    with pytest.raises(ArgumentError, match="got list"):
        tc.draw.lr_range([1, 2])  # type: ignore[arg-type]
