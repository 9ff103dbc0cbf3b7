"""Pooling."""

from __future__ import annotations

import math

from ._layer import Call, Layer
from ._windows import Geometry, geometry, to_images, to_rows


class _Pool2d(Layer):
    """The windows of each channel as columns, of which one number is made."""

    spares = ("kernel_size", "stride", "padding", "dilation")

    def title(self, call: Call) -> str:
        """The window, and what differs from the defaults."""
        window = geometry(call)
        settings = window.title(stride=window.kernel)
        return "x".join(map(str, window.kernel)) + (f", {settings}" if settings else "")

    @staticmethod
    def columns(call: Call, images: str, window: Geometry) -> None:
        """The windows of every channel: (C, FH*FW, OH*OW*N)."""
        n, c, oh, ow = call.output.shape
        call.let(
            "columns",
            rf"\operatorname{{im2col}}_{{{window.below()}}}({images})",
            f"im2col({images}, {window.arguments()}).reshape({c}, {window.places}, -1)",
            shape=(c, window.places, oh * ow * n),
            **call.below("x", "col"),
            note="for each channel, a column is what one window sees",
        )

    @staticmethod
    def assemble(call: Call, latex: str, numpy: str) -> None:
        """One number for each column, and these as images."""
        n, c, oh, ow = call.output.shape
        call.let("row", latex, numpy, shape=(c, oh * ow * n), **call.below("y", "row"))
        to_images(call, "row")

    @staticmethod
    def scatter(call: Call) -> None:
        """The gradient by the columns, added back where the windows lay."""
        window, c = geometry(call), call.output.shape[1]
        columns = f"$dcolumns.reshape({c * window.places}, -1)"
        latex = rf"\operatorname{{col2im}}_{{{window.below()}}}($dcolumns)"
        call.passes("x", latex, f"col2im({columns}, $x.shape, {window.arguments()})")


class MaxPool2d(_Pool2d):
    """The largest pixel of every window; switches remember which (Zeiler and Fergus 2014)."""

    def applies(self, call: Call) -> bool:
        """Where ties are split there are no switches."""
        return super().applies(call) and call.find("gather_windows") is not None

    def forward(self, call: Call) -> None:
        """The largest of each column, and where it stands."""
        window = geometry(call)
        images = "$x"
        if any(window.padding):
            images = "$padded"
            self.pad(call, window)
        self.columns(call, images, window._replace(padding=(0, 0)))
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

    @staticmethod
    def pad(call: Call, window: Geometry) -> None:
        """The padding never wins."""
        n, c, h, w = call.shape("x")
        ph, pw = window.padding
        widths = ((0, 0), (0, 0), (ph, ph), (pw, pw))
        call.let(
            "padded",
            r"\operatorname{pad}($x)",
            f"np.pad($x, {widths}, constant_values=-np.inf)",
            shape=(n, c, h + 2 * ph, w + 2 * pw),
            **call.below("x", "pad"),
            note="minus infinity is never the largest",
        )

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


class AvgPool2d(_Pool2d):
    """The mean of every window."""

    def title(self, call: Call) -> str:
        """Whether the padding counts, too."""
        return super().title(call) + (", padding not counted" if self.counts(call) else "")

    @staticmethod
    def counts(call: Call) -> bool:
        """Whether pixels are counted: windows at the border hold fewer without the padding."""
        return any(geometry(call).padding) and not call.params["count_include_pad"]

    def forward(self, call: Call) -> None:
        """The sum of each column, divided by how many pixels it has."""
        window = geometry(call)
        self.columns(call, "$x", window)
        call.literal("places", str(window.places), str(window.places))
        latex, mean = r"\frac{1}{$places} \sum_{k} $columns", "$columns.mean(axis=1)"
        if self.counts(call):
            self.count(call, window)
            mean = "$columns.sum(axis=1) / $places"
        self.assemble(call, latex, mean)

    @staticmethod
    def count(call: Call, window: Geometry) -> None:
        """How many pixels of each window do not belong to the padding."""
        n, _, h, w = call.shape("x")
        call.let(
            "places",
            r"\sum_{k} \operatorname{im2col}(\mathbf{1})",
            f"im2col(np.ones(({n}, 1, {h}, {w})), {window.arguments()}).sum(axis=0)",
            shape=(math.prod(call.output.shape[2:]) * n,),
            **call.below("x", "pixels"),
            note="how many pixels of each window are not padding",
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
