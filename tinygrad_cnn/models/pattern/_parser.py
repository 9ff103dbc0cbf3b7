"""From the text of a pattern to its layers in a row, repetitions written out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from ..._arguments import whole
from ...errors import ArgumentError, PatternError
from ._words import POOLS, WORD_WITH_SIZES, Layer, read_layer

MAX_LAYERS = 1000
_MAX_DEPTH = 20  # of brackets in brackets
_EXAMPLE = "'INPUT -> [CONV -> RELU -> POOL]*2 -> FC'"

_SPACE = re.compile(r"\s*")
_ARROW = re.compile(r"-+>|=>|\u2192|,|[-\u2013\u2014]")
_OPENING, _CLOSING = re.compile(r"[\[(]"), re.compile(r"[\])]")
_OPTIONAL, _STAR = re.compile(r"\?"), re.compile(r"\\?[*\u00d7]")
_COUNT = re.compile(r"(\d+)(?![\w.])|[A-Za-z_]\w*")
_VOLUME = re.compile(r":?\s*\[\s*(\d{1,6})\s*[xX\u00d7]\s*(\d{1,6})\s*[xX\u00d7]\s*(\d{1,6})\s*\]")
_ANYTHING = re.compile(r"-?[\w.]+|-+>|.")
_USUAL = {"N": " (N is usually at most 3)", "K": " (K is usually below 3)"}


def read(pattern: str, repeats: Mapping[str, int]) -> list[Layer]:
    """The layers of a pattern in order, the input first.

    Args:
        pattern: the text.
        repeats: what the names behind ``*`` stand for.

    Raises:
        ArgumentError: ``pattern`` is no string, or one of ``repeats`` is no count or not asked for.
        PatternError: the text is no pattern.
    """
    if not isinstance(pattern, str):
        raise ArgumentError(f"a pattern is a text such as {_EXAMPLE}, got {pattern!r}")
    counts = {name: whole("from_pattern", name, n, least=0) for name, n in repeats.items()}
    reader = _Reader(pattern, counts)
    layers = reader.whole()
    unused = [name for name in counts if name not in reader.used]
    if unused:
        raise ArgumentError(
            f"from_pattern: {unused[0]}={counts[unused[0]]!r} is no option, and the pattern"
            f" repeats nothing *{unused[0]} times"
        )
    return layers


class _Reader:
    """Reads one pattern from left to right."""

    def __init__(self, pattern: str, counts: Mapping[str, int]) -> None:
        self._pattern, self._counts = pattern, counts
        self._at = 0
        self.used: set[str] = set()

    def whole(self) -> list[Layer]:
        """The layers of the whole text."""
        if not self._pattern.strip():
            raise self._error(f"the pattern is empty; expected such as {_EXAMPLE}", 0)
        layers = self._chain(0)
        if self._take(_CLOSING):
            raise self._error("this bracket closes nothing: none is open", self._at - 1)
        if self._at < len(self._pattern):
            raise self._no_arrow()
        self._check_input(layers)
        return layers

    def _check_input(self, layers: list[Layer]) -> None:
        if not layers or layers[0].word != "INPUT":
            first = layers[0] if layers else None
            found = first.word if first else "no layer"
            position, length = (first.position, first.length) if first else (0, 1)
            raise self._error(f"expected INPUT first, found {found}", position, length)
        again = next((layer for layer in layers[1:] if layer.word == "INPUT"), None)
        if again:
            message = "INPUT a second time: a pattern has one, at its beginning"
            raise self._error(message, again.position, again.length)
        if len(layers) == 1:
            raise self._error("no layer follows INPUT", len(self._pattern.rstrip()))

    def _chain(self, depth: int) -> list[Layer]:
        layers = self._item(depth)
        while self._take(_ARROW):
            layers = layers + self._item(depth)
            if len(layers) > MAX_LAYERS:
                many = layers[MAX_LAYERS]
                raise self._error(f"more than {MAX_LAYERS} layers", many.position, many.length)
        return layers

    def _item(self, depth: int) -> list[Layer]:
        opening = self._take(_OPENING)
        layers = self._group(opening, depth + 1) if opening else [self._layer()]
        mark = self._take(_OPTIONAL)
        if mark:
            if opening or layers[0].word not in POOLS:
                raise self._error("only a pool is optional: POOL?", mark.start())
            layers = [replace(layers[0], optional=True)]
        return layers * self._count(len(layers)) if self._take(_STAR) else layers

    def _group(self, opening: re.Match[str], depth: int) -> list[Layer]:
        if depth > _MAX_DEPTH:
            raise self._error(f"more than {_MAX_DEPTH} brackets in brackets", opening.start())
        layers = self._chain(depth)
        closing = self._take(_CLOSING)
        if closing is None and self._at < len(self._pattern):
            raise self._no_arrow()
        if closing is None:
            raise self._error("this bracket is never closed", opening.start())
        if opening[0] + closing[0] not in ("[]", "()"):
            raise self._error(f"{closing[0]!r} closes a {opening[0]!r}", closing.start())
        return layers

    def _layer(self) -> Layer:
        found = self._take(WORD_WITH_SIZES)
        if found is None:
            raise self._error(
                f"expected a layer such as CONV, found {self._found()}", *self._here()
            )
        layer = read_layer(found[0], found.start(), self._pattern)
        self._at = layer.position + layer.length
        volume = self._take(_VOLUME) if layer.word == "INPUT" and not layer.volume else None
        if volume:  # the notes write width x height x depth
            width, height, depth = map(int, volume.groups())
            layer = replace(layer, volume=(depth, height, width))
        return layer

    def _count(self, length: int) -> int:
        """How often what stands before the star is repeated; ``length`` layers stand there."""
        found = self._take(_COUNT)
        if found is None:
            expected = "expected a whole number or a name such as N behind *"
            raise self._error(f"{expected}, found {self._found()}", *self._here())
        if found[1]:
            count = int(found[1]) if len(found[1]) < 10 else MAX_LAYERS + 1
        elif found[0] in self._counts:
            count = self._counts[found[0]]
            self.used.add(found[0])
        else:
            usual = _USUAL.get(found[0], "")
            message = f"how often? Say from_pattern(…, {found[0]}=2){usual}"
            raise self._error(message, found.start(), len(found[0]))
        if count * max(length, 1) > MAX_LAYERS:
            message = f"more than {MAX_LAYERS} layers"
            raise self._error(message, found.start(), len(found[0]))
        return count

    # -- the text ----------------------------------------------------------------------------

    def _take(self, expected: re.Pattern[str]) -> re.Match[str] | None:
        self._at = _SPACE.match(self._pattern, self._at).end()  # type: ignore[union-attr]
        found = expected.match(self._pattern, self._at)
        if found:
            self._at = found.end()
        return found

    def _here(self) -> tuple[int, int]:
        """Position and length of what comes next; the end is where the text ends."""
        found = _ANYTHING.match(self._pattern, self._at)
        return (self._at, len(found[0])) if found else (len(self._pattern.rstrip()), 1)

    def _found(self) -> str:
        found = _ANYTHING.match(self._pattern, self._at)
        return repr(found[0]) if found else "the end"

    def _no_arrow(self) -> PatternError:
        return self._error(f"expected -> before {self._found()}", *self._here())

    def _error(self, message: str, position: int, length: int = 1) -> PatternError:
        return PatternError(message, self._pattern, position, length)
