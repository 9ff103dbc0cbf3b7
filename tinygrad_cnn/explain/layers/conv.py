"""The affine layer and convolution."""

from __future__ import annotations

import math

from .._typeset import shape_text
from ._layer import Call, Layer
from ._windows import geometry, to_images, to_rows


class Linear(Layer):
    """``x W^T + b`` for a batch of rows, or for a single one."""

    needs = ("x", "weight")

    def applies(self, call: Call) -> bool:
        """With more axes the sums would be over several of them."""
        return super().applies(call) and len(call.shape("x")) <= 2

    def forward(self, call: Call) -> None:
        """x W^T + b for rows x, W x + b for a vector."""
        latex, code = r"$weight \, $x", "$weight @ $x"
        if rows := len(call.shape("x")) == 2:
            latex, code = r"$x \, {$weight}^{\top}", "$x @ $weight.T"
        if call.has("bias"):
            latex, code = f"{latex} + $bias", f"{code} + $bias"
        added = rows and call.has("bias")
        call.let("y", latex, code, note="the bias is added to every row" if added else "")

    def backward(self, call: Call) -> None:
        """Each operand gets the upstream gradient times the other one."""
        if len(call.shape("x")) == 2:
            call.passes("weight", r"{$g}^{\top} \, $x", "$g.T @ $x")
            call.passes("bias", r"\sum_{n} {$g}_{n}", "$g.sum(axis=0)")
            call.passes("x", r"$g \, $weight", "$g @ $weight")
        else:
            call.passes("weight", r"$g \, {$x}^{\top}", "np.outer($g, $x)")
            call.passes("bias", "$g", "$g")
            call.passes("x", r"{$weight}^{\top} \, $g", "$weight.T @ $g")


class Convolution(Layer):
    """``W_row X_col + b``: the windows are columns, the filters rows (Chellapilla et al. 2006).

    For conv1d, conv2d and conv3d alike.
    """

    needs = ("x", "weight")
    spares = ("stride", "padding", "dilation")

    def applies(self, call: Call) -> bool:
        """Groups are a matrix product each: their operations say it better.

        So they do where filters are flipped, sides are padded unlike or with anything but zeros.
        """
        pad = call.find("pad")
        alike = pad is None or all(before == after for before, after in pad.params["widths"])
        more = any(map(call.find, ("flip", "crop", "concatenate")))
        return super().applies(call) and call.params["groups"] == 1 and alike and not more

    def title(self, call: Call) -> str:
        """What differs from the defaults."""
        return geometry(call).title()

    def forward(self, call: Call) -> None:
        """One matrix product for all images and places."""
        n, k, *size = call.output.shape
        places = math.prod(size) * n
        length, bias = math.prod(call.shape("weight")[1:]), call.has("bias")
        call.literal("window", geometry(call).below(), geometry(call).arguments())
        call.let(
            "columns",
            r"\operatorname{im2col}_{$window}($x)",
            "im2col($x, $window)",
            shape=(length, places),
            **call.below("x", "col"),
            note="each column is what one window sees",
        )
        call.let(
            "filters",
            rf"\operatorname{{reshape}}_{{{k} \times {length}}}($weight)",
            f"$weight.reshape({k}, -1)",
            shape=(k, length),
            **call.below("weight", "row"),
            note="each row is one filter",
        )
        call.let(
            "out",
            r"$filters \, $columns" + (" + $bias" if bias else ""),
            "$filters @ $columns" + (" + $bias[:, None]" if bias else ""),
            shape=(k, places),
            **call.below("y", "row"),
            note="the bias is added to every column" if bias else "",
        )
        to_images(call, "out")

    def backward(self, call: Call) -> None:
        """The rule of the matrix product, between those of the rearrangements."""
        to_rows(call, "out")
        if call.wants("weight"):
            call.gradient("filters", r"$dout \, {$columns}^{\top}", "$dout @ $columns.T")
            shape = shape_text(call.shape("weight"))
            reshaped = rf"\operatorname{{reshape}}_{{{shape}}}($dfilters)"
            call.passes("weight", reshaped, "$dfilters.reshape($weight.shape)")
        call.passes("bias", r"\sum_{j} {$dout}_{:,j}", "$dout.sum(axis=1)")
        if call.wants("x"):
            call.gradient("columns", r"{$filters}^{\top} \, $dout", "$filters.T @ $dout")
            code = "col2im($dcolumns, $x.shape, $window)"
            call.passes("x", r"\operatorname{col2im}_{$window}($dcolumns)", code)
