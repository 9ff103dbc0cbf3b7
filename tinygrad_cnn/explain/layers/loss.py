"""Losses."""

from __future__ import annotations

import math

import numpy as np

from ._layer import Call, Layer, summed

_REDUCTIONS = {"mean": "", "sum": "sum", "none": "one for each example"}


class _ClassLoss(Layer):
    """A loss of scores (N, C), or (C,) of a single example, by the right classes."""

    spares = ("target", "weight")  # labels and the weights of classes are not in the graph

    def applies(self, call: Call) -> bool:
        """Not for images of scores, nor where some examples count for nothing."""
        if not super().applies(call) or len(call.shape(self.needs[0])) > 2:
            return False
        counted = call.find("where")
        return counted is None or bool(np.all(counted.operands[0].value))

    def title(self, call: Call) -> str:
        """The reduction, where it is not the mean."""
        return _REDUCTIONS[call.params["reduction"]]

    def is_batch(self, call: Call) -> bool:
        """Whether there are several examples."""
        return len(call.shape(self.needs[0])) == 2

    def begin(self, call: Call) -> None:
        """Introduce ``$N``, ``$C`` and, unless the targets are probabilities, ``$labels``."""
        counted, picking = self.needs[0], call.find("getitem")
        if picking is not None:
            counted = "labels"
            call.given("labels", picking.params["index"][-1][..., 0], "target")
            shown = call.symbols["labels"].latex
            call.literal("label", f"{{{shown}}}_{{n}}" if self.is_batch(call) else shown, "")
        call.literal("N", "N", f"len({call.symbols[counted].code})")
        classes = str(call.shape(self.needs[0])[-1])
        call.literal("C", classes, classes)

    def picked(self, call: Call, name: str) -> tuple[str, str]:
        """From each row of a value the number that the label names."""
        if self.is_batch(call):
            return f"{{${name}}}_{{n, $label}}", f"${name}[np.arange($N), $labels]"
        return f"{{${name}}}_{{$label}}", f"${name}[$labels]"

    def total(self, call: Call, latex: str, numpy: str) -> tuple[str, str]:
        """The loss, made from the losses of the examples."""
        reduction = call.params["reduction"]
        if not self.is_batch(call) or reduction == "none":
            return latex, numpy
        if reduction == "sum":
            return rf"\sum_{{n}} {latex}", f"({numpy}).sum()"
        if "weights" in call.symbols:
            return rf"\frac{{1}}{{$W}} \sum_{{n}} {latex}", f"({numpy}).sum() / $W"
        return rf"\frac{{1}}{{$N}} \sum_{{n}} {latex}", f"({numpy}).mean()"

    def share(self, call: Call, latex: str, numpy: str) -> tuple[str, str]:
        """The gradient by the scores, made from that of the sum over all examples: a product."""
        whole = latex
        if "weights" in call.symbols:
            latex, numpy = rf"$weights \odot {latex}", f"$weights[:, None] * {numpy}"
        if self.is_batch(call) and call.params["reduction"] == "mean":
            divisor = "$W" if "weights" in call.symbols else "$N"
            latex, numpy = rf"\frac{{1}}{{{divisor}}} {latex}", f"{numpy} / {divisor}"
        latex, numpy = call.upstream(latex, numpy, "$g[:, None]" if call.output.shape else "$g")
        if latex == whole:
            latex = latex.removeprefix(r"\left( ").removesuffix(r" \right)")
        return latex, numpy


class _LogLikelihood(_ClassLoss):
    """What cross-entropy and the negative log-likelihood have in common."""

    def applies(self, call: Call) -> bool:
        """Weights must be known, which those of a list are not."""
        weighted = call.find("multiply") is not None
        known = call.array("weight") is not None and self.is_batch(call)
        return super().applies(call) and (known or not weighted)

    def title(self, call: Call) -> str:
        """The reduction, and whether some classes count more."""
        weighted = "weighted classes" if call.array("weight") is not None else ""
        return ", ".join(filter(None, [super().title(call), weighted]))

    def begin(self, call: Call) -> None:
        """Introduce ``$weights`` too, if there are any, and their sum ``$W``."""
        super().begin(call)
        weight = call.array("weight")
        if weight is None:
            return
        call.given("class_weights", weight, "weight")
        call.let(
            "weights",
            "{${class_weights}}_{$label}",
            "${class_weights}[$labels]",
            shape=call.symbols["labels"].shape,
            code="weights",
            shown=r"\omega",
            note="of each example",
        )
        weights = call.symbols["weights"]
        call.literal("W", rf"\sum_{{n}} {{{weights.latex}}}_{{n}}", f"{weights.code}.sum()")

    def loss(self, call: Call, name: str) -> tuple[str, str]:
        """Minus the logarithms picked from the value ``name``, weighted."""
        latex, numpy = self.picked(call, name)
        if "weights" in call.symbols:
            latex, numpy = rf"{{$weights}}_{{n}} {latex}", f"$weights * {numpy}"
        latex, numpy = self.total(call, latex, numpy)
        return f"-{latex}", f"-{numpy}"


class NllLoss(_LogLikelihood):
    """The negative log-likelihood."""

    needs = ("log_probabilities",)

    def forward(self, call: Call) -> None:
        """Pick, average."""
        self.begin(call)
        call.let("y", *self.loss(call, "{log_probabilities}"))

    def backward(self, call: Call) -> None:
        """Only what was picked has a gradient."""
        latex, numpy = r"\operatorname{onehot}($labels)", "one_hot($labels, $C)"
        latex, numpy = self.share(call, latex, numpy)
        call.passes("log_probabilities", f"-{latex}", f"-{numpy}")


class CrossEntropy(_LogLikelihood):
    """The softmax loss: its gradient is p minus what p shall be (Bishop 2006, section 4.3.4).

    Smoothed labels are such probabilities too (Szegedy et al. 2016).
    """

    needs = ("scores",)

    def applies(self, call: Call) -> bool:
        """Weights and probabilities as targets stay simple only one at a time."""
        if call.find("getitem") and not call.params["label_smoothing"]:
            return super().applies(call)
        plain = _ClassLoss.applies(self, call) and "weight" not in call.scope.operands
        if call.find("getitem"):
            return plain
        if not plain or not call.has("target") or call.wants("target"):
            return False
        return bool(np.allclose(call.vertex("target").value.sum(axis=-1), 1.0, 0.0, 1e-12))

    def title(self, call: Call) -> str:
        """What the targets are, too."""
        smoothing = call.params["label_smoothing"]
        smoothed = f"label smoothing {smoothing:g}" if smoothing else ""
        soft = "" if call.find("getitem") else "probabilities as targets"
        return ", ".join(filter(None, [super().title(call), soft, smoothed]))

    def forward(self, call: Call) -> None:
        """The logarithm is never taken of a probability that underflowed."""
        self.begin(call)
        shape = call.shape("scores")
        call.let(
            "shifted",
            r"$scores - \max_{c} $scores",
            "$scores - $scores.max(axis=-1, keepdims=True)",
            shape=shape,
            note="softmax stays the same, and exp can't overflow",
        )
        call.let(
            "logp",
            r"$shifted - \ln \sum_{c} \exp($shifted)",
            "$shifted - np.log(np.exp($shifted).sum(axis=-1, keepdims=True))",
            shape=shape,
            code="log_p",
            shown=r"\ln p",
            note="the logarithm of p = softmax",
        )
        if call.find("getitem") and not call.params["label_smoothing"]:
            call.let("y", *self.loss(call, "logp"))
            return
        self.distribution(call)
        latex, numpy = self.total(call, r"\sum_{c} $q \odot $logp", "($q * $logp).sum(axis=-1)")
        call.let("y", f"-{latex}", f"-{numpy}")

    @staticmethod
    def distribution(call: Call) -> None:
        """Introduce ``$q``, the probabilities that p shall have."""
        smoothing = call.params["label_smoothing"]
        latex, numpy = "$target", "$target"
        if call.find("getitem"):
            latex, numpy = r"\operatorname{onehot}($labels)", "one_hot($labels, $C)"
        elif not smoothing:
            call.symbols["q"] = call.symbols["target"]
            return
        call.number("kept", 1.0 - smoothing)
        call.number("spread", smoothing)
        call.let(
            "q",
            rf"$kept \, {latex} + \frac{{$spread}}{{$C}}",
            f"$kept * {numpy} + $spread / $C",
            shape=call.shape("scores"),
            note="some of each target is spread over all classes",
        )

    def backward(self, call: Call) -> None:
        """p minus what it shall be."""
        call.let("p", r"\exp($logp)", "np.exp($logp)", shape=call.shape("scores"))
        if "q" in call.symbols:
            texts = r"\left( $p - $q \right)", "($p - $q)"
        else:
            latex = r"\left( $p - \operatorname{onehot}($labels) \right)"
            texts = latex, "($p - one_hot($labels, $C))"
        call.passes("scores", *self.share(call, *texts))


class HingeLoss(_ClassLoss):
    """The multiclass SVM loss (Weston and Watkins 1999)."""

    needs = ("scores",)

    def applies(self, call: Call) -> bool:
        """A margin of exactly 0 passes no gradient; under other conventions it does."""
        return super().applies(call) and call.inner("ties") == "first"

    def title(self, call: Call) -> str:
        """The margin, where it is not 1, and whether it is the squared hinge."""
        margin, squared = call.params["margin"], "squared" * bool(call.params["squared"])
        told = [super().title(call), f"margin {margin:g}" * (margin != 1), squared]
        return ", ".join(filter(None, told))

    def forward(self, call: Call) -> None:
        """Sum over the wrong classes j of max(0, s_j - s_y + margin)."""
        self.begin(call)
        n, c = call.shape("scores")
        call.number("margin", call.params["margin"])
        call.let(
            "onehot",
            r"\operatorname{onehot}($labels)",
            "one_hot($labels, $C)",
            shape=(n, c),
            **call.below("labels", "onehot"),
        )
        latex, numpy = self.picked(call, "scores")
        call.let(
            "right",
            latex,
            f"{numpy}[:, None]",
            shape=(n, 1),
            **call.below("scores", "right"),
            note="the score of the right class",
        )
        call.let(
            "margins",
            r"\max(0, $scores - $right + $margin) \odot (1 - $onehot)",
            "np.maximum(0, $scores - $right + $margin) * (1 - $onehot)",
            shape=(n, c),
            note="0 for the right class",
        )
        summed = (r"\sum_{c} $margins", "$margins.sum(axis=1)")
        if call.params["squared"]:
            summed = (r"\sum_{c} {$margins}^{2}", "($margins**2).sum(axis=1)")
        call.let("y", *self.total(call, *summed))

    def backward(self, call: Call) -> None:
        """Each violated margin pulls its score down and the right score up."""
        if call.params["squared"]:
            texts = (r"2 \, $margins", "2 * $margins")
            note = "the derivative of the squares"
        else:
            texts = (r"\mathbf{1}[$margins > 0]", "($margins > 0).astype(float)")
            note = "1 where a wrong class comes too close"
        call.let("violated", *texts, shape=call.shape("scores"), note=note)
        latex = r"\left( $violated - $onehot \odot \sum_{c} $violated \right)"
        numpy = "($violated - $onehot * $violated.sum(axis=1, keepdims=True))"
        call.passes("scores", *self.share(call, latex, numpy))


class MseLoss(Layer):
    """The mean square difference."""

    needs = ("x", "target")

    def title(self, call: Call) -> str:
        """The reduction, where it is not the mean."""
        return _REDUCTIONS[call.params["reduction"]].replace("example", "element")

    def forward(self, call: Call) -> None:
        """Subtract, square, average."""
        shape = call.shape("x")
        n = str(math.prod(shape))
        call.literal("n", n, n)
        call.let("difference", "$x - $target", "$x - $target", shape=shape)
        total = summed("$difference", range(len(shape)), len(shape), "^{2}")
        squares = {
            "mean": (rf"\frac{{1}}{{$n}} {total}", "($difference**2).mean()"),
            "sum": (total, "($difference**2).sum()"),
            "none": ("{$difference}^{2}", "$difference**2"),
        }
        call.let("y", *squares[call.params["reduction"]])

    def backward(self, call: Call) -> None:
        """Twice the difference, for the target with the other sign."""
        mean = call.params["reduction"] == "mean"
        factor = (r"\frac{2}{$n}", "2 / $n") if mean else ("2", "2")
        for name, sign in (("x", ""), ("target", "-")):
            latex, numpy = call.upstream(
                rf"{factor[0]} \, $difference", f"{factor[1]} * $difference"
            )
            call.passes(name, f"{sign}{latex}", f"{sign}{numpy}")
