"""The page about a run, from real runs: images, features, regression, and runs that end early."""

from __future__ import annotations

import base64
import html
import re
import shutil
import subprocess
import sys
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import ArrayDataset, DataLoader, Digits, RandomShift
from tinygrad_cnn.draw import _examples
from tinygrad_cnn.draw._examples import examine
from tinygrad_cnn.draw.filters import filters
from tinygrad_cnn.draw.report import TrainingReport
from tinygrad_cnn.errors import ArgumentError, MissingExtraError
from tinygrad_cnn.train import History, fit


def sections(path):
    """The parts of a page by their titles, and what is above them under ''."""
    text = path.read_text("utf-8")
    first, *parts = re.split(r"<section>\s*<h2>", text[text.index("<h1>") :])
    return {"": first} | {part.partition("</h2>")[0]: part for part in parts}


def words(part):
    """The text of a part of a page, without tags."""
    return html.unescape(re.sub(r"<[^>]*>", " ", part))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A model, its validation data and the page about its run."""
    path = tmp_path_factory.mktemp("run") / "report.html"
    model = tc.models.DigitsNet(generator=np.random.default_rng(0))
    data = DataLoader(Digits("train"), 32, shuffle=True, seed=0)
    test = DataLoader(Digits("test"), 100)
    optimizer = tc.optim.Adam(model.parameters(), lr=0.01)
    history = fit(model, data, epochs=2, validation=test, optimizer=optimizer, report=path)
    return model, history, path


@pytest.fixture
def features(rng):
    return [(rng.standard_normal((8, 4)).astype(np.float32), rng.integers(0, 3, 8))]


# -- what the page says --------------------------------------------------------------------


def test_the_page_has_every_section_and_needs_nothing_else(digits):
    _, _, path = digits
    text = path.read_text("utf-8")
    assert list(sections(path)) == [
        "", "Learning curves", "Confusion matrix", "Worst mistakes", "Filters", "Activations",
        "Graph", "Layers",
    ]  # fmt: skip
    assert "Left out" not in text
    assert not re.findall(r"(?:src|href)=[\"'](?!data:)", text)
    assert path.stat().st_size < 1_000_000
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_the_facts_are_those_of_the_history(digits):
    _, history, path = digits
    said = words(sections(path)[""])
    assert f"{history.best.validation_loss:.4f}" in said
    assert f"{100 * history.best.validation_accuracy:.2f} %" in said
    for fact in ("DigitsNet", "13,706", "cross_entropy", "Adam", "best epoch"):
        assert fact in said


def test_the_worst_mistakes_are_those_with_the_highest_losses(digits):
    model, _, path = digits
    images, labels = Digits("test").batch(np.arange(359))
    with tc.no_grad():
        scores = model(tc.tensor(images))
    losses = F.cross_entropy(scores, labels, reduction="none").numpy()
    taken = scores.numpy().argmax(1)
    wrong = np.flatnonzero(taken != labels)
    expected = wrong[np.argsort(-losses[wrong])][:24]
    part = sections(path)["Worst mistakes"]
    assert f"{len(wrong)} mistakes among all 359 examples of the validation data" in words(part)
    cards = re.findall("<figure>(.*?)</figure>", part)
    assert len(cards) == len(expected)
    probabilities = F.softmax(scores, -1).numpy()
    for card, i in zip(cards, expected, strict=True):
        said = words(card)
        assert re.search(rf"{labels[i]} +taken for +{taken[i]}\b", said)
        assert f"{100 * probabilities[i].max():.1f} %, loss {losses[i]:.2f}" in said
        assert f"example {i}" in said


def test_pictures_of_mistakes_are_the_images(digits):
    _, _, path = digits
    part = sections(path)["Worst mistakes"]
    [uri, number] = re.search(r'base64,([^"]*)".*?example (\d+)', part).groups()
    shown = imread(BytesIO(base64.b64decode(uri)))
    image, _ = Digits("test")[int(number)]
    assert np.allclose(shown[..., 0], image[0], atol=1 / 255)


def test_the_page_is_the_same_each_time(digits, tmp_path):
    model, history, _ = digits
    pages = []
    for _ in range(2):
        test = DataLoader(Digits("test"), 100)
        pages.append(TrainingReport(model, test).write(tmp_path / "page", history).read_text())
    assert (tmp_path / "page.html").exists()
    assert pages[0] == pages[1]


def test_class_names_are_text(rng, tmp_path):
    images, labels = rng.random((12, 1, 4, 4), np.float32), np.arange(12) % 3
    data = ArrayDataset(images, labels, classes=["<script>", "a&b", "$x$"])
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    fit(model, DataLoader(data, 4), epochs=1, report=tmp_path / "r.html")
    parts = sections(tmp_path / "r.html")
    assert not any("<script>" in parts[name] for name in ("Worst mistakes", "Activations"))
    assert "&lt;script&gt;" in parts["Worst mistakes"]
    assert "$x$" in parts["Worst mistakes"]


def test_without_graphviz_the_graph_is_text(features, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    model = nn.Linear(4, 3)
    fit(model, features, epochs=1, report=tmp_path / "r.html")
    part = sections(tmp_path / "r.html")["Graph"]
    assert "<details>" in part
    assert "digraph" in words(part)


# -- other models, data and losses ---------------------------------------------------------


def test_a_model_of_features_has_no_pictures_of_images(features, tmp_path):
    fit(nn.Linear(4, 3), features, epochs=1, report=tmp_path / "r.html")
    parts = sections(tmp_path / "r.html")
    assert "Left out: the model has no Conv2d." in parts["Filters"]
    assert "Left out: the inputs are no images." in parts["Activations"]
    assert "On all 8 examples of the training data." in parts["Confusion matrix"]
    assert "taken for" in parts["Worst mistakes"]
    assert "last epoch" in parts[""]


def test_regression_has_a_table_and_no_confusion(rng, tmp_path):
    x = rng.standard_normal((16, 4))
    data = [(x, x @ np.ones((4, 1)))]
    model = nn.Linear(4, 1, dtype=np.float64, generator=rng)
    fit(model, data, epochs=1, loss=F.mse_loss, report=tmp_path / "r.html")
    parts = sections(tmp_path / "r.html")
    assert "Left out: the targets are no classes." in parts["Confusion matrix"]
    output = model(tc.tensor(x)).numpy()
    worst = int(np.argmax((output - data[0][1]) ** 2))
    row = re.search(r"<tr><td>(.*?)</tr>", parts["Worst mistakes"])[1].split("</td><td>")
    assert row[0] == str(worst)
    assert row[1:3] == [
        f"{(output - data[0][1])[worst, 0] ** 2:.4g}",
        f"{data[0][1][worst, 0]:.4g}",
    ]


def test_labels_to_ignore_are_no_mistakes(rng):
    scores = np.array([[5.0, 0], [5.0, 0], [0, 5.0]])
    found = examine(nn.Identity(), [(scores, np.array([-100, 1, 1]))], F.cross_entropy)
    assert [example.number for example in found.worst] == [1]
    assert found.confusion.tolist() == [[0, 0], [1, 1]]
    assert found.first[1].tolist() == [1]


class Sum(nn.Module):
    """Takes a pair of arrays."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, pair):
        return self.linear(pair[0] + pair[1])


def test_inputs_that_are_no_array(features, tmp_path):
    data = [((x, x), y) for x, y in features]
    fit(Sum(), data, epochs=1, report=tmp_path / "r.html")
    parts = sections(tmp_path / "r.html")
    for name in ("Activations", "Graph", "Layers"):
        assert "Left out: the inputs are no array." in parts[name]
    assert "among all 8 examples" in parts["Worst mistakes"]


def test_outputs_that_are_no_array(features, tmp_path):
    class Pair(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    def loss(outputs, targets):
        return F.cross_entropy(outputs[0], targets)

    fit(Pair(4, 3), features, epochs=1, loss=loss, report=tmp_path / "r.html")
    parts = sections(tmp_path / "r.html")
    assert "Left out: the model returns no array." in parts["Worst mistakes"]
    assert "<img" in parts["Graph"]


def test_a_dense_target_for_every_pixel(rng, tmp_path):
    data = [(rng.random((2, 1, 6, 6)).astype(np.float32), rng.integers(0, 3, (2, 6, 6)))]
    fit(nn.Conv2d(1, 3, 3, padding=1), data, epochs=1, report=tmp_path / "r.html")
    parts = sections(tmp_path / "r.html")
    assert "all 2 examples" in parts["Confusion matrix"]
    assert parts["Worst mistakes"].count("<tr>") == 3


def test_a_model_without_mistakes(tmp_path):
    x, y = np.eye(3, dtype=np.float32), np.arange(3)
    model = nn.Linear(3, 3)
    model.weight.data[...] = 9 * np.eye(3)
    fit(model, [(x, y)], epochs=1, report=tmp_path / "r.html")
    assert "None among all 3 examples" in sections(tmp_path / "r.html")["Worst mistakes"]


def test_only_the_first_examples_of_much_data_are_looked_at(rng, monkeypatch):
    monkeypatch.setattr(_examples, "_MOST", 10)
    data = DataLoader((rng.random((40, 4), np.float32), rng.integers(0, 3, 40)), 6)
    found = examine(nn.Linear(4, 3), data, F.cross_entropy)
    assert (found.count, found.is_all) == (12, False)
    report = TrainingReport(nn.Linear(4, 3), data)
    assert report._examined(found) == "the first 12 examples of the training data"


# -- the run -------------------------------------------------------------------------------


def test_a_report_changes_nothing_in_the_run(tmp_path):
    """Nor in the next one: shuffling, dropout and augmentation go on as without a report."""

    def run(report):
        tc.manual_seed(0)
        model = nn.Sequential(tc.models.DigitsNet(), nn.Dropout(0.2))
        images = Digits("train").subset(np.arange(96))
        data = DataLoader(images, 32, shuffle=True, transform=RandomShift(1), seed=3)
        for _ in range(2):
            fit(model, data, epochs=1, report=report)
        return {key: value.tobytes() for key, value in model.state_dict().items()}, data.epoch

    assert run(None) == run(tmp_path / "r.html")


def test_filters_before_and_after_are_those_of_the_run(features, tmp_path, monkeypatch):
    drawn = []

    def draw(weight):
        drawn.append(weight.numpy().copy())
        return filters(weight)

    monkeypatch.setattr("tinygrad_cnn.draw.report.filters", draw)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    before = model[0].weight.numpy().copy()
    data = [(np.ones((2, 1, 4, 4), np.float32), np.array([0, 2]))]
    optimizer = tc.optim.SGD(model.parameters(), lr=0.1)
    fit(model, data, epochs=1, optimizer=optimizer, report=tmp_path / "r.html")
    assert np.array_equal(drawn[0], before)
    assert np.array_equal(drawn[1], model[0].weight.numpy())
    assert not np.array_equal(drawn[0], drawn[1])


def interrupt(history, model):
    raise KeyboardInterrupt


def test_a_run_that_is_interrupted_is_reported_too(features, tmp_path):
    history = fit(
        nn.Linear(4, 3), features, epochs=9, callbacks=[interrupt], report=tmp_path / "r.html"
    )
    assert history.interrupted
    parts = sections(tmp_path / "r.html")
    assert "1, then interrupted" in words(parts[""])
    assert "<img" in parts["Learning curves"]


def test_a_run_without_a_finished_epoch_is_reported_too(features, tmp_path):
    class Interrupted(nn.Linear):
        def forward(self, x):
            if self.training:
                raise KeyboardInterrupt
            return super().forward(x)

    fit(Interrupted(4, 3), features, epochs=9, report=tmp_path / "r.html")
    parts = sections(tmp_path / "r.html")
    assert "0, then interrupted" in words(parts[""])
    assert "no finished epoch" in parts["Learning curves"]
    assert "examples of the training data" in parts["Confusion matrix"]


def test_without_matplotlib_no_run_starts(features, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "matplotlib.figure", raising=False)
    model = nn.Linear(4, 3)
    before = model.state_dict()
    with pytest.raises(MissingExtraError, match=r"tinygrad-cnn\[plot\]"):
        fit(model, features, epochs=1, report=tmp_path / "r.html", log=tmp_path / "log")
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["no/such/folder.html", ".", True])
def test_a_report_that_cannot_be_written_is_refused_before_the_run(name, features, tmp_path):
    model = nn.Linear(4, 3)
    before = model.state_dict()
    with pytest.raises(ArgumentError, match="is no file in an existing folder"):
        fit(model, features, epochs=1, report=name if name is True else tmp_path / name)
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())


def test_an_error_in_the_report_does_not_lose_the_run(features, tmp_path):
    class Moody(nn.Linear):
        def forward(self, x):
            if not self.training:
                raise RuntimeError("not in this mood")
            return super().forward(x)

    with pytest.warns(RuntimeWarning, match=r"run is complete.*not in this mood") as caught:
        history = fit(Moody(4, 3), features, epochs=2, report=tmp_path / "r.html")
    assert len(history) == 2
    assert caught[0].filename == __file__
    assert not list(tmp_path.iterdir())


def test_a_run_without_report_loads_no_matplotlib():
    script = (
        "import sys, numpy as np, tinygrad_cnn as tc;"
        "tc.train.fit(tc.nn.Linear(2, 2), [(np.eye(2), np.arange(2))], epochs=1);"
        "print('matplotlib' in sys.modules, 'tinygrad_cnn.draw' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert found.stdout.split() == [b"False", b"False"]


def test_what_is_no_model_is_refused(features):
    with pytest.raises(ArgumentError, match="TrainingReport: expected a model"):
        TrainingReport(lambda x: x, features)


# -- in the browser ------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_every_picture(digits, browser, scheme):
    _, _, path = digits
    browser.colour_scheme(scheme)
    browser.open(path)
    assert browser.js("document.images.length") > 24
    assert browser.js("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.js("document.documentElement.scrollWidth <= window.innerWidth")
    assert "mistakes among all 359 examples" in browser.text("body")
    browser.assert_clean()


@pytest.mark.browser
def test_the_page_fits_a_telephone(digits, browser):
    _, _, path = digits
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.open(path)
        assert browser.js("document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        size |= {"width": 1280}
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.assert_clean()


def test_the_class_serves_a_loop_of_ones_own(features, tmp_path):
    model = nn.Linear(4, 3)
    report = TrainingReport(model, features, validation=features)
    path = report.write(tmp_path / "mine.html", History(), {"parameters": 15, "optimizer": "mine"})
    said = words(sections(path)[""])
    assert "mine" in said
    assert "15" in said
    assert "validation data" in words(sections(path)["Confusion matrix"])
