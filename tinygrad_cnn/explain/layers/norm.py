"""Normalisation."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from ...typing import Shape
from .._formula import axes_text
from ._layer import Call, Layer, axes_code, summed

_INDICES = {1: "n", 2: "nc", 3: "ncl", 4: "nchw"}  # by how many axes there are


def _sum(axes: Sequence[int], ndim: int) -> str:
    """A sum over these axes, as LaTeX."""
    letters = _INDICES.get(ndim, "")
    index = ",".join(letters[i] for i in axes) if letters else rf"\text{{{axes_text(axes)}}}"
    return rf"\sum_{{{index}}}"


class SubtractMean(Layer):
    """x minus its mean."""

    spares = ("axis",)

    def title(self, call: Call) -> str:
        """The axes, where they are not all."""
        axes = call.inner("axis")
        return axes_text(axes) if len(axes) < len(call.shape("x")) else ""

    def forward(self, call: Call) -> None:
        """The mean over the axes, by default over the batch."""
        axes = call.inner("axis")
        kept = f"{axes_code(axes)}, keepdims=True" if len(axes) < len(call.shape("x")) else ""
        call.literal("kept", "", kept)
        call.let("y", self.centred(call, "$x"), "$x - $x.mean($kept)")

    def backward(self, call: Call) -> None:
        """It is its own adjoint: the gradient loses its mean too."""
        call.passes("x", self.centred(call, "$g"), "$g - $g.mean($kept)")

    @staticmethod
    def centred(call: Call, name: str) -> str:
        """Something minus its mean, as LaTeX."""
        axes, shape = call.inner("axis"), call.shape("x")
        count = math.prod(shape[i] for i in axes)
        return rf"{name} - \frac{{1}}{{{count}}} {summed(name, axes, len(shape))}"


class _Normalised(Layer):
    """Mean 0 and variance 1 over some axes, scaled and shifted.

    Ioffe and Szegedy (2015), section 3, give the chain rule step by step. Put together, with the
    means m of ``d x_hat`` and c of ``d x_hat * x_hat``: ``dx = (d x_hat - m - c x_hat) / s``. This
    is ``d x_hat`` without what x_hat and a constant explain of it.
    """

    spares: ClassVar[tuple[str, ...]] = ("running_mean", "running_var")
    over: ClassVar[str]  # what the statistics are of
    by_channel: ClassVar[bool] = True  # whether there is one weight for each channel

    @abstractmethod
    def axes(self, call: Call) -> tuple[int, ...]:
        """The axes that the statistics are taken over."""

    def shared(self, call: Call) -> tuple[int, ...]:
        """The axes along which a weight is used again."""
        return (0, *range(2, len(call.shape("x"))))

    def has_statistics(self, call: Call) -> bool:
        """Whether the statistics are those of x, not running ones."""
        return True

    def applies(self, call: Call) -> bool:
        """Running statistics must be known, and constants."""
        if self.has_statistics(call):
            return super().applies(call)
        known = all(call.has(name) and not call.wants(name) for name in self.spares)
        return super().applies(call) and known

    def title(self, call: Call) -> str:
        """Which statistics are used, where they are not those of x."""
        return "" if self.has_statistics(call) else "with the running statistics"

    def forward(self, call: Call) -> None:
        """Centre, scale to variance 1, then scale and shift."""
        shape, axes, shared = call.shape("x"), self.axes(call), self.shared(call)
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
        call.literal("axis", "", axes_code(axes))
        count = str(math.prod(shape[i] for i in axes))
        call.literal("m", count, count)
        call.literal("sum", _sum(axes, len(shape)), "")
        reused = (_sum(shared, len(shape)), f".sum({axes_code(shared)})") if shared else ("", "")
        call.literal("reused", *reused)
        per_channel = (1, *shape[1:2]) + (1,) * (len(shape) - 2)
        adapted = self.by_channel and len(shape) > 2
        call.literal("channels", "", f".reshape{per_channel}" if adapted else "")
        call.number("eps", call.params["eps"])
        if self.has_statistics(call):
            self.statistics_of_x(call, kept)
        else:
            self.running_statistics(call, per_channel)
        affine = call.has("weight") or call.has("bias")
        normalised = r"\frac{$x - $mu}{$std}", "($x - $mu) / $std"
        if not affine:
            call.let("y", *normalised)
            call.symbols["hat"] = call.symbols["y"]
            return
        # a hat would not fit a whole word
        shown = r"\hat{$x}" if len(call.symbols["x"].latex) == 1 else r"\hat{x}_{$x}"
        call.let("hat", *normalised, shape=shape, code="${x}_hat", shown=shown)
        latex = r"$weight \odot $hat" if call.has("weight") else "$hat"
        code = "$weight$channels * $hat" if call.has("weight") else "$hat"
        if call.has("bias"):
            latex, code = f"{latex} + $bias", f"{code} + $bias$channels"
        call.let("y", latex, code)

    def statistics_of_x(self, call: Call, shape: Shape) -> None:
        """Mean and variance over the axes."""
        call.let(
            "mu",
            r"\frac{1}{$m} $sum $x",
            "$x.mean($axis, keepdims=True)",
            shape=shape,
            code="${x}_mean",
            shown=r"\mu_{$x}",
            note=self.over,
        )
        call.let(
            "var",
            r"\frac{1}{$m} $sum ($x - $mu)^{2}",
            "(($x - $mu) ** 2).mean($axis, keepdims=True)",
            shape=shape,
            code="${x}_var",
            shown=r"\sigma^{2}_{$x}",
        )
        call.let(
            "std",
            r"\sqrt{$var + $eps}",
            "np.sqrt($var + $eps)",
            shape=shape,
            code="${x}_std",
            shown="s_{$x}",
        )

    @staticmethod
    def running_statistics(call: Call, shape: Shape) -> None:
        """Mean and variance that were gathered in training: constants."""
        call.let(
            "mu",
            "${running_mean}",
            "${running_mean}$channels",
            shape=shape,
            code="${x}_mean",
            shown=r"\mu_{$x}",
            note="gathered in training: a constant",
        )
        call.let(
            "std",
            r"\sqrt{${running_var} + $eps}",
            "np.sqrt(${running_var} + $eps)$channels",
            shape=shape,
            code="${x}_std",
            shown="s_{$x}",
        )

    def backward(self, call: Call) -> None:
        """Mean and variance of x depend on x too."""
        call.passes("weight", r"$reused \left( $g \odot $hat \right)", "($g * $hat)$reused")
        call.passes("bias", "$reused $g", "$g$reused")
        if not call.wants("x"):
            return
        hat = "$g"
        if call.has("weight"):
            hat = "$dhat"
            call.gradient("hat", r"$g \odot $weight", "$g * $weight$channels")
        if not self.has_statistics(call):
            call.passes("x", rf"\frac{{{hat}}}{{$std}}", f"{hat} / $std")
            return
        call.let(
            "shift",
            rf"\frac{{1}}{{$m}} $sum {hat}",
            f"{hat}.mean($axis, keepdims=True)",
            shape=call.symbols["mu"].shape,
            code="${x}_mean_part",
            shown="m_{$x}",
            note="what goes through the mean",
        )
        call.let(
            "scale",
            rf"\frac{{1}}{{$m}} $sum \left( {hat} \odot $hat \right)",
            f"({hat} * $hat).mean($axis, keepdims=True)",
            shape=call.symbols["mu"].shape,
            code="${x}_var_part",
            shown="c_{$x}",
            note="what goes through the variance",
        )
        call.passes(
            "x",
            rf"\frac{{{hat} - $shift - $scale \odot $hat}}{{$std}}",
            f"({hat} - $shift - $scale * $hat) / $std",
        )


class BatchNorm(_Normalised):
    """Every channel normalised over the batch."""

    over = "of each channel, over the batch"

    def axes(self, call: Call) -> tuple[int, ...]:
        """All but that of the channels."""
        return self.shared(call)

    def has_statistics(self, call: Call) -> bool:
        """In training."""
        return bool(call.params["training"])

    def title(self, call: Call) -> str:
        """Which statistics are used."""
        return super().title(call) or "training"


class InstanceNorm(_Normalised):
    """Every channel of every image normalised by itself."""

    over = "of each channel of each image"

    def axes(self, call: Call) -> tuple[int, ...]:
        """Those in space."""
        return tuple(range(2, len(call.shape("x"))))

    def has_statistics(self, call: Call) -> bool:
        """Unless it was told to use the running ones."""
        return bool(call.params["use_input_stats"])


class LayerNorm(_Normalised):
    """Every example normalised over its last axes."""

    spares = ("normalized_shape",)  # which may be a list
    over = "of each example"
    by_channel = False

    def axes(self, call: Call) -> tuple[int, ...]:
        """The last ones, as many as the weights have."""
        return tuple(call.inner("axis"))

    def shared(self, call: Call) -> tuple[int, ...]:
        """Those before."""
        return tuple(range(len(call.shape("x")) - len(self.axes(call))))


class LocalResponseNorm(Layer):
    """Divided by a power of the squares of neighbouring channels (Krizhevsky et al. 2012)."""

    def title(self, call: Call) -> str:
        """How many neighbours."""
        return f"{call.params['size']} channels"

    def forward(self, call: Call) -> None:
        """Beyond the first and the last channel are zeros."""
        shape, size = call.shape("x"), call.params["size"]
        for name in ("alpha", "beta", "k", "size"):
            call.number(name, call.params[name])
        call.literal("C", "", str(shape[1]))
        call.let(
            "squares",
            rf"{_neighbours(size // 2, (size - 1) // 2)} {{$x}}_{{j}}^{{2}}",
            _slices("$x**2", size // 2, (size - 1) // 2, len(shape)),
            shape=shape,
            code="${x}_squares",
            shown="q_{$x}",
            note="of the neighbours of channel c",
        )
        call.let(
            "scale",
            r"$k + \frac{$alpha}{$size} $squares",
            "$k + $alpha / $size * $squares",
            shape=shape,
            code="${x}_scale",
            shown="s_{$x}",
        )
        call.let("y", r"\frac{$x}{{$scale}^{$beta}}", "$x / $scale**$beta")

    def backward(self, call: Call) -> None:
        """Through the numerator, and through the squares of all that x is a neighbour of."""
        shape, size = call.shape("x"), call.params["size"]
        call.let(
            "share",
            r"\frac{$g \odot $y}{$scale}",
            "$g * $y / $scale",
            shape=shape,
            code="${x}_share",
            shown="r_{$x}",
        )
        call.let(
            "shares",
            rf"{_neighbours((size - 1) // 2, size // 2)} {{$share}}_{{j}}",
            _slices("$share", (size - 1) // 2, size // 2, len(shape)),
            shape=shape,
            code="${x}_shares",
            shown="R_{$x}",
            note="of all channels that have c as a neighbour",
        )
        call.passes(
            "x",
            r"\frac{$g}{{$scale}^{$beta}} - \frac{2 \cdot $alpha \cdot $beta}{$size} \,"
            r" $x \odot $shares",
            "$g / $scale**$beta - 2 * $alpha * $beta / $size * $x * $shares",
        )


def _neighbours(before: int, after: int) -> str:
    """The sum over the channels around c, as LaTeX."""
    return rf"\sum_{{j=c-{before}}}^{{c+{after}}}"


def _slices(values: str, before: int, after: int, ndim: int) -> str:
    """The same as code: shifted slices of what has zeros beside it."""
    widths = ((0, 0), (before, after)) + ((0, 0),) * (ndim - 2)
    return f"sum(np.pad({values}, {widths})[:, i : i + $C] for i in range($size))"
