"""Pooling."""

from __future__ import annotations

import math

from ...functional._pooling import Layout, divisors
from ...functional._sliding import Widths, widths
from ._layer import Call, Layer
from ._windows import geometry, to_images, to_rows


class _Pool(Layer):
    """The windows of each channel as columns, of which one number is made."""

    spares = ("kernel_size", "stride", "padding", "dilation")
    filling = ""  # what the padding is, as an argument of np.pad

    def applies(self, call: Call) -> bool:
        """Images that are cut off, or padded by what is not known, are left to the operations."""
        known = "padding" not in call.unknown() or not _uneven(call)
        return super().applies(call) and call.find("crop") is None and known

    def title(self, call: Call) -> str:
        """The window, and what differs from the defaults."""
        window = geometry(call)
        text = "x".join(map(str, window.kernel))
        if _uneven(call):
            window = window._replace(padding=(0,) * len(window.kernel))
            text += ", padding " + " x ".join(f"{a}+{b}" for a, b in _around(call))
        settings = window.title(stride=window.kernel)
        return text + (f", {settings}" if settings else "")

    def columns(self, call: Call, *, padded: bool) -> None:
        """The windows of every channel: (C, FH*FW, OH*OW*N), of images that are padded before."""
        window, images = geometry(call), "$x"
        if padded:
            self.pad(call)
            window, images = window._replace(padding=(0,) * len(window.kernel)), "$padded"
        n, c, *out = call.output.shape
        call.let(
            "columns",
            rf"\operatorname{{im2col}}_{{{window.below()}}}({images})",
            f"im2col({images}, {window.arguments()}).reshape({c}, {window.places}, -1)",
            shape=(c, window.places, math.prod(out) * n),
            **call.below("x", "col"),
            note="for each channel, a column is what one window sees",
        )

    def pad(self, call: Call) -> None:
        """The images with a border."""
        n, c, *size = call.shape("x")
        around = _around(call)
        call.let(
            "padded",
            r"\operatorname{pad}($x)",
            f"np.pad($x, {((0, 0), (0, 0), *around)}{self.filling})",
            shape=(n, c, *(m + a + b for m, (a, b) in zip(size, around, strict=True))),
            **call.below("x", "pad"),
            note="minus infinity is never the largest" if self.filling else "zeros all around",
        )

    @staticmethod
    def assemble(call: Call, latex: str, numpy: str) -> None:
        """One number for each column, and these as images."""
        n, c, *out = call.output.shape
        call.let("row", latex, numpy, shape=(c, math.prod(out) * n), **call.below("y", "row"))
        to_images(call, "row")

    @staticmethod
    def scatter(call: Call) -> None:
        """The gradient by the columns, added back where the windows lay."""
        window, c = geometry(call), call.output.shape[1]
        if _uneven(call):
            window = window._replace(padding=(0,) * len(window.kernel))
        columns = f"$dcolumns.reshape({c * window.places}, -1)"
        latex = rf"\operatorname{{col2im}}_{{{window.below()}}}($dcolumns)"
        if not _uneven(call):
            call.passes("x", latex, f"col2im({columns}, $x.shape, {window.arguments()})")
            return
        code = f"col2im({columns}, $padded.shape, {window.arguments()})"
        call.gradient("padded", latex, code, note="the border is no part of the images")
        inside = ", ".join(
            f"{a}:{a + n}" for n, (a, _) in zip(call.shape("x")[2:], _around(call), strict=True)
        )
        call.passes("x", r"\operatorname{crop}($dpadded)", f"$dpadded[:, :, {inside}]")


class MaxPool(_Pool):
    """The largest pixel of every window; switches remember which (Zeiler and Fergus 2014)."""

    filling = ", constant_values=-np.inf"

    def applies(self, call: Call) -> bool:
        """Where ties are split there are no switches."""
        return super().applies(call) and call.find("gather_windows") is not None

    def forward(self, call: Call) -> None:
        """The largest of each column, and where it stands."""
        self.columns(call, padded=any(map(any, _around(call))))
        c, _, length = call.symbols["columns"].shape or ()
        call.let(
            "switches",
            r"\arg\max_{k} $columns",
            "$columns.argmax(axis=1)",
            shape=(c, length),
            code="${x}_switches",
            shown="s_{$x}",
            note="which pixel of its window is the largest, the first of equals",
        )
        self.assemble(call, r"\max_{k} $columns", "$columns.max(axis=1)")

    def backward(self, call: Call) -> None:
        """All of the gradient goes to the pixel that won."""
        to_rows(call, "row")
        places = f"np.arange({geometry(call).places})[:, None]"
        call.gradient(
            "columns",
            r"\mathbf{1}[k = $switches] \odot $drow",
            f"({places} == $switches[:, None]) * $drow[:, None]",
            note="the largest pixel of a window gets all",
        )
        self.scatter(call)


class AvgPool(_Pool):
    """The mean of every window."""

    def title(self, call: Call) -> str:
        """Whether the padding counts, or what sums are divided by, too."""
        divisor = call.params["divisor_override"]
        if divisor is not None:
            return f"{super().title(call)}, divided by {divisor}"
        left_out = any(map(any, _around(call))) and not call.params["count_include_pad"]
        return super().title(call) + (", padding not counted" if left_out else "")

    def forward(self, call: Call) -> None:
        """The sum of each column, divided by how many pixels count."""
        self.columns(call, padded=_uneven(call))
        divisor = call.params["divisor_override"]
        places = geometry(call).places if divisor is None else divisor
        call.literal("places", str(places), str(places))
        mean = "$columns.mean(axis=1)"
        if divisor is not None:
            mean = "$columns.sum(axis=1) / $places"
        elif not isinstance(divisors(_placed(call), call.params["count_include_pad"]), int):
            self.count(call)
            mean = "$columns.sum(axis=1) / $places"
        self.assemble(call, r"\frac{1}{$places} \sum_{k} $columns", mean)

    @staticmethod
    def count(call: Call) -> None:
        """How many pixels of each window count."""
        n, window, placed = call.output.shape[0], geometry(call), _placed(call)
        size, around = list(placed.size), placed.padding
        if call.params["count_include_pad"]:  # all but what is seen beyond the padding
            size = [m + a + b for m, (a, b) in zip(size, placed.around, strict=True)]
            around = tuple((0, b - c) for (_, b), (_, c) in zip(around, placed.around, strict=True))
        ones = f"np.ones(({n}, 1, {', '.join(map(str, size))}))"
        if any(a != b for a, b in around):
            window = window._replace(padding=(0,) * len(size))
            ones = f"np.pad({ones}, {((0, 0), (0, 0), *around)})"
        call.let(
            "places",
            r"\sum_{k} \operatorname{im2col}(\mathbf{1})",
            f"im2col({ones}, {window.arguments()}).sum(axis=0)",
            shape=(math.prod(call.output.shape[2:]) * n,),
            **call.below("x", "pixels"),
            note="how many pixels of each window count",
        )

    def backward(self, call: Call) -> None:
        """Every pixel of a window gets the same share."""
        to_rows(call, "row")
        call.gradient(
            "columns",
            r"\frac{1}{$places} \, $drow",
            f"np.repeat(($drow / $places)[:, None], {geometry(call).places}, axis=1)",
            note="every pixel of a window gets the same share",
        )
        self.scatter(call)


def _around(call: Call) -> Widths:
    """What was added (before, after) along each axis in space."""
    axes = len(call.shape("x"))
    found: Widths = call.inner("widths", ((0, 0),) * axes)
    return found[2:]


def _uneven(call: Call) -> bool:
    """Whether the border is not the same on both sides: ``im2col`` adds no such one."""
    return any(before != after for before, after in _around(call))


def _placed(call: Call) -> Layout:
    """How the window lies, as the function that pooled had it."""
    window, size = call.inner("window"), call.shape("x")[2:]
    asked = _around(call)
    if _uneven(call):
        asked = widths(size, window.extent, window.stride, call.params["padding"], "")
    return Layout(size, window, asked, _around(call))
