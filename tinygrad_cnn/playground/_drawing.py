"""A drawing, centred and scaled like the images that a network has learned from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..typing import Array

_FAINT = 0.1  # the share of the ink below which a pixel is paper
_LOOKED_AT = 1000  # images


@dataclass(frozen=True)
class Frame:
    """How what is drawn lies in the grey images of a data set.

    Attributes:
        size: height and width of an image.
        paper, ink: the values of the background and of the strongest stroke.
        extent: the usual length of the longer side of what is drawn, in pixels.
        centre: the usual centre of mass (y, x); pixel i reaches from i to i + 1.
        stroke: the usual width of a stroke, in pixels.
    """

    size: tuple[int, int]
    paper: float
    ink: float
    extent: float
    centre: tuple[float, float]
    stroke: float


def frame_of(images: Array) -> Frame:
    """What images (N, 1, H, W) have in common.

    >>> from tinygrad_cnn.data import Digits
    >>> frame = frame_of(Digits("train").batch(slice(500))[0])
    >>> frame.size, frame.paper, frame.ink, frame.extent, round(frame.stroke, 1)
    ((8, 8), 0.0, 1.0, 8.0, 1.5)
    """
    x = images[:_LOOKED_AT, 0].astype(np.float64)
    border = np.concatenate([x[:, [0, -1]].ravel(), x[:, :, [0, -1]].ravel()])
    paper = float(np.median(border))
    away = np.abs(x - paper)
    ink = float(x.flat[away.argmax()])
    shares = away / (abs(ink - paper) or 1.0)
    found = [(max(high - low), centre) for low, high, centre in map(_place, shares) if any(high)]
    size = x.shape[1], x.shape[2]
    if not found:  # all paper
        return Frame(size, paper, ink, float(max(size)), (size[0] / 2, size[1] / 2), 1.0)
    extents, centres = zip(*found, strict=True)
    middle = np.mean(centres, axis=0).tolist()
    return Frame(
        size, paper, ink, float(np.median(extents)), (middle[0], middle[1]), _width(shares)
    )


def placed(drawing: Array, frame: Frame) -> Array:
    """A drawing (h, w) of ink from 0 to 1 as an image (1, H, W) of the data set, float32.

    The longer side of what is drawn becomes as long, and its centre of mass lies where it does in
    the data set, as far as all of it stays inside. A pixel is the mean of what it covers.
    """
    low, high, centre = _place(drawing)
    if not any(high):
        return np.full((1, *frame.size), frame.paper, np.float32)
    scale = frame.extent / max(high - low)
    cover = []
    for axis in range(2):
        shift = frame.centre[axis] - scale * centre[axis]
        shift = min(max(shift, -scale * low[axis]), frame.size[axis] - scale * high[axis])
        cover.append(_averages(frame.size[axis], drawing.shape[axis], scale, shift))
    shares = cover[0] @ drawing @ cover[1].T
    return (frame.paper + (frame.ink - frame.paper) * shares)[np.newaxis].astype(np.float32)


def _place(shares: Array) -> tuple[Array, Array, Array]:
    """Where the ink of a picture (h, w) begins and ends, and its centre of mass, each (y, x)."""
    inked = np.where(shares > _FAINT, shares, 0.0)
    bounds = []
    for axis in range(2):
        mass = inked.sum(axis=1 - axis)
        places = np.flatnonzero(mass)
        if not places.size:
            return np.zeros(2), np.zeros(2), np.zeros(2)
        middle = (mass * (np.arange(len(mass)) + 0.5)).sum() / mass.sum()
        bounds.append((places[0], places[-1] + 1, middle))
    low, high, centre = np.array(bounds, float).T
    return low, high, centre


def _width(shares: Array) -> float:
    """The usual width of the strokes in pictures (N, h, w).

    A stroke of width t and length l covers t l and has an outline of about 2 l, which is the total
    variation of the picture.
    """
    padded = np.pad(shares, ((0, 0), (1, 1), (1, 1)))
    down, right = np.diff(padded, axis=1)[:, :, :-1], np.diff(padded, axis=2)[:, :-1]
    outlines = np.hypot(down, right).sum(axis=(1, 2))
    areas = shares.sum(axis=(1, 2))
    return float(np.median(2 * areas[outlines > 0] / outlines[outlines > 0]))


def _averages(size: int, length: int, scale: float, shift: float) -> Array:
    """The matrix (size, length) that takes means of the ``1 / scale`` places under each pixel.

    Place p of the drawing lies at ``scale * p + shift`` of the image; outside is no ink.
    """
    edges = (np.arange(size + 1) - shift) / scale
    places = np.arange(length)
    covered = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return np.asarray(np.clip(covered, 0.0, None) * scale)
