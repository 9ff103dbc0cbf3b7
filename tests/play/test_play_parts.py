"""The parts of the playground: drawings, tiles, curves, the board and the worker."""

from __future__ import annotations

import base64
import json
import threading

import numpy as np
import pytest

from tinygrad_cnn.data import MNIST, Digits
from tinygrad_cnn.errors import GraphError
from tinygrad_cnn.playground._board import Board
from tinygrad_cnn.playground._curve import Curve
from tinygrad_cnn.playground._drawing import frame_of, placed
from tinygrad_cnn.playground._tiles import coloured, pictures, signed
from tinygrad_cnn.playground._worker import Worker

# -- drawings ------------------------------------------------------------------------------


def test_a_digit_that_is_drawn_anew_comes_out_as_it_was():
    """Enlarged and moved elsewhere it is found again, in the ink of its data set."""
    for image in Digits("train").batch(slice(50))[0]:
        drawing = np.zeros((112, 112))
        drawing[13:109, 5:101] = np.kron(image[0], np.ones((12, 12)))
        frame = frame_of(image[np.newaxis])
        np.testing.assert_allclose(placed(drawing, frame), image * frame.ink, atol=1e-6)


def test_drawings_are_as_large_and_as_central_as_the_data(shared):
    images = MNIST(shared / "data", "test").batch(slice(500))[0]
    frame = frame_of(images)
    assert (frame.size, frame.paper, frame.ink, frame.extent) == ((28, 28), 0.0, 1.0, 20.0)
    assert frame.centre == pytest.approx((14.0, 14.0), abs=0.6)
    for corner, length in ((3, 30), (60, 40), (20, 90)):
        drawing = np.zeros((112, 112))
        drawing[corner : corner + length, corner : corner + length // 3] = 1.0
        image = placed(drawing, frame)
        assert image.shape == (1, 28, 28)
        inked = np.flatnonzero(image[0].max(axis=1) > 0.1)
        assert inked[-1] - inked[0] + 1 in (20, 21)
        mass = image[0].sum(axis=0) / image.sum()
        assert mass @ (np.arange(28) + 0.5) == pytest.approx(frame.centre[1], abs=1e-3)


def test_ink_is_averaged_not_lost():
    """The total ink times the area of a pixel stays."""
    frame = frame_of(Digits("train").batch(slice(100))[0])
    drawing = np.zeros((112, 112))
    drawing[10:106, 40:60] = np.linspace(0.2, 1.0, 96)[:, None]
    scale = frame.extent / 96
    assert placed(drawing, frame).sum() == pytest.approx(drawing.sum() * scale**2, rel=1e-6)


def test_dark_ink_on_light_paper():
    images = 1.0 - Digits("train").batch(slice(100))[0]
    frame = frame_of(images)
    assert (frame.paper, frame.ink) == (1.0, 0.0)
    assert placed(np.zeros((112, 112)), frame).min() == 1.0
    drawing = np.zeros((112, 112))
    drawing[20:90, 50:70] = 1.0
    assert placed(drawing, frame).min() < 0.1


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_width_of_a_stroke(width):
    images = np.zeros((5, 1, 28, 28))
    images[:, 0, 4:24, 10 : 10 + width] = 1.0
    assert frame_of(images).stroke == pytest.approx(width, rel=0.2)


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_images_of_nothing_have_a_frame(level):
    frame = frame_of(np.full((3, 1, 8, 8), level))
    assert placed(np.eye(112), frame).shape == (1, 8, 8)


# -- tiles ---------------------------------------------------------------------------------


def levels(packed):
    flat = np.frombuffer(base64.b64decode(packed["levels"]), np.uint8)
    return flat.reshape(packed["count"], packed["rows"], packed["columns"], -1)


def test_signed_tiles_have_zero_in_the_middle_and_mark_nan(rng):
    maps = rng.normal(size=(3, 4, 5))
    maps[1, 2, 3] = np.nan
    packed = signed(maps)
    found = levels(packed)[..., 0]
    assert found[1, 2, 3] == 255
    back = (found / 126.0 - 1) * packed["limit"]
    np.testing.assert_allclose(np.delete(back, 33), np.delete(maps, 33), atol=packed["limit"] / 250)


def test_large_tiles_are_averaged():
    assert levels(signed(np.ones((2, 100, 30)))).shape == (2, 25, 30, 1)


def test_pictures_keep_their_colours(rng):
    images = rng.random((2, 3, 4, 4))
    np.testing.assert_allclose(
        levels(pictures(images)) / 252, images.transpose(0, 2, 3, 1), atol=0.003
    )
    assert pictures(images)["scale"] == "colour"
    assert pictures(images[:, :1])["scale"] == "greys"


def test_filters_in_colour_have_zero_as_grey():
    filters = np.zeros((1, 3, 2, 2))
    filters[0, 0, 0, 0] = 5.0
    assert levels(coloured(filters))[0, 0].tolist() == [[252, 126, 126], [126, 126, 126]]


# -- curves --------------------------------------------------------------------------------


def test_a_curve_keeps_means_and_its_limit(rng):
    values = rng.random(1000)
    curve = Curve(limit=64)
    for step, value in enumerate(values, 1):
        curve.add(step, value, None)
    assert 32 <= len(curve.points) <= 64
    stretch = curve.points[0][0]
    for i, (step, mean, nothing) in enumerate(curve.points):
        assert step == min((i + 1) * stretch, 1000)
        assert mean == pytest.approx(values[i * stretch : (i + 1) * stretch].mean())
        assert nothing is None


# -- the board -----------------------------------------------------------------------------


def test_a_reader_gets_what_is_newer_in_the_order_it_was_posted():
    board = Board()
    board.post("looks", 1)
    board.post("model", {"x": float("nan")})
    version, parts = board.since(0)
    assert list(parts) == ["looks", "model"]
    assert json.loads(parts["model"]) == {"x": {"$float": "NaN"}}
    assert board.since(version) == (version, {})
    board.post("looks", 2)
    board.post("looks", 3)
    assert board.since(version)[1] == {"looks": "3"}
    assert list(board.since(0)[1]) == ["model", "looks"]


# -- the worker ----------------------------------------------------------------------------


def test_calls_are_carried_out_one_after_the_other_in_one_thread():
    seen = []
    worker = Worker(lambda: False)
    futures = [worker.call(lambda i=i: seen.append((i, threading.get_ident()))) for i in range(20)]
    for future in futures:
        future.result()
    worker.close()
    assert [i for i, _ in seen] == list(range(20))
    assert len({thread for _, thread in seen} - {threading.get_ident()}) == 1


def test_work_goes_on_between_calls_until_there_is_none():
    left = [5]

    def work():
        left[0] -= 1
        return left[0] > 0

    worker = Worker(work)
    assert left == [5]  # it waits for the first call
    worker.call(lambda: None).result()
    while left[0] > 0:
        worker.call(lambda: None).result()
    worker.close()
    assert left[0] <= 0


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_an_error_goes_to_who_waits_and_the_thread_lives_on(error):
    worker = Worker(lambda: False)

    def fail():
        raise error

    with pytest.raises(error):
        worker.call(fail).result()
    assert worker.call(lambda: 1).result() == 1
    worker.close()


def test_too_many_calls_are_refused_and_those_that_wait_are_cancelled_at_the_end():
    worker, go = Worker(lambda: False), threading.Event()
    worker.call(go.wait)
    waiting = [worker.call(lambda: None) for _ in range(60)]
    with pytest.raises(GraphError, match="wait already"):
        [worker.call(lambda: None) for _ in range(6)]
    threading.Timer(0.05, go.set).start()
    worker.close()
    assert waiting[-1].cancelled()
    with pytest.raises(GraphError, match="closed"):
        worker.call(lambda: None)
