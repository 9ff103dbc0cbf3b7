"""A pattern from a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import nn
from ..._core.tensor import Tensor
from ..._kernels.windows import Window
from ...errors import ArgumentError, GraphError
from ...functional._sliding import widths
from ...typing import Shape
from .._chain import Link, chain
from ._fold import Spellings, fold
from ._sizes import (
    CLASSES,
    CONV_WINDOW,
    DROPOUT,
    HIDDEN,
    INPUT,
    NEIGHBOURS,
    POOL_WINDOW,
    SLOPE,
    scores_at,
    usual_alpha,
    usual_filters,
    usual_padding,
)
from ._words import ACTIVATIONS, POOLS

__all__ = ["to_pattern"]


def to_pattern(model: nn.Module, input: Shape | None = None, *, sizes: bool = False) -> str:
    """Write a model as a layer pattern, as short as repetitions make it.

    ``from_pattern`` of the result has the same layers. The model runs once, as in use, so that
    activations, pools and ``flatten`` that its ``forward`` calls as functions are seen; dropout
    shows as ``nn.Dropout`` alone.

    Args:
        model: layers in a row, in modules that may be nested.
        input: (channels, height, width) of its images, by default its ``input_shape``.
        sizes: write all sizes, not just those that differ from what is left out usually.

    Raises:
        GraphError: the model branches, or has a layer or setting that the language has not.
        ArgumentError: the model does not say its ``input_shape``, and no ``input`` is given.

    >>> import tinygrad_cnn as tc
    >>> tc.models.to_pattern(tc.models.LeNet5())
    'INPUT-1x28x28 -> CONV5-6 -> RELU -> POOL -> CONV5-16-p0 -> RELU -> POOL -> FC-120 -> ...
    """
    shape = getattr(model, "input_shape", None) if input is None else input
    if not isinstance(shape, (tuple, list)) or len(shape) != 3:
        raise ArgumentError(
            f"to_pattern: input={shape!r}, expected (channels, height, width) of the images, such"
            " as input=(3, 32, 32)"
        )
    links = [link for link in chain(model, (1, *shape), "to_pattern") if not _is_idle(link)]
    words = _implied([_Word(link) for link in links])
    first = "INPUT" if tuple(shape) == INPUT and not sizes else f"INPUT-{_by(tuple(shape))}"
    return f"{first} -> {fold(_spellings(words, sizes))}"


def _is_idle(link: Link) -> bool:
    """Whether a layer returns what it was given, at these sizes: it is left out."""
    module = link.module
    same = link.input_shape == link.output_shape
    return isinstance(module, nn.Identity) or (
        same and isinstance(module, (nn.AdaptiveAvgPool2d, nn.Flatten))
    )


class _Word:
    """One layer as a word: ``stem`` with its window, ``number`` and what follows it.

    Attributes:
        word: as in ``WORDS``.
        number: the filters, units … or None.
        usual: the number that need not be written.
    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self.module: Any = link.module
        self.number: float | None = None
        self.usual: float | None = None
        self.window: Shape | None = None
        self.usual_window: Shape | None = None
        self.rest = ""
        kind = type(self.module)
        if kind not in _WRITERS:
            raise self.refused("there is no word for it")
        self.word, reference, said, write = _WRITERS[kind]
        self._check(reference(), said)
        if write:
            write(self)

    def _check(self, reference: nn.Module, said: str) -> None:
        """Refuse settings that the language cannot say and that differ from the usual."""
        for name, usual in vars(reference).items():
            ours = getattr(self.module, name)
            held = isinstance(ours, Tensor), isinstance(usual, Tensor)
            same = all(held) if any(held) else ours == usual
            if not (name[0] == "_" or name in said.split() or name in _NO_SETTINGS or same):
                shown = f"{name}={'a Tensor' if held[0] else repr(ours)}"
                raise self.refused(f"a pattern cannot say {shown}")

    def refused(self, why: str) -> GraphError:
        """The error that names the layer."""
        return GraphError(f"to_pattern: {self._link.name} is {self.module!r}: {why}")

    @property
    def is_vector(self) -> bool:
        """Whether (N, F) comes out, and not a volume."""
        return len(self._link.output_shape) == 2

    def spellings(self, sizes: bool) -> Spellings:
        """How it may be written: with its number, and without where that is the usual one."""
        window = "" if self.window is None else _by(self.window)
        if self.window == self.usual_window and not sizes:
            window = ""
        stem = f"{self.word}{window}"
        if self.number is None:
            return frozenset([stem + self.rest])
        text = f"{stem}-{np.format_float_positional(self.number, trim='-')}{self.rest}"
        short = {stem + self.rest} if self.number == self.usual and not sizes else set()
        return frozenset([text, *short])

    # -- the settings of each kind of layer --------------------------------------------------

    def conv(self) -> None:
        layer = self.module
        self.number = layer.out_channels
        self.window, self.usual_window = layer.kernel_size, CONV_WINDOW
        window = Window(layer.kernel_size, layer.stride, layer.dilation)
        self.rest = _option("s", layer.stride, (1, 1))
        self.rest += _option("p", self._padding(window), usual_padding(*window[::2]))
        self.rest += _option("d", layer.dilation, (1, 1))
        self.rest += f"-g{layer.groups}" if layer.groups > 1 else ""
        self.rest += self._bias()

    def pool(self) -> None:
        layer = self.module
        self.window, self.usual_window = layer.kernel_size, POOL_WINDOW
        window = Window(layer.kernel_size, layer.stride, (1, 1))
        self.rest = _option("s", layer.stride, layer.kernel_size)
        if self.word != "L2POOL":
            self.rest += _option("p", self._padding(window), (0, 0))
        self.rest += "-ceil" if layer.ceil_mode else ""

    def linear(self) -> None:
        self.number, self.rest = self.module.out_features, self._bias()

    def dropout(self) -> None:
        self.number, self.usual = self.module.p, DROPOUT

    def leaky_relu(self) -> None:
        self.number, self.usual = self.module.negative_slope, SLOPE
        if self.number < 0:
            raise self.refused("a pattern cannot say a slope below 0")

    def lrn(self) -> None:
        self.number, self.usual = self.module.size, NEIGHBOURS
        alpha = usual_alpha(self.module.size)
        if self.module.alpha != alpha:
            raise self.refused(f"LRN has AlexNet's alpha, {alpha:g} for this size")

    def _padding(self, window: Window) -> Shape:
        """What a padding by number or name adds on each side, at these sizes."""
        size, padding = self._link.input_shape[2:], self.module.padding
        pairs = widths(size, window.extent, window.stride, padding, "to_pattern")
        if any(before != after for before, after in pairs):
            raise self.refused(f"a pattern cannot say padding={padding!r}, unequal at the sides")
        return tuple(before for before, _ in pairs)

    def _bias(self) -> str:
        return "" if self.module.bias is not None else "-nobias"


# For each module its word, a module with usual settings, the settings that a pattern can say and
# what writes them.
_POOL_SETTINGS = "kernel_size stride padding ceil_mode"
_NO_SETTINGS = ("generator", "training")
_Writer = tuple[str, Callable[[], nn.Module], str, Callable[[_Word], None] | None]
_WRITERS: dict[type[nn.Module], _Writer] = {
    nn.Conv2d: (
        "CONV",
        lambda: nn.Conv2d(1, 1, 1),
        "in_channels out_channels kernel_size stride padding dilation groups bias",
        _Word.conv,
    ),
    nn.MaxPool2d: ("POOL", lambda: nn.MaxPool2d(1), _POOL_SETTINGS, _Word.pool),
    nn.AvgPool2d: ("AVGPOOL", lambda: nn.AvgPool2d(1), _POOL_SETTINGS, _Word.pool),
    nn.LPPool2d: ("L2POOL", lambda: nn.LPPool2d(2, 1), _POOL_SETTINGS, _Word.pool),
    nn.AdaptiveAvgPool2d: ("GAP", lambda: nn.AdaptiveAvgPool2d(1), "", None),
    nn.GlobalAvgPool2d: ("GAP", nn.GlobalAvgPool2d, "keepdims", None),
    nn.Linear: ("FC", lambda: nn.Linear(1, 1), "in_features out_features bias", _Word.linear),
    nn.BatchNorm1d: ("BN", lambda: nn.BatchNorm1d(1), "num_features", None),
    nn.BatchNorm2d: ("BN", lambda: nn.BatchNorm2d(1), "num_features", None),
    nn.LocalResponseNorm: (
        "LRN", lambda: nn.LocalResponseNorm(5, k=2.0), "size alpha", _Word.lrn
    ),
    nn.Dropout: ("DROPOUT", nn.Dropout, "p", _Word.dropout),
    nn.LeakyReLU: ("LRELU", nn.LeakyReLU, "negative_slope", _Word.leaky_relu),
    nn.PReLU: ("PRELU", nn.PReLU, "", None),
    nn.Flatten: ("FLATTEN", nn.Flatten, "", None),
    **{make: (word, make, "", None) for word, make in ACTIVATIONS.items()},
}  # fmt: skip


def _implied(words: list[_Word]) -> list[_Word]:
    """Without each FLATTEN that an FC, or a GAP whose volume stays one, implies.

    Raises:
        GraphError: no Flatten follows such a GAP.
    """
    names = [word.word for word in words]
    kept = []
    for word, before, after in zip(words, [None, *words], [*names[1:], ""], strict=False):
        volume_left = word.word == "GAP" and not word.is_vector
        if volume_left and after != "FLATTEN":
            raise word.refused("GAP makes a vector, and here no Flatten follows")
        implied = after == "FC" or (before is not None and before.word == "GAP")
        if word.word != "FLATTEN" or not implied:
            kept.append(word)
    return kept


def _spellings(words: list[_Word], sizes: bool) -> list[Spellings]:
    """The ways to write each layer, once it is known what need not be said."""
    scores = scores_at([word.word for word in words])
    filters: int | None = None
    pooled = False
    for i, word in enumerate(words):
        if word.word == "CONV":
            word.usual = CLASSES if i == scores else usual_filters(filters, pooled)
            filters, pooled = word.module.out_channels, False
        elif word.word == "FC":
            word.usual = CLASSES if i == scores else HIDDEN
        pooled = pooled or word.word in POOLS
    return [word.spellings(sizes) for word in words]


def _option(letter: str, value: Shape, usual: Shape | None) -> str:
    return "" if value == usual else f"-{letter}{_by(value)}"


def _by(size: Shape) -> str:
    """3 for (3, 3), 3x5 for (3, 5)."""
    return str(size[0]) if len(size) == 2 and size[0] == size[1] else "x".join(map(str, size))
