"""Normalisation."""

from __future__ import annotations

import math

from ...typing import Shape
from .._formula import axes_text
from ._layer import Call, Layer, axes_code, summed

_INDICES = {2: "n", 3: "n,l", 4: "n,h,w"}  # of one channel, by how many axes there are


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


class BatchNorm(Layer):
    """Every channel normalised over the batch, scaled and shifted.

    Ioffe and Szegedy (2015), section 3, give the chain rule step by step. Put together, with the
    means m of ``d x_hat`` and c of ``d x_hat * x_hat``: ``dx = (d x_hat - m - c x_hat) / s``. This
    is ``d x_hat`` without what x_hat and a constant explain of it.
    """

    spares = ("running_mean", "running_var")

    def applies(self, call: Call) -> bool:
        """Outside of training the running statistics must be known, and constants."""
        statistics = ("running_mean", "running_var")
        if call.params["training"]:
            return super().applies(call)
        known = all(call.has(name) and not call.wants(name) for name in statistics)
        return super().applies(call) and known

    def title(self, call: Call) -> str:
        """Which statistics are used."""
        return "training" if call.params["training"] else "with the running statistics"

    def forward(self, call: Call) -> None:
        """Centre, scale to variance 1, then scale and shift."""
        shape = call.shape("x")
        axes = (0, *range(2, len(shape)))
        per_channel = (1, shape[1]) + (1,) * (len(shape) - 2)
        call.literal("axis", "", axes_code(axes))
        count = str(math.prod(shape[i] for i in axes))
        call.literal("m", count, count)
        index = _INDICES.get(len(shape), rf"\text{{{axes_text(axes)}}}")
        call.literal("sum", rf"\sum_{{{index}}}", "")
        call.literal("channels", "", f".reshape{per_channel}" if len(shape) > 2 else "")
        call.number("eps", call.params["eps"])
        if call.params["training"]:
            self.statistics_of_batch(call, per_channel)
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

    @staticmethod
    def statistics_of_batch(call: Call, shape: Shape) -> None:
        """Mean and variance of each channel over batch and places."""
        call.let(
            "mu",
            r"\frac{1}{$m} $sum $x",
            "$x.mean($axis, keepdims=True)",
            shape=shape,
            code="${x}_mean",
            shown=r"\mu_{$x}",
            note="of each channel, over the batch",
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
        """Mean and variance of the batch depend on x too."""
        call.passes("weight", r"$sum \left( $g \odot $hat \right)", "($g * $hat).sum($axis)")
        call.passes("bias", "$sum $g", "$g.sum($axis)")
        if not call.wants("x"):
            return
        hat = "$g"
        if call.has("weight"):
            hat = "$dhat"
            call.gradient("hat", r"$g \odot $weight", "$g * $weight$channels")
        if not call.params["training"]:
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
