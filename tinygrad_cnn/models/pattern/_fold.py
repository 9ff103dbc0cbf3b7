"""The shortest way to write a row of layers with repetitions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

# The ways in which one layer may be written: its size may be left out where it is the usual one.
Spellings: TypeAlias = frozenset[str]


def fold(layers: Sequence[Spellings]) -> str:
    """The shortest text, with ``[a -> b]*3`` for what comes three times, at any depth.

    Copies of a group may be spelled differently: what all of them can be spelled as is written.

    >>> a, b = frozenset(["CONV", "CONV-32"]), frozenset(["RELU"])
    >>> fold([a, b, a, b, frozenset(["POOL"])])
    '[CONV -> RELU]*2 -> POOL'
    """
    return _folded(tuple(layers))


@cache
def _folded(layers: tuple[Spellings, ...]) -> str:
    # From the end: the best text for what follows is known when a layer or group is put before
    # it. Of equally good ones the group that begins first wins.
    best = [_Text("", 0, 0)] * (len(layers) + 1)
    for start in reversed(range(len(layers))):
        texts = [
            (f"[{_folded(group)}]*{count}", start + count * len(group))
            for group, count in _repeated(layers, start)
        ]
        texts.append((min(sorted(layers[start]), key=len), start + 1))
        best[start] = min(
            (best[end].after(text) for text, end in texts), key=lambda t: (t.length, t.odd)
        )
    return best[0].text


class _Text(NamedTuple):
    """What was written so far.

    Attributes:
        odd: how many groups begin with a layer other than those with weights: of equally short
            texts the one with fewer of them reads better.
    """

    text: str
    length: int
    odd: int

    def after(self, first: str) -> _Text:
        """This text behind another layer or group."""
        text = f"{first} -> {self.text}" if self.text else first
        odd = len(re.findall(r"\[(?!\[|CONV|FC)", first))
        return _Text(text, len(text), self.odd + odd)


def _repeated(
    layers: tuple[Spellings, ...], start: int
) -> Iterator[tuple[tuple[Spellings, ...], int]]:
    """The groups that begin at ``start`` and come again at once, each with how often.

    Left out are groups that are repetitions of a shorter one themselves. That one comes more
    often, and what its layers may have to say in addition, such as ``-32``, is shorter than
    writing them twice.
    """
    reach: dict[int, int] = {}  # length of a group -> where its last copy ends
    for length in range(1, (len(layers) - start) // 2 + 1):
        group = layers[start : start + length]
        covered = max((end for size, end in reach.items() if length % size == 0), default=start)
        for end in range(start + 2 * length, len(layers) + 1, length):
            copy = layers[end - length : end]
            if copy != group:
                group = tuple(a & b for a, b in zip(group, copy, strict=True))
            if not all(group):
                break
            reach[length] = end
            if end > covered:
                yield group, (end - start) // length
