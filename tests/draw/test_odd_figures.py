"""Figures and pages of diverged models, odd names and wrong arguments."""

from __future__ import annotations

import os

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn import nn
from tinygrad_cnn._files import replacing, write_text
from tinygrad_cnn.draw._figure import NOT_FINITE, png
from tinygrad_cnn.draw.activations import activations
from tinygrad_cnn.draw.confusion import confusion_matrix
from tinygrad_cnn.draw.conv_demo import conv_demo
from tinygrad_cnn.draw.curves import learning_curves
from tinygrad_cnn.draw.filters import filters
from tinygrad_cnn.draw.receptive_field import receptive_field, receptive_field_box
from tinygrad_cnn.draw.report import TrainingReport
from tinygrad_cnn.draw.saliency import saliency
from tinygrad_cnn.draw.stepper import _mathematics, _stepper, stepper
from tinygrad_cnn.errors import ArgumentError, DtypeError, NonFiniteError, ShapeError

IMAGE = np.linspace(0, 1, 64).reshape(1, 8, 8)


@pytest.fixture
def diverged():
    model = tc.models.DigitsNet(generator=np.random.default_rng(0))
    model.conv1.weight.data[0] = np.nan
    return model


def purple(image):
    """How many pixels have the colour of NaN."""
    from matplotlib.colors import to_rgba

    shown = np.asarray(image.get_array())
    return int(np.isclose(shown, to_rgba(NOT_FINITE)).all(axis=-1).sum())


# -- what is not finite --------------------------------------------------------------------


def test_activations_of_a_diverged_model_say_nan(diverged):
    figure = activations(diverged, IMAGE)
    stage, bars = figure.axes
    assert [text.get_text() for text in bars.texts] == ["NaN"] * 5
    assert len(bars.get_yticklabels()) == 5
    marked = [purple(i) for i in stage.images if np.ndim(i.get_array()) == 3]
    assert marked[0] == 64
    assert marked[-2:] == [64, 10]  # the units of the fully connected layers
    assert png(figure).startswith(b"\x89PNG")


def test_finite_scores_stand_before_nan():
    model = nn.Sequential(nn.Conv2d(1, 3, kernel_size=8), nn.Flatten())
    model[0].weight.data[1] = np.nan
    bars = activations(model, IMAGE, classes=["a", "b", "c"]).axes[1]
    assert [label.get_text() for label in bars.get_yticklabels()][-1] == "b"
    assert [text.get_text() for text in bars.texts][-1] == "NaN"
    assert "NaN" not in [text.get_text() for text in bars.texts][:2]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_filters_count_and_mark_what_is_not_finite(channels, normalize):
    weight = np.ones((3, channels, 2, 2))
    weight[1, 0, 0, 0], weight[2, 0, 1, 1] = np.nan, np.inf
    figure = filters(weight, normalize=normalize)
    axes = figure.axes[0]
    assert f"\n2 of {12 * channels} weights are NaN or infinite" in axes.get_title()
    assert purple(axes.images[1]) == 2
    assert png(figure).startswith(b"\x89PNG")


def test_finite_filters_have_no_marks():
    axes = filters(np.ones((3, 1, 2, 2)), columns=2).axes[0]
    assert len(axes.images) == 1
    assert "NaN" not in axes.get_title()


def test_saliency_of_a_diverged_model_is_refused(diverged):
    with pytest.raises(NonFiniteError, match=r"saliency: the model scores .*nan"):
        saliency(diverged, IMAGE)


@pytest.mark.parametrize("function", [tc.train.accuracy, tc.train.confusion_matrix])
def test_nan_scores_have_no_best_class(function):
    scores = np.array([[1.0, np.nan], [1.0, 0.0], [np.nan, 0.0], [np.nan, 0.0]])
    with pytest.raises(ArgumentError, match=f"{function.__name__}: 2 of 3 examples have a NaN"):
        function(scores, [0, 0, 1, -1])
    function(scores[[1, 3]], [0, -1])  # one that is ignored does not matter
    with pytest.raises(ArgumentError, match="NaN score"):
        confusion_matrix(scores, [0, 0, 1, -1])


def test_curves_name_the_epochs_without_a_point():
    losses = [0.9, float("nan"), float("inf"), float("nan")]
    rows = [{"epoch": i, "loss": loss} for i, loss in enumerate(losses, 1)]
    figure = learning_curves(rows)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["training", "training NaN: epoch 2 and 2 more"]
    assert [line.get_xdata()[0] for line in figure.axes[0].lines[1:-1]] == [2, 3, 4]
    assert png(figure).startswith(b"\x89PNG")


def test_the_best_epoch_is_a_finite_one():
    rows = [
        {"epoch": i, "loss": 1.0, "validation_loss": loss}
        for i, loss in enumerate([float("nan"), 0.5, 0.7], 1)
    ]
    labels = [t.get_text() for t in learning_curves(rows).axes[0].get_legend().get_texts()]
    assert labels[-1] == "best: epoch 2, 0.5000"


def test_the_report_of_a_diverged_model_leaves_out_what_nan_does_not_tell(diverged, tmp_path):
    batch = IMAGE[None].astype(np.float32), np.array([3])
    history = tc.train.History([])
    path = TrainingReport(diverged, [batch]).write(tmp_path / "report.html", history)
    assert path.read_text("utf-8").count("Left out: the model gives NaN scores.") == 2


# -- names ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["\\", "\ud800", "a\\b.weight", "{", "$", "\n", "x" * 500])
def test_any_name_is_a_name(tmp_path, name):
    x = tc.tensor(3.0, requires_grad=True, name=name)
    assert stepper(x * x, tmp_path / "page").stat().st_size > 1000
    assert stepper(x, tmp_path / "page").stat().st_size > 1000


def test_a_formula_that_cannot_be_typeset_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(_mathematics, "latex_name", lambda name: "\\nonsense")
    x = tc.tensor(3.0, requires_grad=True, name="x")
    assert '"math": -1' in stepper(x * x, tmp_path / "page").read_text("utf-8")


def test_long_names_of_classes_are_shortened():
    names = ["a" * 100, "b" * 24]
    matrix = confusion_matrix([[8, 2], [0, 5]], classes=names)
    assert [t.get_text() for t in matrix.axes[0].get_yticklabels()] == ["a" * 23 + "…", "b" * 24]
    figure = activations(tc.models.DigitsNet(), IMAGE, classes=["n" * 100] * 10)
    assert {t.get_text() for t in figure.axes[1].get_yticklabels()} == {"n" * 23 + "…"}


# -- size ----------------------------------------------------------------------------------


def test_a_graph_without_end_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(_stepper, "_MOST", 5)
    y = tc.tensor(0.5, requires_grad=True)
    for _ in range(6):
        last, y = y, tc.tanh(y)
    stepper(last, tmp_path / "five")
    with pytest.raises(ArgumentError, match="6 operations, a page holds at most 5: step through"):
        stepper(y, tmp_path / "six")


# -- paths ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.HTM.gz", "a.svg"])
def test_a_page_ends_in_html(tmp_path, name):
    y = tc.tensor(2.0, requires_grad=True) * 3
    pages = [
        lambda: stepper(y, tmp_path / name),
        lambda: conv_demo(nn.Conv2d(1, 1, kernel_size=2), IMAGE, tmp_path / name),
        lambda: tc.train.fit(
            nn.Linear(2, 2), [(np.eye(2), np.array([0, 1]))], epochs=1, report=tmp_path / name
        ),
    ]
    for page in pages:
        with pytest.raises(ArgumentError, match=r"expected a name that ends in \.html or \.htm"):
            page()
    assert not list(tmp_path.iterdir())
    assert stepper(y, tmp_path / "a.htm").name == "a.htm"
    assert stepper(y, tmp_path / "b.HTML").name == "b.HTML"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (None, "expected the path of a file, got NoneType"),
        (3, "expected the path of a file, got int 3"),
        ("", "'': expected the name of a file"),
        ("a\0b", r"'a\\x00b': no file can be written there: .*null"),
        ("n" * 300, "'n{300}': no file can be written there: File name too long"),
        ("none/a.html", "'none/a.html': expected the name of a file in an existing folder"),
    ],
)
def test_a_path_that_is_none_is_named(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    for write in (
        lambda: stepper(tc.tensor(2.0, requires_grad=True), path),
        lambda: write_text(path, "text"),
    ):
        with pytest.raises(ArgumentError, match=message):
            write()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("refusing", ["open", "replace"])
def test_an_unwritable_folder_names_the_path_that_was_given(tmp_path, monkeypatch, refusing):
    def refuse(*arguments, **settings):
        raise PermissionError(13, "Permission denied", str(arguments[0]))

    if refusing == "open":
        monkeypatch.setattr("tinygrad_cnn._files.open", refuse, raising=False)
    else:
        monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ArgumentError, match=r"a\.txt': no file .* there: Permission denied$"):
        write_text(tmp_path / "a.txt", "text")
    assert not list(tmp_path.iterdir())


def test_a_name_of_the_longest_length_is_written(tmp_path):
    path = tmp_path / ("é" * 125 + ".html")  # 255 bytes
    with replacing(path) as file:
        file.write(b"text")
    assert list(tmp_path.iterdir()) == [path]


# -- arguments -----------------------------------------------------------------------------


def test_arguments_of_the_wrong_kind_are_named(tmp_path):
    model = tc.models.DigitsNet()
    unit = ("conv2", (0, 1, 1))
    row = {"epoch": 1, "loss": "0.5"}
    cases = [
        (DtypeError, "pass what it returns for a batch", lambda: stepper(model, tmp_path / "a")),
        (DtypeError, "filters: expected a Conv2d.*NoneType", lambda: filters(None)),
        (DtypeError, "filters: .*complex128", lambda: filters(np.ones((1, 1, 2, 2)) * 1j)),
        (ArgumentError, "normalize='x'", lambda: filters(model.conv1, normalize="x")),
        (ArgumentError, "label=True", lambda: saliency(model, IMAGE, label=True)),
        (
            ArgumentError,
            "receptive_field: unit=ndarray",
            lambda: receptive_field(model, IMAGE, unit),
        ),
        (ShapeError, "receptive_field: .* a tuple", lambda: receptive_field(model, unit, unit)),
        (ShapeError, "of one image", lambda: receptive_field_box(model, unit, (4, 1, 8, 8))),
        (DtypeError, "loss='0.5', expected a number", lambda: learning_curves([row])),
    ]
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()
    assert receptive_field_box(model, unit, (1, 1, 8, 8)) == (0, 0, 7, 7)
