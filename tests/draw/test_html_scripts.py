# ruff: noqa: RUF001  (shapes are written with a multiplication sign)
"""What the pages' shared scripts do in a browser, and that the browser of the tests is strict."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_cnn.draw._html import page, payload, resource, write_page

pytestmark = pytest.mark.browser


@pytest.fixture
def opened(browser, tmp_path):
    """Opens a page whose <main> shows the payloads of some arrays."""

    def open_page(*arrays, **settings):
        show = "for (const p of pageData()) document.querySelector('main').append(arrayElement(p));"
        data = [payload(array, **settings) for array in arrays]
        text = page("Arrays", "<main></main>", scripts=[resource("arrays.js"), show], data=data)
        browser.open(write_page(tmp_path / "arrays.html", text))
        return browser

    return open_page


def test_numbers_read_as_a_person_writes_them(opened):
    cases = {
        "3": "3", "-0": "0", "0.1 + 0.2": "0.3", "1 / 3": "0.3333", "-1.25": "-1.25",
        "12345.678": "12346", "1e6 / 3": "333333", "1234567": "1234567", "1e9": "1e9",
        "1.23456e-7": "1.235e-7", "NaN": "NaN", "Infinity": "∞", "-Infinity": "-∞",
        "999999.9": "1000000", "0.00099999": "0.001", "1e7 - 0.5": "1e7",
    }  # fmt: skip
    browser = opened()
    found = browser.js(f"[{', '.join(cases)}].map(formatNumber)")
    assert dict(zip(cases, found, strict=True)) == cases


def test_not_finite_data_arrive_as_numbers(opened):
    browser = opened([np.nan, np.inf, -np.inf])
    assert browser.js("pageData()[0].values.map(String)") == ["NaN", "Infinity", "-Infinity"]


def test_small_arrays_are_tables_of_numbers(opened):
    browser = opened(np.arange(8.0).reshape(2, 2, 2), [1.5, np.nan])
    assert browser.js("[...document.querySelectorAll('.slice > span')].map(e => e.innerText)") == [
        "[0]",
        "[1]",
    ]
    rows = "[...document.querySelectorAll('tr')].map(r => r.innerText.split('\\t').join(' '))"
    assert browser.js(rows) == ["0 1", "2 3", "4 5", "6 7", "1.5 NaN"]
    assert browser.text("figure:last-child figcaption") == "2 · float64 · 1 NaN"


def test_an_empty_array_says_so(opened):
    assert opened(np.empty((0, 3))).text("figure") == "no elements\n0 × 3 · float64"


def test_large_arrays_are_heat_maps(opened):
    browser = opened(np.array([[-1.0, 0.0, 1.0, np.nan]]), limit=0)
    pixels = "[...document.querySelector('canvas').getContext('2d').getImageData(0,0,4,1).data]"
    found = np.array(browser.js(pixels)).reshape(4, 4)
    low, zero, high = found[:3, :3]
    assert found[:, 3].tolist() == [255] * 4
    assert low[2] > low[0]  # blue
    assert high[0] > high[2]  # orange
    assert np.abs(zero - 247).max() <= 1
    assert found[3, :3].tolist() == [176, 23, 143]
    assert browser.text("figcaption") == "1 × 4 · float64 · min -1 · mean 0 · max 1 · 1 NaN"


def test_strips_can_be_seen(opened):
    browser = opened(np.arange(600.0)[:, None], np.arange(600.0)[None], limit=0, side=600)
    sizes = "[...document.querySelectorAll('canvas')].map(c => [c.offsetWidth, c.offsetHeight])"
    (across, high), (wide, down) = browser.js(sizes)
    assert across == down == 12
    assert high == wide == 1200


def test_labels_are_text(browser, tmp_path):
    script = "document.querySelector('main').append(element('b', {title: pageData()}, pageData()));"
    label = "<script>throw 1</script>&lt;"
    text = page("", "<main></main>", scripts=[script], data=label)
    browser.open(write_page(tmp_path / "label", text))
    assert browser.text("b") == label


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("fetch('https://example.org/x').catch(() => {})", "the (page|console)"),
        ("new Image().src = 'https://example.org/x.png'", "the (page|console)"),
        ("console.error('broken')", "the console says .*broken"),
        ("console.warn('odd')", "the console says .*odd"),
        ("throw new Error('lost')", "the console says .*lost"),
    ],
)
def test_a_page_that_is_not_clean_is_noticed(browser, tmp_path, script, complaint):
    browser.open(write_page(tmp_path / "bad", page("", "", scripts=[script])))
    with pytest.raises(AssertionError, match=complaint):
        browser.assert_clean()


def test_a_request_is_noticed_where_no_policy_forbids_it(browser, tmp_path):
    path = tmp_path / "free.html"
    path.write_text("<img src='https://example.org/x.png'>")
    browser.open(path)
    with pytest.raises(AssertionError, match=r"asked for \['https://example.org/x.png'\]"):
        browser.assert_clean()
    browser._logged()  # the failure itself, which Chromium may report later
