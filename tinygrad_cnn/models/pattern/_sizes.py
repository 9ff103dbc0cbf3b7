"""The sizes that a pattern leaves out, by the course's rules of thumb."""

from __future__ import annotations

from collections.abc import Sequence

from ...typing import Shape

INPUT = (3, 32, 32)
CLASSES = 10
FILTERS = 32  # of the first convolution
MOST_FILTERS = 512  # where VGG stops doubling
HIDDEN = 128  # units of a fully connected layer that is not the last
CONV_WINDOW, POOL_WINDOW = (3, 3), (2, 2)
DROPOUT, SLOPE, NEIGHBOURS = 0.5, 0.01, 5


def usual_filters(before: int | None, pooled: bool, first: int = FILTERS) -> int:
    """How many filters a convolution has: twice as many as the last one, if a pool lies between.

    Args:
        before: the filters of the convolution before, None for the first.
        pooled: whether a pool lies between the two.
        first: the filters of the first.
    """
    if before is None:
        return first
    return max(before, min(2 * before, MOST_FILTERS)) if pooled else before


def usual_padding(window: Shape, dilation: Shape) -> Shape | None:
    """(F - 1) / 2, which keeps the size; None where that is no whole number."""
    reach = [d * (f - 1) for f, d in zip(window, dilation, strict=True)]
    return None if any(n % 2 for n in reach) else tuple(n // 2 for n in reach)


def usual_alpha(neighbours: int) -> float:
    """AlexNet's 1e-4, which it multiplies with the sum of the squares, not with their mean."""
    return neighbours / 10_000


def scores_at(words: Sequence[str]) -> int | None:
    """Which layer makes the scores: the last FC; without one the last CONV before a GAP.

    >>> scores_at(["CONV", "RELU", "FC", "RELU", "FC"]), scores_at(["CONV", "RELU"])
    (4, None)
    """
    maker = "FC" if "FC" in words else "CONV" if "GAP" in words else ""
    return max((i for i, word in enumerate(words) if word == maker), default=None)
