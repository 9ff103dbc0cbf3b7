"""Activation functions."""

from __future__ import annotations

from ._layer import Call, Layer


class Relu(Layer):
    """The positive part, with derivative 0 at 0, or 1 where the conventions say so."""

    def applies(self, call: Call) -> bool:
        """Where a derivative of 1/2 at 0 was asked for the text would be wrong."""
        larger = call.find("maximum")
        return super().applies(call) and larger is not None and larger.params["ties"] == "first"

    def forward(self, call: Call) -> None:
        """max(0, x)."""
        call.let("y", r"\max(0, $x)", "np.maximum(0, $x)")

    def backward(self, call: Call) -> None:
        """The gradient passes where x was positive; the first operand of maximum wins a tie."""
        zero_passes = call.output.operands[0] is call.vertex("x")
        latex, code = (r"\ge", ">=") if zero_passes else (">", ">")
        call.passes("x", rf"$g \odot \mathbf{{1}}[$x {latex} 0]", f"$g * ($x {code} 0)")


class LeakyRelu(Layer):
    """x where it is positive, a x elsewhere (Maas et al. 2013)."""

    def title(self, call: Call) -> str:
        """The slope."""
        return f"slope {call.params['negative_slope']:g}"

    def forward(self, call: Call) -> None:
        """Both branches."""
        call.number("a", call.params["negative_slope"])
        call.let("y", _cases("$x", "$a \\, $x"), "np.where($x > 0, $x, $a * $x)")

    def backward(self, call: Call) -> None:
        """The slope of the branch that x was in."""
        slope = rf"$g \odot {_cases('1', '$a')}"
        call.passes("x", slope, "$g * np.where($x > 0, 1, $a)")


class Gelu(Layer):
    """x times the normal distribution function at x (Hendrycks and Gimpel 2016)."""

    def applies(self, call: Call) -> bool:
        """With the error function; the formula with tanh is shown by its operations."""
        return super().applies(call) and call.params["approximate"] == "none"

    def forward(self, call: Call) -> None:
        """x Phi(x)."""
        call.let(
            "Phi",
            r"\frac{1}{2} \left( 1 + \operatorname{erf}\left( \frac{$x}{\sqrt{2}} \right) \right)",
            "0.5 * (1 + erf($x / np.sqrt(2)))",
            shape=call.shape("x"),
            shown=r"\Phi($x)",
            note="the normal distribution function",
        )
        call.let("y", r"$x \odot $Phi", "$x * $Phi")

    def backward(self, call: Call) -> None:
        """The product rule; the derivative of Phi is the normal density."""
        call.let(
            "density",
            r"\frac{1}{\sqrt{2 \pi}} \exp(-{$x}^{2} / 2)",
            "np.exp(-($x**2) / 2) / np.sqrt(2 * np.pi)",
            shape=call.shape("x"),
            shown=r"\varphi($x)",
            note="the derivative of Phi",
        )
        call.passes(
            "x", r"$g \odot \left( $Phi + $x \odot $density \right)", "$g * ($Phi + $x * $density)"
        )


class Softmax(Layer):
    """Exponentials that are divided by their sum."""

    def title(self, call: Call) -> str:
        """The axis, where it is not the last."""
        return _axis_title(call)

    def forward(self, call: Call) -> None:
        """The largest score is subtracted first, which changes nothing but avoids overflow."""
        _shift(call)
        call.let("exps", r"\exp($shifted)", "np.exp($shifted)", shape=call.shape("x"))
        call.let(
            "y", r"\frac{$exps}{\sum_{$axis} $exps}", "$exps / $exps.sum(axis=$axis, keepdims=True)"
        )

    def backward(self, call: Call) -> None:
        """Each row of the Jacobian is p_i (1[i = j] - p_j)."""
        call.passes(
            "x",
            r"$y \odot \left( $g - \sum_{$axis} $g \odot $y \right)",
            "$y * ($g - ($g * $y).sum(axis=$axis, keepdims=True))",
        )


class LogSoftmax(Layer):
    """The logarithm of softmax."""

    def title(self, call: Call) -> str:
        """The axis, where it is not the last."""
        return _axis_title(call)

    def forward(self, call: Call) -> None:
        """Shifted as in softmax; the logarithm is never taken of a number that underflowed."""
        _shift(call)
        call.let(
            "y",
            r"$shifted - \ln \sum_{$axis} \exp($shifted)",
            "$shifted - np.log(np.exp($shifted).sum(axis=$axis, keepdims=True))",
        )

    def backward(self, call: Call) -> None:
        """The derivative of the logarithm of the sum is softmax."""
        call.let("p", r"\exp($y)", "np.exp($y)", shape=call.shape("x"), note="softmax")
        call.passes(
            "x",
            r"$g - $p \odot \sum_{$axis} $g",
            "$g - $p * $g.sum(axis=$axis, keepdims=True)",
        )


def _cases(positive: str, other: str) -> str:
    return rf"\begin{{cases}} {positive} & $x > 0 \\ {other} & $x \le 0 \end{{cases}}"


def _axis(call: Call) -> tuple[str, str]:
    """The axis that is normalised, in mathematics and in code."""
    axis = call.params["axis"]
    return rf"\text{{axis {axis % len(call.shape('x'))}}}", str(axis)


def _axis_title(call: Call) -> str:
    axis, last = call.params["axis"] % len(call.shape("x")), len(call.shape("x")) - 1
    return "" if axis == last else f"axis {axis}"


def _shift(call: Call) -> None:
    """``$shifted``: the scores without their largest, along ``$axis``."""
    call.literal("axis", *_axis(call))
    call.let(
        "shifted",
        r"$x - \max_{$axis} $x",
        "$x - $x.max(axis=$axis, keepdims=True)",
        shape=call.shape("x"),
        note="the result stays the same, and exp can't overflow",
    )
