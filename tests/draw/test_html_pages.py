# ruff: noqa: RUF001  (shapes are written with a multiplication sign)
"""The frame of the self-contained pages, and how arrays come into them."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pytest

import tinygrad_cnn as tc
from tinygrad_cnn.draw._html import page, payload, resource, write_page
from tinygrad_cnn.errors import ArgumentError, DtypeError

HOSTILE = "</script><script>alert(1)</script><!-- \u2028 &amp; '\""


def embedded(text):
    """The data of a page, as text."""
    return re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1]


def levels(heat):
    pixels = np.frombuffer(base64.b64decode(heat["levels"]), np.uint8)
    return pixels.reshape(heat["rows"], heat["columns"])


# -- page ----------------------------------------------------------------------------------


def test_text_cannot_leave_its_place():
    text = page(HOSTILE, "<main></main>", data={HOSTILE: [HOSTILE]})
    assert json.loads(embedded(text)) == {HOSTILE: [HOSTILE]}
    assert HOSTILE not in text
    assert text.count("</script>") == 2
    assert set("<>&\u2028\u2029").isdisjoint(embedded(text))
    assert "<title>&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (np.arange(3), [0, 1, 2]),
        ((1, None, True), [1, None, True]),
        ({2: np.bool_(False)}, {"2": False}),
        (float("nan"), {"$float": "NaN"}),
        (np.array([np.inf, -np.inf]), [{"$float": "Infinity"}, {"$float": "-Infinity"}]),
    ],
)
def test_data_arrive(value, expected):
    assert json.loads(embedded(page("", "", data=value))) == expected


def test_data_that_json_cannot_say_are_refused():
    with pytest.raises(DtypeError, match="hold a complex"):
        page("", "", data=[1j])


def test_styles_and_scripts_are_inside_in_their_order():
    text = page("", "", styles=["b {}"], scripts=[resource("arrays.js"), "last();"])
    assert text.index(":root {") < text.index("b {}")
    assert text.index("function pageData") < text.index("function arrayElement")
    assert text.index("function arrayElement") < text.index("last();")


def test_a_script_that_would_end_its_element_is_refused():
    with pytest.raises(ArgumentError, match="a script of the page contains </script"):
        page("", "", scripts=["x = '</SCRIPT>'"])
    with pytest.raises(ArgumentError, match="a style of the page contains </style"):
        page("", "", styles=["/* </style> */"])


def test_only_a_page_with_scripts_needs_them():
    assert "<noscript>" not in page("", "<p></p>")
    assert page("", "<p></p>", scripts=["go();"]).count("<noscript>This page needs") == 1


def test_nothing_may_be_fetched():
    text = page("", "", scripts=[resource("arrays.js")])
    assert "default-src 'none'" in text
    assert "://" not in text


def test_a_page_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    written = write_page(tmp_path / "loss", "é")
    assert written == tmp_path / "loss.html"
    assert written.read_bytes() == "é".encode()
    with pytest.raises(UnicodeEncodeError):
        write_page(written, "\ud800")
    assert written.read_bytes() == "é".encode()
    assert list(tmp_path.iterdir()) == [written]


def test_a_page_needs_a_file_in_a_folder(tmp_path):
    with pytest.raises(ArgumentError, match="existing folder"):
        write_page(tmp_path, "")
    with pytest.raises(ArgumentError, match="existing folder"):
        write_page(tmp_path / "none" / "page.html", "")


# -- payload -------------------------------------------------------------------------------


def test_small_arrays_come_in_full():
    assert payload(np.arange(6, dtype="int32").reshape(2, 3)) == {
        "shape": [2, 3],
        "dtype": "int32",
        "min": 0.0,
        "max": 5.0,
        "mean": 2.5,
        "nan": 0,
        "inf": 0,
        "values": [0, 1, 2, 3, 4, 5],
        "note": "",
    }


def test_statistics_are_of_the_finite_elements():
    found = payload(tc.tensor([1.0, np.nan, -np.inf, 3.0]))
    assert (found["min"], found["mean"], found["max"]) == (1.0, 2.0, 3.0)
    assert (found["nan"], found["inf"]) == (1, 1)
    nothing = payload([np.nan])
    assert (nothing["min"], nothing["mean"], nothing["max"]) == (None, None, None)
    assert payload(np.empty((0, 3)))["values"] == []
    assert payload(np.full(100, 1.5e308))["mean"] == 1.5e308


def test_complex_numbers_are_shown_by_their_magnitude():
    found = payload([3 + 4j])
    assert found["values"] == [5.0]
    assert (found["dtype"], found["note"]) == ("complex128", "magnitudes")


def test_scale_is_symmetric_where_signs_mix():
    heat = payload(np.linspace(-1, 3, 9).reshape(3, 3), limit=0)["heat"]
    assert (heat["scale"], heat["low"], heat["high"]) == ("diverging", -3.0, 3.0)
    np.testing.assert_array_equal(
        levels(heat), np.rint(126 + np.linspace(-1, 3, 9).reshape(3, 3) * 42)
    )
    assert levels(payload(np.array([-1.0, 0.0, 1.0]), limit=0)["heat"]).tolist() == [[0, 126, 252]]


def test_scale_is_sequential_where_signs_do_not_mix():
    heat = payload(np.array([0, 1, 2]), limit=0)["heat"]
    assert (heat["scale"], heat["low"], heat["high"]) == ("sequential", 0.0, 2.0)
    assert levels(heat).tolist() == [[0, 126, 252]]
    assert levels(payload(np.full(70, 3.0))["heat"])[0, 0] == 0
    for tiny_or_huge in ([-1e308, 1e308], [0.0, 5e-324], [-2e-323, -1e-323]):
        assert levels(payload(np.array(tiny_or_huge), limit=0)["heat"]).tolist() == [[0, 252]]


def test_not_finite_elements_are_marked_even_in_a_mean():
    x = np.zeros((96, 96))
    x[5, 5], x[95, 0], x[0, 95], x[1, 95] = np.nan, np.inf, np.inf, -np.inf
    marked = levels(payload(x)["heat"]) == 255
    assert np.argwhere(marked).tolist() == [[0, 47], [2, 2], [47, 0]]


def test_large_matrices_are_averaged_in_blocks():
    x = np.arange(100.0 * 50).reshape(100, 50)
    found = payload(x, side=48)
    assert found["note"] == "each cell is the mean of 3 × 2"
    pixels = levels(found["heat"])
    assert pixels.shape == (34, 25)
    assert pixels[0, 0] == round(x[:3, :2].mean() / x.max() * 252)
    assert pixels[-1, -1] == round(x[99:, 48:].mean() / x.max() * 252)


def test_a_vector_is_a_strip():
    heat = payload(np.arange(1000.0))["heat"]
    assert heat["rows"] == 1
    assert heat["columns"] == 48  # blocks of 21


@pytest.mark.parametrize(
    ("shape", "note"),
    [
        ((32, 3, 28, 28), "shown: [0, :]; each cell is the mean of 2 × 2"),
        ((6, 1, 5, 5), ""),
        ((64, 32, 32), "shown: [:16]; each cell is the mean of 3 × 3"),
        ((2, 3, 4, 30, 30), "shown: [0, 0, :]; each cell is the mean of 2 × 2"),
        ((1, 1, 20, 20), ""),
    ],
)
def test_leading_axes_become_tiles(shape, note):
    found = payload(np.random.default_rng(0).random(shape))
    assert found["note"] == note
    assert max(found["heat"]["rows"], found["heat"]["columns"]) <= 48
    smallest = payload(np.ones(shape), side=4)["heat"]
    assert max(smallest["rows"], smallest["columns"]) <= 4


def test_tiles_lie_in_reading_order_with_gaps():
    x = np.arange(3.0)[:, None, None] + np.zeros((3, 2, 2))
    gap, empty = 254, 254
    assert levels(payload(x, limit=0)["heat"]).tolist() == [
        [0, 0, gap, 126, 126],
        [0, 0, gap, 126, 126],
        [gap] * 5,
        [252, 252, gap, empty, empty],
        [252, 252, gap, empty, empty],
    ]


def test_payload_refuses_what_it_cannot_show():
    with pytest.raises(DtypeError, match="expected numbers"):
        payload(np.array(["a"]))
    with pytest.raises(ArgumentError, match="limit=-1"):
        payload([1.0], limit=-1)
    with pytest.raises(ArgumentError, match="side=2"):
        payload([1.0], side=2)
