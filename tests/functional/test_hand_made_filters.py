"""The filters made by hand: on a photograph against SciPy, and what each does to simple images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made_filters import FILTERS, filtered, main, photograph

import tinygrad_cnn as tc
from tinygrad_cnn import filters
from tinygrad_cnn.errors import ArgumentError, ShapeError

ndimage = pytest.importorskip("scipy.ndimage")
KEEP = [
    filters.identity(), filters.sharpen(), filters.sharpen(2.5), filters.emboss(),
    filters.box_blur(), filters.box_blur(4), filters.gaussian_blur(), filters.gaussian_blur(9, 0.7),
]  # fmt: skip
EDGES = [filters.sobel_x(), filters.sobel_y(), filters.laplacian(), filters.laplacian(True)]
SCIPYS_MODES = {
    "zeros": "constant", "replicate": "nearest", "reflect": "mirror", "circular": "wrap"
}  # fmt: skip


@pytest.fixture(scope="module")
def photo() -> np.ndarray[Any, Any]:
    """A part of the photograph, float64."""
    pytest.importorskip("matplotlib")
    return photograph()[:, :, 60:180, 100:230].astype(np.float64)


@pytest.mark.parametrize("mode", SCIPYS_MODES)
@pytest.mark.parametrize("kernel", KEEP + EDGES, ids=lambda k: f"{k.shape[0]}: {k.ravel()[:3]}")
def test_correlation_with_a_photograph(
    kernel: np.ndarray[Any, Any], mode: Any, photo: np.ndarray[Any, Any]
) -> None:
    ours = filters.apply(photo, kernel, padding_mode=mode).data
    # An even filter has its middle right of the centre in SciPy, left of it in "same" padding.
    origin = -1 if len(kernel) % 2 == 0 else 0
    theirs = np.stack(
        [ndimage.correlate(c, kernel, mode=SCIPYS_MODES[mode], origin=origin) for c in photo[0]]
    )
    np.testing.assert_allclose(ours[0], theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("kernel", "scipys"),
    [
        (filters.sobel_x(), lambda c: ndimage.sobel(c, axis=1, mode="nearest")),
        (filters.sobel_y(), lambda c: ndimage.sobel(c, axis=0, mode="nearest")),
        (filters.laplacian(), lambda c: ndimage.laplace(c, mode="nearest")),
        (filters.box_blur(5), lambda c: ndimage.uniform_filter(c, 5, mode="nearest")),
        (
            filters.gaussian_blur(11, sigma=1.7),
            lambda c: ndimage.gaussian_filter(c, 1.7, radius=5, mode="nearest"),
        ),
    ],
    ids=["sobel_x", "sobel_y", "laplacian", "box_blur", "gaussian_blur"],
)
def test_scipys_filters_of_the_same_name(
    kernel: np.ndarray[Any, Any], scipys: Callable[[Any], Any], photo: np.ndarray[Any, Any]
) -> None:
    ours = filters.apply(photo, kernel).data
    np.testing.assert_allclose(ours[0], np.stack([scipys(c) for c in photo[0]]), atol=1e-12)


def test_what_filters_add_up_to() -> None:
    assert [kernel.sum() for kernel in KEEP] == pytest.approx([1.0] * len(KEEP), abs=1e-15)
    assert [kernel.sum() for kernel in EDGES] == [0.0] * len(EDGES)


@pytest.mark.parametrize("kernel", KEEP + EDGES)
def test_an_even_area_stays_or_becomes_0(kernel: np.ndarray[Any, Any]) -> None:
    grey = np.full((1, 2, 12, 12), 0.25)
    expected = 0.25 if kernel.sum() > 0.5 else 0.0
    np.testing.assert_allclose(filters.apply(grey, kernel).data, expected, atol=1e-15)


def test_edges_have_a_direction() -> None:
    to_the_right = np.broadcast_to(np.arange(8.0), (1, 1, 8, 8))
    downwards = to_the_right.swapaxes(2, 3)
    inside = (0, 0, slice(1, -1), slice(1, -1))
    assert np.all(filters.apply(to_the_right, filters.sobel_x()).data[inside] == 8)
    assert np.all(filters.apply(downwards, filters.sobel_x()).data == 0)
    assert np.all(filters.apply(downwards, filters.sobel_y()).data[inside] == 8)
    assert np.all(filters.apply(to_the_right, filters.sobel_y()).data == 0)
    assert np.all(filters.apply(to_the_right, filters.laplacian()).data[inside] == 0)
    # The second derivatives of x² and y² are 2 each; across the corners both count twice more.
    squares = to_the_right**2 + downwards**2
    assert np.all(filters.apply(squares, filters.laplacian()).data[inside] == 4)
    assert np.all(filters.apply(squares, filters.laplacian(diagonal=True)).data[inside] == 12)


def test_blurring_twice_adds_variances() -> None:
    point = np.zeros((1, 1, 41, 41))
    point[0, 0, 20, 20] = 1.0
    twice = filters.apply(
        filters.apply(point, filters.gaussian_blur(19, 1.5)), filters.gaussian_blur(19, 2.0)
    )
    once = filters.apply(point, filters.gaussian_blur(25, 2.5))
    np.testing.assert_allclose(twice.data, once.data, atol=2e-5)


def test_bytes_do_not_overflow() -> None:
    bytes_ = np.full((1, 1, 4, 4), 200, np.uint8)
    out = filters.apply(bytes_, filters.box_blur())
    assert out.dtype == np.float32
    np.testing.assert_allclose(out.data, 200, rtol=1e-6)
    assert filters.apply(bytes_.astype(np.float16), filters.sharpen()).dtype == np.float16


def test_gradients_pass_to_images_and_filter(rng: np.random.Generator) -> None:
    images = tc.tensor(rng.normal(size=(2, 3, 5, 6)), requires_grad=True)
    kernel = tc.tensor(filters.sobel_x(), requires_grad=True)
    assert tc.check.gradcheck(lambda x, k: filters.apply(x, k), (images, kernel))


def test_an_array_of_ones_own() -> None:
    filters.sobel_x()[:] = 0
    assert filters.sobel_x()[0, 2] == 1
    assert all(kernel.flags.c_contiguous for kernel in KEEP + EDGES)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: filters.box_blur(0), "box_blur: size=0"),
        (lambda: filters.box_blur(2.0), "size=2.0"),  # type: ignore[arg-type]
        (lambda: filters.gaussian_blur(4), "size=4, expected an odd number"),
        (lambda: filters.gaussian_blur(5, 0.0), "sigma=0.0, expected a number above 0"),
        (lambda: filters.gaussian_blur(5, float("nan")), "sigma=nan"),
        (lambda: filters.gaussian_blur(5, "1"), "sigma='1'"),  # type: ignore[arg-type]
        (lambda: filters.sharpen(float("inf")), "amount=inf"),
        (
            lambda: filters.apply(tc.zeros(1, 1, 4, 4), filters.sobel_x(), padding_mode="same"),
            "mode",
        ),  # type: ignore[arg-type]
    ],
)
def test_bad_settings_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()


@pytest.mark.parametrize(
    ("images", "kernel"), [((28, 28), (3, 3)), ((1, 28, 28), (3, 3)), ((1, 1, 8, 8), (1, 1, 3, 3))]
)
def test_axes_that_do_not_fit_are_refused(images: Any, kernel: Any) -> None:
    with pytest.raises(ShapeError, match=r"expected images \(N, C, H, W\) and a filter \(FH, FW\)"):
        filters.apply(np.zeros(images), np.zeros(kernel))


def test_the_example_draws_nine_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    small = photograph()[:, :, ::4, ::4]
    monkeypatch.setattr("hand_made_filters.photograph", lambda: small)
    main(str(tmp_path / "filters.png"))
    assert (tmp_path / "filters.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(FILTERS) + 1
    assert "sobel_x()" in printed[4]
    assert printed[4].endswith("3x3, sum 0.00")
    pictures = filtered(small)
    assert len(pictures) == 9
    assert all(
        p.shape[:2] == small.shape[2:] and 0 <= p.min() < p.max() <= 1 for p in pictures.values()
    )
