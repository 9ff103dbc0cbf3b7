"""Statistics: means, variances, norms."""

from __future__ import annotations

import math

import numpy as np

from .._formula import axes_text
from .._typeset import shape_text
from ._layer import Call, Layer, axes_code, summed


class _Reduction(Layer):
    """A function of the numbers along some axes."""

    spares = ("axis",)

    def title(self, call: Call) -> str:
        """The axes, where they are not all."""
        axes = call.inner("axis")
        return "" if len(axes) == len(call.shape("x")) else axes_text(axes)

    @staticmethod
    def begin(call: Call) -> None:
        """Introduce ``$n``, how many numbers there are, and the arguments of NumPy's reductions.

        ``$result`` makes the result, ``$kept`` what broadcasts against x.
        """
        axes, shape = call.inner("axis"), call.shape("x")
        count = str(math.prod(shape[i] for i in axes))
        call.literal("n", count, count)
        kept = f"{axes_code(axes)}, keepdims=True"
        if call.params["keepdims"]:
            result = kept
        elif len(axes) == len(shape):
            result = kept = ""
        else:
            result = axes_code(axes)
        call.literal("result", "", result)
        call.literal("kept", "", kept)

    @staticmethod
    def sum(call: Call, operand: str, power: str = "") -> str:
        """The sum over the axes as LaTeX."""
        return summed(operand, call.inner("axis"), len(call.shape("x")), power)

    @staticmethod
    def spread(call: Call, text: str) -> str:
        """Code for something of the result's shape, so that it broadcasts against x."""
        axes, ndim = call.inner("axis"), len(call.shape("x"))
        parts = ["None" if i in axes else ":" for i in range(ndim)]
        while parts and parts[0] == "None":  # broadcasting adds axes in front by itself
            del parts[0]
        if call.params["keepdims"] or "None" not in parts:
            return text
        return f"{text}[{', '.join(parts)}]"


class Mean(_Reduction):
    """The sum divided by n."""

    def forward(self, call: Call) -> None:
        """The mean along the axes."""
        self.begin(call)
        call.let("y", rf"\frac{{1}}{{$n}} {self.sum(call, '$x')}", "$x.mean($result)")

    def backward(self, call: Call) -> None:
        """Every element gets the same share."""
        ones = rf"\cdot \mathbf{{1}}_{{{shape_text(call.shape('x'))}}}"
        if call.is_root:
            call.passes("x", rf"\frac{{1}}{{$n}} {ones}", "np.full($x.shape, 1 / $n)")
            return
        repeated = rf"\operatorname{{repeat}}_{{\text{{{axes_text(call.inner('axis'))}}}}}($g)"
        latex = repeated if call.output.shape else f"$g {ones}"
        code = f"np.broadcast_to({self.spread(call, '$g')} / $n, $x.shape)"
        call.passes("x", rf"\frac{{1}}{{$n}} \, {latex}", code)


class Var(_Reduction):
    """The mean square distance from the mean, or with ``ddof=1`` its unbiased estimate."""

    def title(self, call: Call) -> str:
        """What n is lessened by, too."""
        ddof = call.params["ddof"]
        return ", ".join(filter(None, [super().title(call), f"ddof {ddof}" if ddof else ""]))

    def forward(self, call: Call) -> None:
        """Centre, square, average."""
        self.centre(call)
        call.let("y", *self.variance(call))

    def backward(self, call: Call) -> None:
        """The mean itself gets nothing: the centred numbers sum to 0."""
        texts = r"\frac{2}{$divisor} \, $centered", "2 / $divisor * $centered"
        call.passes("x", *call.upstream(*texts, self.spread(call, "$g")))

    def centre(self, call: Call) -> None:
        """Subtract the mean; introduce ``$divisor``."""
        self.begin(call)
        divisor = str(int(call.symbols["n"].code) - call.params["ddof"])
        call.literal("divisor", divisor, divisor)
        call.let(
            "centered",
            rf"$x - \frac{{1}}{{$n}} {self.sum(call, '$x')}",
            "$x - $x.mean($kept)",
            shape=call.shape("x"),
            **call.below("x", "centered"),
        )

    def variance(self, call: Call) -> tuple[str, str]:
        """The variance in terms of ``$centered``."""
        squares = self.sum(call, "$centered", "^{2}")
        return rf"\frac{{1}}{{$divisor}} {squares}", "($centered**2).sum($result) / $divisor"


class Std(Var):
    """The square root of the variance."""

    def applies(self, call: Call) -> bool:
        """Where it is 0 it has no derivative, and what is taken instead needs more words."""
        return super().applies(call) and call.output.operation == "sqrt"

    def forward(self, call: Call) -> None:
        """Centre, square, average, take the root."""
        self.centre(call)
        latex, code = self.variance(call)
        call.let("y", rf"\sqrt{{{latex}}}", f"np.sqrt({code})")

    def backward(self, call: Call) -> None:
        """As for the variance, times the derivative 1 / (2 y) of the root."""
        root = self.spread(call, "$y")
        texts = r"\frac{$centered}{$divisor \, $y}", f"$centered / ($divisor * {root})"
        call.passes("x", *call.upstream(*texts, self.spread(call, "$g")))


class LogSumExp(_Reduction):
    """The logarithm of the sum of exponentials."""

    def applies(self, call: Call) -> bool:
        """Where the largest element is infinite it is not taken out."""
        if not super().applies(call):
            return False
        largest = np.max(call.vertex("x").value, axis=call.inner("axis"))
        return bool(np.isfinite(largest).all())

    def forward(self, call: Call) -> None:
        """log sum exp(x - m) + m holds for every m; the largest x avoids overflow."""
        self.begin(call)
        axes, shape = call.inner("axis"), call.shape("x")
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
        if not call.symbols["kept"].code:
            kept = ()
        largest = r"\max" if len(axes) == len(shape) else rf"\max_{{\text{{{axes_text(axes)}}}}}"
        call.let("m", f"{largest} $x", "$x.max($kept)", shape=kept)
        exps = r"\exp($x - $m)", "np.exp($x - $m)"
        call.let("exps", *exps, shape=shape, note="at most 1: no overflow")
        call.let("total", self.sum(call, "$exps"), "$exps.sum($kept)", shape=kept)
        squeezed = f".squeeze({axes_code(axes)})" if kept and not call.params["keepdims"] else ""
        call.let("y", r"$m + \ln $total", f"($m + np.log($total)){squeezed}")

    def backward(self, call: Call) -> None:
        """The derivative is softmax."""
        texts = r"\frac{$exps}{$total}", "$exps / $total"
        call.passes("x", *call.upstream(*texts, self.spread(call, "$g")))


class Norm(_Reduction):
    """The Euclidean length."""

    def applies(self, call: Call) -> bool:
        """Other norms are shown by their operations, and so is length 0, which is a kink."""
        return super().applies(call) and call.output.operation == "sqrt"

    def forward(self, call: Call) -> None:
        """The root of the sum of squares."""
        self.begin(call)
        squares = self.sum(call, "$x", "^{2}")
        call.let("y", rf"\sqrt{{{squares}}}", "np.sqrt(($x**2).sum($result))")

    def backward(self, call: Call) -> None:
        """The unit vector in the direction of x."""
        texts = r"\frac{$x}{$y}", f"$x / {self.spread(call, '$y')}"
        call.passes("x", *call.upstream(*texts, self.spread(call, "$g")))
