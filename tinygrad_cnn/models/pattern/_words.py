"""The words of the pattern language, and the sizes that hang on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from ... import nn
from ...errors import PatternError
from ...typing import Shape

MAX_NUMBER = 1_000_000  # for any size; larger ones are slips of the pen


@dataclass(frozen=True)
class Word:
    """What may be written behind a word.

    Attributes:
        example: the word with what may follow it.
        window: whether a window may follow directly, as in CONV3.
        number: what the number behind the hyphen is ("" where there is none).
        options: letters that carry a number, such as ``s`` in POOL3-s2, and flags.
    """

    example: str
    window: bool = False
    number: str = ""
    options: tuple[str, ...] = ()


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "RELU": nn.ReLU,
    "TANH": nn.Tanh,
    "SIGMOID": nn.Sigmoid,
    "ELU": nn.ELU,
    "SELU": nn.SELU,
    "GELU": nn.GELU,
    "SILU": nn.SiLU,
    "SOFTPLUS": nn.Softplus,
    "HARDTANH": nn.Hardtanh,
}
WORDS = {
    "INPUT": Word("INPUT-3x32x32, channels x height x width"),
    "CONV": Word("CONV3-64-s1-p1-d1-g1", True, "filters", ("s", "p", "d", "g", "nobias")),
    "POOL": Word("POOL3-s2-p0", True, options=("s", "p", "ceil")),
    "AVGPOOL": Word("AVGPOOL3-s2-p0", True, options=("s", "p", "ceil")),
    "L2POOL": Word("L2POOL3-s2", True, options=("s", "ceil")),
    "GAP": Word("GAP"),
    "FC": Word("FC-128", number="units", options=("nobias",)),
    "BN": Word("BN"),
    "LRN": Word("LRN-5", number="channels"),
    "DROPOUT": Word("DROPOUT-0.5", number="probability"),
    "RELU": Word("RELU"),
    "LRELU": Word("LRELU-0.01", number="slope"),
    "PRELU": Word("PRELU"),
    **{word: Word(word) for word in ACTIVATIONS if word != "RELU"},
    "FLATTEN": Word("FLATTEN"),
    "SOFTMAX": Word("SOFTMAX"),
}
_ALIASES = {
    "BATCHNORM": "BN",
    "DROP": "DROPOUT",
    "LEAKYRELU": "LRELU",
    "MAXPOOL": "POOL",
    "NORM": "BN",
}
POOLS = ("POOL", "AVGPOOL", "L2POOL")

WORD_WITH_SIZES = re.compile(r"[A-Za-z_][\w.\u00d7]*(?:-[\w.\u00d7]+)*")
_HEAD = re.compile(r"(L2POOL|[A-Z_]+)(\d[\d.X\u00d7]*)?", re.IGNORECASE)
_OPTION = re.compile(r"([a-z])(\d+)(?:[xX\u00d7](\d+))?", re.IGNORECASE)


@dataclass(frozen=True)
class Layer:
    """One layer as it was written; what was left out is None or missing.

    Attributes:
        word: in capitals, without aliases.
        position, length: where in the pattern.
        window: (rows, columns).
        number: filters, units, probability or slope.
        options: (rows, columns) for each letter, () for each flag.
        volume: (channels, height, width), of INPUT alone.
        optional: whether ``?`` follows.
    """

    word: str
    position: int
    length: int
    window: Shape | None = None
    number: float | None = None
    options: Mapping[str, Shape] = field(default_factory=dict)
    volume: Shape | None = None
    optional: bool = False


def read_layer(text: str, position: int, pattern: str) -> Layer:
    """A word with its sizes; a hyphen before another word ends it, as in CONV-RELU.

    Args:
        text: what ``WORD_WITH_SIZES`` found.
        position: where it begins in the pattern.
        pattern: the whole, for errors.

    Raises:
        PatternError: an unknown word, or a size that it does not take.
    """
    first, *parts = text.split("-")
    word, attached = _head(first, position, pattern)
    cut = next((i for i, part in enumerate(parts) if _known(part)), len(parts))
    parts = parts[:cut]
    length = len("-".join((first, *parts)))
    sizes = _Sizes(word, pattern)
    if attached:
        sizes.attached(attached, position + len(first) - len(attached))
    start = position + len(first) + 1
    for part in parts:
        sizes.part(part, start)
        start += len(part) + 1
    return Layer(word, position, length, **sizes.found)  # type: ignore[arg-type]


def _known(part: str) -> str | None:
    """The word that a part of the text is, whatever sizes follow."""
    match = _HEAD.fullmatch(part)
    word = match[1].upper() if match else ""
    word = _ALIASES.get(word, word)
    return word if word in WORDS else None


def _head(text: str, position: int, pattern: str) -> tuple[str, str]:
    word, match = _known(text), _HEAD.fullmatch(text)
    if word and match:
        return word, match[2] or ""
    near = get_close_matches(text.upper().rstrip("0123456789"), [*WORDS, *_ALIASES], 1)
    advice = f"did you mean {near[0]}?" if near else f"the words are {', '.join(WORDS)}"
    raise PatternError(f"no layer is called {text!r}; {advice}", pattern, position, len(text))


class _Sizes:
    """Collects what is written behind one word."""

    def __init__(self, word: str, pattern: str) -> None:
        self._word, self._pattern, self._takes = word, pattern, WORDS[word]
        self.found: dict[str, object] = {}
        self._options: dict[str, Shape] = {}

    def attached(self, text: str, position: int) -> None:
        """What follows without a hyphen: a window, or the number where there are no windows."""
        if self._takes.window:
            self._set("window", self._sizes(text, position), text, position)
        elif self._takes.number:
            self._number(text, position)
        else:
            raise self._refused(text, position)

    def part(self, text: str, position: int) -> None:
        """What stands behind one hyphen."""
        option = _OPTION.fullmatch(text)
        if text[0].isdigit() and self._word == "INPUT":
            self._set("volume", self._sizes(text, position, 3), text, position)
        elif text[0].isdigit() and self._takes.number:
            self._number(text, position)
        elif option and option[1].lower() in self._takes.options:
            letter = option[1].lower()
            axes, least = 1 if letter == "g" else 2, 0 if letter == "p" else 1
            self._option(letter, self._sizes(text[1:], position + 1, axes, least), text, position)
        elif text.lower() in self._takes.options and len(text) > 1:
            self._option(text.lower(), (), text, position)
        else:
            raise self._refused(text, position)

    def _option(self, name: str, value: Shape, text: str, position: int) -> None:
        if name in self._options:
            raise self._twice(text, position)
        self._options[name] = value
        self.found["options"] = self._options

    def _number(self, text: str, position: int) -> None:
        whole = self._takes.number in ("filters", "units", "channels")
        if not re.fullmatch(r"\d+" if whole else r"\d+(\.\d+)?", text):
            kind = "a whole number" if whole else "a number such as 0.5"
            raise self._refused(text, position, f"expected {kind} of {self._takes.number}")
        value = self._sizes(text, position)[0] if whole else float(text)
        self._set("number", value, text, position)

    def _sizes(self, text: str, position: int, axes: int = 2, least: int = 1) -> Shape:
        """``3`` or ``3x5``, and of three axes always all."""
        numbers = re.split(r"[xX\u00d7]", text)
        fits = len(numbers) == axes or (len(numbers), axes) == (1, 2)
        if not fits or not all(re.fullmatch(r"\d+", number) for number in numbers):
            raise self._refused(text, position)
        if any(len(n) > 7 or not least <= int(n) <= MAX_NUMBER for n in numbers):
            expected = f"expected {least} to {MAX_NUMBER:,}"
            raise self._refused(text, position, expected)
        sizes = tuple(map(int, numbers))
        return sizes * axes if len(sizes) == 1 else sizes

    def _set(self, name: str, value: object, text: str, position: int) -> None:
        if name in self.found:
            raise self._twice(text, position)
        self.found[name] = value

    def _twice(self, text: str, position: int) -> PatternError:
        return self._refused(text, position, "it is given twice")

    def _refused(self, text: str, position: int, why: str = "") -> PatternError:
        why = why or f"write it like {self._takes.example}"
        message = f"{self._word} takes no {text!r}: {why}"
        return PatternError(message, self._pattern, position, len(text))
