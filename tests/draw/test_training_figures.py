"""Learning curves and confusion matrices: the numbers in them, wherever these come from."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.draw.confusion import confusion_matrix
from tinygrad_cnn.draw.curves import learning_curves
from tinygrad_cnn.errors import ArgumentError, DataError, DtypeError, ShapeError
from tinygrad_cnn.train import Epoch, History


def epoch(number, loss, accuracy=None, validation_loss=None, validation_accuracy=None):
    return Epoch(number, loss, accuracy, validation_loss, validation_accuracy, 1.0, 10.0, 0.1)


HISTORY = History(
    [
        epoch(1, 2.0, 0.3, 1.9, 0.4),
        epoch(2, 1.0, 0.6, 1.2, 0.7),
        epoch(3, 0.5, 0.9, 1.3, 0.6),
    ]
)


def curves(axes):
    return {line.get_label(): line.get_xydata().tolist() for line in axes.lines}


# -- learning curves -----------------------------------------------------------------------


def test_curves_are_the_history():
    loss, accuracy = learning_curves(HISTORY).axes
    assert curves(loss)["training"] == [[1, 2.0], [2, 1.0], [3, 0.5]]
    assert curves(loss)["validation"] == [[1, 1.9], [2, 1.2], [3, 1.3]]
    assert curves(loss)["best: epoch 2, 1.2000"] == [[2, 1.2]]
    assert curves(accuracy)["training"] == [[1, 30.0], [2, 60.0], [3, 90.0]]
    assert curves(accuracy)["best: epoch 2, 70.00 %"] == [[2, 70.0]]
    assert accuracy.get_ylabel() == "accuracy in %"


def test_the_history_may_come_as_dicts():
    rows = [asdict(row) for row in HISTORY]
    for given in (rows, iter(rows), list(HISTORY)):
        panels = learning_curves(given).axes
        expected = learning_curves(HISTORY).axes
        assert [curves(axes) for axes in panels] == [curves(axes) for axes in expected]


def test_the_last_run_of_a_log_is_shown(tmp_path, rng):
    log = tmp_path / "log.jsonl"
    data = [(rng.standard_normal((8, 4)), rng.integers(0, 3, 8))]
    for epochs in (3, 2):
        model = tc.nn.Linear(4, 3, dtype=np.float64, generator=rng)
        history = tc.train.fit(model, data, epochs=epochs, validation=data, log=log)
    for path in (log, str(log)):
        loss = learning_curves(path).axes[0]
        assert curves(loss)["training"] == [[row.epoch, row.loss] for row in history]


def test_without_validation_nothing_is_best():
    figure = learning_curves([epoch(1, 2.0, 0.5), epoch(2, 1.0, 0.75)])
    assert [list(curves(axes)) for axes in figure.axes] == [["training"], ["training"]]


def test_without_accuracy_there_is_one_panel():
    figure = learning_curves([epoch(1, 2.0, None, 1.0), epoch(2, 1.0, None, 0.5)])
    assert len(figure.axes) == 1
    assert curves(figure.axes[0])["best: epoch 2, 0.5000"] == [[2, 0.5]]


def test_a_single_epoch_is_a_point():
    figure = learning_curves([{"epoch": 1, "loss": 0.5}])
    figure.draw_without_rendering()
    assert curves(figure.axes[0]) == {"training": [[1, 0.5]]}
    ticks = figure.axes[0].get_xticks()
    assert all(float(tick).is_integer() for tick in ticks)


def test_a_long_run_has_whole_epochs_on_its_axis():
    figure = learning_curves([epoch(n, 1 / n) for n in range(1, 400)])
    figure.draw_without_rendering()
    assert all(float(tick).is_integer() for tick in figure.axes[0].get_xticks())


@pytest.mark.parametrize(
    ("history", "message"),
    [
        (History(), "no finished epoch"),
        ([], "no finished epoch"),
        (3, "got int"),
        ({"epoch": 1, "loss": 2.0}, "got dict"),
        ([{"epoch": 1}], r"\{'epoch': 1\} is no epoch with its number and loss"),
        ([1.0, 0.5], "1.0 is no epoch"),
        ("nowhere.jsonl", "there is no log 'nowhere.jsonl'"),
    ],
)
def test_what_is_no_history_is_refused(history, message):
    with pytest.raises(ArgumentError, match=message):
        learning_curves(history)


@pytest.mark.parametrize("line", ["epoch 1: 0.5", "[1, 2]", '{"loss": 1}', "\x00\xff"])
def test_what_is_no_log_is_refused(line, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(json.dumps({"kind": "epoch", "epoch": 1, "loss": 1.0}) + "\n" + line + "\n")
    with pytest.raises(DataError, match="line 2 is none of a log"):
        learning_curves(log)


# -- confusion matrix ----------------------------------------------------------------------


def texts(axes):
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t.get_text()
            for t in axes.texts}  # fmt: skip


def test_counts_and_shares_are_those_of_the_metric(rng):
    scores, labels = rng.standard_normal((200, 10)), rng.integers(0, 10, 200)
    labels[:5] = -100
    counts = tc.train.confusion_matrix(scores, labels)
    axes = confusion_matrix(scores, labels).axes[0]
    shares = np.asarray(axes.images[0].get_array())
    assert np.allclose(shares, counts / counts.sum(1, keepdims=True))
    expected = {
        (i, j): f"{counts[i, j]}\n{100 * shares[i, j]:.1f} %"
        for i, j in np.ndindex(10, 10)
        if counts[i, j]
    }
    assert texts(axes) == expected
    assert axes.get_title() == f"{100 * np.trace(counts) / 195:.1f} % of 195 right"


def test_a_matrix_is_taken_as_it_is():
    counts = [[8, 2], [1, 9]]
    axes = confusion_matrix(counts, classes=["cat", "$dog$"]).axes[0]
    assert np.allclose(np.asarray(axes.images[0].get_array()), [[0.8, 0.2], [0.1, 0.9]])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", r"\$dog\$"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")


@pytest.mark.parametrize("classes", [2, 10, 20])
def test_text_fits_its_field(classes):
    figure = confusion_matrix(12345 * np.eye(classes, dtype=int))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    field = axes.transData.transform([(0, 0), (1, 1)])
    width, height = np.abs(field[1] - field[0])
    for text in axes.texts:
        box = text.get_window_extent()
        assert box.width < width
        assert box.height < height


def test_text_contrasts_with_its_field():
    """At least 4.5, as the Web Content Accessibility Guidelines ask for small text."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], linear))

    from matplotlib.colors import to_rgba

    for first in range(1, 100, 11):  # shares of 1 to 99 per cent, 11 a figure
        counts = [np.roll([n, 100 - n, *[0] * 9], n) for n in range(first, first + 11)]
        axes = confusion_matrix(np.array(counts)).axes[0]
        image = axes.images[0]
        colours = image.to_rgba(image.get_array())
        for (row, column), text in zip(texts(axes), axes.texts, strict=True):
            ink, field = luminance(to_rgba(text.get_color())), luminance(colours[row, column])
            low, high = sorted((field, ink))
            assert (high + 0.05) / (low + 0.05) >= 4.5, text.get_text()


def test_a_hundred_classes_have_no_text_but_some_names():
    counts = np.eye(100, dtype=int)
    figure = confusion_matrix(counts, classes=[f"class {n}" for n in range(100)])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert not axes.texts
    names = [label for label in axes.get_yticklabels() if label.get_text()]
    boxes = sorted((label.get_window_extent().y0, label.get_window_extent().y1) for label in names)
    assert len(boxes) == 50
    assert all(above[0] >= below[1] for below, above in pairwise(boxes))


def test_a_class_without_examples_is_left_grey():
    image = confusion_matrix([[3, 0], [0, 0]]).axes[0].images[0]
    assert np.ma.getmaskarray(image.get_array()).tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (([[1, 2, 3]],), {}, ShapeError, r"shape \(1, 3\), expected counts"),
        ((np.ones((4, 4)),), {}, DtypeError, "scores need labels"),
        (([[1, -1], [0, 1]],), {}, ArgumentError, "a count of -1"),
        (([[0, 0], [0, 0]],), {}, ArgumentError, "nothing was counted"),
        ((np.zeros((0, 0), int),), {}, ArgumentError, "nothing was counted"),
        (([[1, 2], [3, 4]],), {"classes": ["a"]}, ArgumentError, "1 names in classes, for 2"),
        ((np.ones((2, 3)), [0, 3]), {}, ArgumentError, "label 3"),
        ((np.ones((2, 3)), [0.0, 1.0]), {}, ShapeError, "float64 labels"),
        ((np.ones((2, 3)), [0]), {}, ShapeError, r"labels \(1,\)"),
    ],
)
def test_what_is_no_confusion_is_refused(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        confusion_matrix(*arguments, **settings)
