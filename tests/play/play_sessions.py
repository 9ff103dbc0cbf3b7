"""What the tests of sessions share."""

from __future__ import annotations

import base64
import json
import time

import numpy as np

PATTERN = "INPUT -> CONV3-8 -> RELU -> POOL -> FC"


def board(session, part):
    """A part of the board as it is now."""
    return json.loads(session.board.since(0)[1][part])


def until(condition):
    """Wait until a condition holds."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def blot():
    """A drawing, as a page sends it."""
    ink = np.zeros((112, 112), np.uint8)
    ink[20:90, 50:62] = 255
    return base64.b64encode(ink.tobytes()).decode()
