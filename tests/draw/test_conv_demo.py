"""The page that steps through a convolution: what it says is what the engine computes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.draw.conv_demo import conv_demo
from tinygrad_cnn.errors import ArgumentError, DtypeError, ShapeError


@pytest.fixture
def notes(shared):
    """The convolution whose numbers the course notes print."""
    data = json.loads((shared / "fixtures" / "conv_demo.json").read_text())
    padded, weight, bias = (np.array(data[name]) for name in ("x_padded", "w", "b"))
    layer = SimpleNamespace(weight=weight, bias=bias, stride=data["stride"], padding=1)
    printed = np.array(data["out_printed"])
    return SimpleNamespace(layer=layer, x=padded[:, 1:-1, 1:-1], padded=padded, printed=printed)


@pytest.fixture
def shown(browser, tmp_path):
    """Opens the demo of a layer and an image."""

    def show(layer, x, fragment=""):
        browser.open(conv_demo(layer, x, tmp_path / "demo"), fragment)
        return browser

    return show


def integer_layer(**settings):
    """Weights 0, 1, 2, ... for 1 channel and 2 filters of 2 x 2, unless told otherwise."""
    weight = np.arange(8).reshape(2, 1, 2, 2)
    return SimpleNamespace(**{"weight": weight, "bias": np.array([10, -10])} | settings)


def cells(browser, css):
    """The texts of all cells that a selector finds, in the order of the page."""
    return browser.js(f"[...document.querySelectorAll({css!r})].map(cell => cell.textContent)")


def numbers(browser, css):
    return [float(text) for text in cells(browser, css)]


# -- the numbers ---------------------------------------------------------------------------


@pytest.mark.browser
def test_the_course_notes_come_out_as_printed(shown, notes):
    browser = shown(notes.layer, notes.x)
    assert browser.js("demo.model.steps") == 18
    window_sums = []
    for step, ((k, row, column), printed) in enumerate(np.ndenumerate(notes.printed), 1):
        assert browser.text("#counter") == f"{step} / 18"
        assert cells(browser, "#outputs td") == [str(number) for number in notes.printed.flat]
        assert cells(browser, "#outputs td.marked") == [str(printed)]
        assert browser.text("#sum .result") == f"{printed}\no[{k}, {row}, {column}]"
        window = notes.padded[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3]
        assert cells(browser, "#channels .input .marked") == [str(x) for x in window.flat]
        weights = notes.layer.weight[k]
        assert cells(browser, "#channels .filter .marked") == [str(w) for w in weights.flat]
        products = [f"{x}×{w}" for x, w in zip(window.flat, weights.flat, strict=True)]  # noqa: RUF001
        assert cells(browser, ".product td") == products
        sums = (window * weights).sum(axis=(1, 2))
        assert cells(browser, ".products > span") == [f"= {number}" for number in sums]
        assert cells(browser, ".bias.current") == [f"b[{k}] = {notes.layer.bias[k]}"]
        window_sums.append(sums.sum() + notes.layer.bias[k])
        browser.keys("ArrowRight")
    assert window_sums == list(notes.printed.flat)
    assert browser.text("#counter") == "1 / 18"


@pytest.mark.browser
def test_the_sum_is_written_out_with_its_bias(shown, notes):
    browser = shown(notes.layer, notes.x, "step=5")
    terms = ["6", "x[0] · w[0, 0]", "-", "3", "x[1] · w[0, 1]", "+", "0", "x[2] · w[0, 2]"]
    assert browser.text("#sum").splitlines() == [*terms, "+", "1", "b[0]", "=", "4", "o[0, 1, 1]"]
    assert browser.js("document.getElementById('said').textContent") == (
        "Output number 5 is 6 + -3 + 0 + 1 = 4"
    )


@pytest.mark.browser
def test_the_matrices_are_those_of_im2col(shown, notes):
    browser = shown(notes.layer, notes.x)
    x_col = tc.im2col(notes.padded[None].astype(float), 3, stride=2)
    w_row = notes.layer.weight.reshape(2, 27)
    for step in (1, 9, 14):
        browser.js(f"demo.go({step})")
        filter_, position = divmod(step - 1, 9)
        assert numbers(browser, "#x_col td") == list(x_col.flat)
        assert numbers(browser, "#x_col .marked") == list(x_col[:, position])
        assert numbers(browser, "#w_row td") == list(w_row.flat)
        assert numbers(browser, "#w_row .marked") == list(w_row[filter_])
        assert numbers(browser, "#y td") == list(notes.printed.flat)
        assert numbers(browser, "#y .marked") == [notes.printed[filter_].flat[position]]


@pytest.mark.browser
@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"kernel_size": 3}, (1, 5, 5)),
        ({"kernel_size": (2, 3), "stride": (2, 1), "padding": (0, 2)}, (2, 7, 4)),
        ({"kernel_size": 3, "dilation": (2, 1), "padding": 1, "bias": False}, (2, 6, 5)),
        ({"kernel_size": 2, "groups": 2, "stride": 2}, (4, 5, 5)),
        ({"kernel_size": 1, "groups": 4}, (4, 2, 3)),
        ({"kernel_size": 5}, (1, 28, 28)),
        ({"kernel_size": 5, "padding": 2}, (3, 32, 32)),
        ({"kernel_size": 3, "padding": "same", "dilation": 2}, (1, 5, 6)),
        ({"kernel_size": 2, "padding": "full"}, (1, 3, 4)),
    ],
)
def test_each_sum_of_the_page_is_the_number_of_the_engine(shown, rng, settings, shape):
    layer = nn.Conv2d(shape[0], 4, **settings, generator=rng)
    x = rng.standard_normal(shape)
    browser = shown(layer, x)
    weight, bias = (p if p is None else p.numpy().astype(float) for p in (layer.weight, layer.bias))
    geometry = (layer.stride, layer.padding, layer.dilation, layer.groups)
    expected = F.conv2d(x[None], weight, bias, *geometry).numpy()[0]
    sums = browser.js("range(demo.model.steps, 1).map(step => demo.model.dotProduct(step).sum)")
    np.testing.assert_allclose(sums, expected.ravel(), rtol=1e-12, atol=1e-14)
    for step in (1, expected.size // 2, expected.size):
        browser.js(f"demo.go({step})")
        assert browser.js("demo.now.output") == expected.flat[step - 1]
        x_col = tc.im2col(
            np.pad(x, [(0, 0), *((p, p) for p in browser.js("demo.model.padding"))])[None],
            layer.kernel_size,
            layer.stride,
            layer.dilation,
        )
        filter_, position = divmod(step - 1, expected[0].size)
        rows = x_col.reshape(layer.groups, -1, x_col.shape[1])[filter_ // (4 // layer.groups)]
        column = f"range(demo.model.taps).map(tap => demo.model.xCol({filter_}, tap, {position}))"
        assert browser.js(column) == list(rows[:, position])


@pytest.mark.browser
def test_only_the_channels_of_the_group_are_multiplied(shown):
    layer = integer_layer(groups=2)
    browser = shown(layer, np.arange(18).reshape(2, 3, 3), "step=5")
    assert cells(browser, "#channels .unseen figcaption") == ["x[0]"]
    assert cells(browser, "#channels .input .marked") == ["9", "10", "12", "13"]
    assert cells(browser, ".product td") == ["9×4", "10×5", "12×6", "13×7"]  # noqa: RUF001
    assert "x[1] · w[1, 0]" in browser.text("#sum")
    assert browser.text("#x_col h2").startswith("X_col of group 1, 4 x 4")
    assert cells(browser, "#w_row td") == ["4", "5", "6", "7"]


@pytest.mark.browser
def test_padding_looks_different(shown):
    browser = shown(integer_layer(padding=(1, 0)), np.ones((1, 2, 3)))
    assert cells(browser, "#channels td.padding") == ["0"] * 6
    assert cells(browser, "#channels .input td:not(.padding)") == ["1"] * 6
    assert browser.text("#channels h2") == "Input with padding"


@pytest.mark.browser
def test_what_is_not_finite_is_shown_as_such(shown):
    browser = shown(integer_layer(), np.array([[[np.nan, 1, 2], [3, 4, np.inf]]]))
    assert cells(browser, "#outputs td") == ["NaN", "∞", "NaN", "∞"]
    assert cells(browser, "#sum .result b") == ["NaN"]


@pytest.mark.browser
def test_numbers_of_an_array_have_the_same_decimals(shown):
    x = np.array([[[1.5, -0.001, 2], [0.25, 0, 1e-9]]])
    browser = shown(integer_layer(), x)
    assert cells(browser, "#channels .input td") == ["1.50", "0.00", "2", "0.25", "0", "0.00"]
    assert browser.js("document.querySelector('#channels .input td:nth-child(2)').title") == (
        "-0.001"
    )


# -- the controls --------------------------------------------------------------------------


@pytest.mark.browser
def test_keys_step(shown):
    browser = shown(integer_layer(), np.arange(9).reshape(1, 3, 3))
    for key, step in [
        ("ArrowRight", 2),
        ("ArrowDown", 6),
        ("ArrowRight", 7),
        ("ArrowUp", 3),
        ("ArrowUp", 7),
        ("End", 8),
        ("ArrowRight", 1),
        ("ArrowLeft", 8),
        ("Home", 1),
    ]:
        browser.keys(key)
        assert browser.text("#counter") == f"{step} / 8"
        assert browser.js("location.hash") == f"#step={step}"


@pytest.mark.browser
def test_the_address_names_a_step(shown):
    layer, x = integer_layer(), np.arange(9).reshape(1, 3, 3)
    for fragment, step in [("step=6", 6), ("step=0", 1), ("step=99", 8), ("stop=2", 1)]:
        assert shown(layer, x, fragment).text("#counter") == f"{step} / 8"
    browser = shown(layer, x)
    browser.js("location.hash = '#step=3'")
    browser.wait("demo.step === 3")


@pytest.mark.browser
def test_a_click_on_an_output_number_goes_there(shown):
    browser = shown(integer_layer(), np.arange(9).reshape(1, 3, 3))
    browser.click("#outputs figure:nth-child(2) tr:nth-child(2) td:nth-child(1)")
    assert browser.text("#counter") == "7 / 8"
    browser.click("#next")
    assert browser.text("#counter") == "8 / 8"
    browser.click("#previous")
    assert browser.text("#counter") == "7 / 8"


@pytest.mark.browser
def test_a_click_on_a_coloured_output_goes_there(shown, rng):
    browser = shown(nn.Conv2d(1, 2, 5, generator=rng), rng.random((1, 28, 28)))
    assert cells(browser, "#channels .input td") == []
    x, y = ("box.x + 12.5 / 24 * box.width", "box.y + 12.5 / 24 * box.height")
    place = f"{{clientX: {x}, clientY: {y}}}"
    canvas = "document.querySelector('#outputs figure:nth-child(2) canvas')"
    dispatch = f"(box => {canvas}.dispatchEvent(new MouseEvent('click', {place})))"
    browser.js(f"{dispatch}({canvas}.getBoundingClientRect())")
    assert browser.js("demo.step") == 24 * 24 + 12 * 24 + 12 + 1


@pytest.mark.browser
def test_the_film_plays_pauses_and_starts_again(shown):
    browser = shown(integer_layer(), np.arange(9).reshape(1, 3, 3), "step=6")
    browser.js("document.getElementById('speed').value = 5")
    browser.driver.execute_script(
        "window.seen = []; new MutationObserver(() => seen.push(demo.step))"
        ".observe(document.getElementById('counter'), {childList: true})"
    )
    browser.keys(" ")
    assert browser.text("#play") == "Pause"
    browser.wait("seen.length >= 5")
    assert browser.js("seen.slice(0, 5)") == [7, 8, 1, 2, 3]
    browser.keys(" ")
    step = browser.js("demo.step")
    assert browser.text("#play") == "Play"
    assert browser.js("demo.timer") is None
    assert browser.js("location.hash") == f"#step={step}"
    browser.click("#play")
    browser.keys("Home")
    assert browser.js("[demo.step, demo.timer]") == [1, None]


@pytest.mark.browser
def test_the_speed_keeps_its_own_keys(shown):
    browser = shown(integer_layer(), np.arange(9).reshape(1, 3, 3))
    browser.js("document.getElementById('speed').focus()")
    browser.keys("ArrowRight")
    assert browser.js("document.getElementById('speed').value") == "1.5"
    assert browser.js("demo.step") == 1


# -- the looks -----------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_demo_of_the_notes_fits_a_screen(shown, notes, scheme):
    browser = shown(notes.layer, notes.x)
    browser.colour_scheme(scheme)
    background = browser.js("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 23, 29)"}[scheme]
    for css in ("html", "#channels", "#outputs", "#sum", "#w_row", "#x_col"):
        sizes = "[e.scrollWidth <= e.clientWidth, e.scrollHeight <= e.clientHeight]"
        assert browser.js(f"(e => {sizes})(document.querySelector({css!r}))") == [True, True], css


@pytest.mark.browser
def test_nothing_moves_between_steps(shown):
    x = np.zeros((2, 6, 6))
    x[:, 2, 2] = -1.2345  # a wide text in some windows, "0" in the others
    browser = shown(integer_layer(weight=np.ones((3, 2, 3, 3)), bias=None), x)
    places = "[...document.querySelectorAll('table, #sum')].map(e => [e.offsetLeft, e.offsetTop])"
    before = browser.js(places)
    for step in (4, 7, 21, 48):
        browser.js(f"demo.go({step})")
        assert browser.js(places) == before


@pytest.mark.browser
def test_the_channels_that_are_used_are_in_sight(shown, rng):
    layer = nn.Conv2d(6, 3, 3, groups=3, generator=rng)
    browser = shown(layer, rng.integers(9, size=(6, 12, 12)))
    box = "document.querySelector({!r}).getBoundingClientRect()"
    pane = box.format("#channels")
    for step in (1, 150, 299, 101):
        browser.js(f"demo.go({step})")
        first = box.format("#channels > figure:not(.unseen)")
        assert browser.js(f"{first}.top >= {pane}.top && {first}.bottom <= {pane}.bottom")
        map_ = box.format(f"#outputs figure:nth-child({step // 100 + 1})")
        assert browser.js(f"{map_}.bottom <= {pane}.bottom")


# -- the arguments -------------------------------------------------------------------------


def test_the_path_is_returned(tmp_path):
    assert conv_demo(integer_layer(), tc.ones(1, 1, 3, 3), tmp_path / "a") == tmp_path / "a.html"
    assert "output 2 x 2 x 2: (3 + 2·0 - 2) / 1 + 1 = 2" in (tmp_path / "a.html").read_text()


def test_the_summary_says_why_the_output_has_its_size(tmp_path):
    layer = integer_layer(stride=(2, 1), padding=(0, 1), dilation=2)
    text = conv_demo(layer, np.ones((1, 6, 4)), tmp_path / "a.html").read_text()
    assert "input 1 x 6 x 4, padding (0, 1)" in text
    assert "stride (2, 1) · dilation 2 · output 2 x 2 x 4" in text
    assert "floor((6 + 2·0 - 3) / 2) + 1 = 2 and (4 + 2·1 - 3) / 1 + 1 = 4" in text


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (nn.MaxPool2d(2), np.ones((1, 4, 4)), DtypeError, "such as nn.Conv2d.*got MaxPool2d$"),
        (nn.Linear(4, 2), np.ones((1, 4, 4)), DtypeError, r"Linear with a weight of shape \(2, 4"),
        (np.ones((1, 4, 4)), nn.Conv2d(1, 1, 2), DtypeError, "got ndarray"),
        (integer_layer(), np.ones((4, 4)), ShapeError, r"\(4, 4\): x\[None\] is one channel"),
        (integer_layer(), np.ones((2, 1, 4, 4)), ShapeError, r"x\[0\] is one image"),
        (integer_layer(), np.ones(4), ShapeError, r"expected one image \(C, H, W\), got \(4,\)"),
        (integer_layer(), np.ones((3, 4, 4)), ShapeError, "has 3 channels, weight"),
        (integer_layer(), np.ones((1, 1, 1)), ShapeError, "does not fit into images of 1x1"),
        (integer_layer(bias=np.ones(3)), np.ones((1, 4, 4)), ShapeError, "bias"),
        (integer_layer(stride=0), np.ones((1, 4, 4)), ShapeError, "stride=0"),
        (integer_layer(groups=3), np.ones((1, 4, 4)), ArgumentError, "groups=3"),
        (nn.ConvTranspose2d(1, 2, 3), np.ones((1, 4, 4)), DtypeError, "got ConvTranspose2d"),
        (nn.Conv2d(1, 2, 2, padding="same"), np.ones((1, 4, 4)), ArgumentError, r"\(\(0, 1\), \("),
        (
            nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect", flip=True),
            np.ones((1, 4, 4)),
            ArgumentError,
            "padding_mode='reflect', flip=True: the page shows",
        ),
        (
            nn.Conv2d(1, 2, 3, stride=2, fit="exact"),
            np.ones((1, 4, 4)),
            ShapeError,
            r"\(4 - 3 \+ 2\*0\)/2 \+ 1 = 1.5",
        ),
        (integer_layer(), 1j * np.ones((1, 4, 4)), DtypeError, "x is of dtype complex128"),
        (integer_layer(), "digit.png", DtypeError, "expected numbers"),
        (integer_layer(padding=1), np.ones((1, 63, 4)), ArgumentError, r"65 rows.*than the 64"),
        (integer_layer(), np.ones((65, 4, 4)), ArgumentError, "65 channels"),
        (nn.Conv2d(1, 65, 1), np.ones((1, 4, 4)), ArgumentError, "65 filters"),
        (nn.Conv2d(1, 1, 33), np.ones((1, 40, 40)), ArgumentError, "1089 weights in a filter"),
    ],
)
def test_what_cannot_be_shown_is_refused(tmp_path, layer, x, error, message):
    with pytest.raises(error, match=message):
        conv_demo(layer, x, tmp_path / "demo.html")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(ArgumentError, match="existing folder"):
        conv_demo(integer_layer(), np.ones((1, 3, 3)), tmp_path / "none" / "demo.html")
