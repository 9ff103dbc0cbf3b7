"""Activation functions that are one formula and its derivative."""

from __future__ import annotations

from typing import NamedTuple

from ._layer import Call, Layer


class Texts(NamedTuple):
    """A template in mathematics and in code."""

    latex: str
    numpy: str


class Elementwise(Layer):
    """A function of each element by itself.

    Args:
        value, slope: the function and its derivative.
        part: what both have in common, which they call ``$part``.
        settings: arguments of the call that the templates use, by the placeholder of each.
        constants: other numbers that they use.
    """

    def __init__(
        self,
        value: Texts,
        slope: Texts,
        part: Texts | None = None,
        settings: dict[str, str] | None = None,
        constants: dict[str, float] | None = None,
    ) -> None:
        self.value, self.slope, self.part = value, slope, part
        self.settings, self.constants = settings or {}, constants or {}

    def applies(self, call: Call) -> bool:
        """At the ends of a clipped range the text would be wrong under other conventions."""
        larger = call.find("maximum")
        return super().applies(call) and (larger is None or larger.params["ties"] == "first")

    def title(self, call: Call) -> str:
        """The settings."""
        return ", ".join(f"{s} {call.params[s]:g}" for s in self.settings.values())

    def forward(self, call: Call) -> None:
        """The formula."""
        numbers = {key: call.params[setting] for key, setting in self.settings.items()}
        for key, value in {**numbers, **self.constants}.items():
            call.number(key, value)
        if self.part is not None:
            call.let("part", *self.part, shape=call.shape("x"), code="p", shown="p")
        call.let("y", *self.value)

    def backward(self, call: Call) -> None:
        """The derivative of each element."""
        call.passes("x", rf"$g \odot {self.slope.latex}", f"$g * {self.slope.numpy}")


def _cases(condition: str, first: str, other: str) -> str:
    return rf"\begin{{cases}} {first} & {condition} \\ {other} & \text{{else}} \end{{cases}}"


def _elu(scale: Texts) -> tuple[Texts, Texts]:
    """Value and slope, times a scale."""
    positive = "$x > 0"
    value = _cases(positive, "$x", r"$a \left( \exp($x) - 1 \right)")
    slope = _cases(positive, "1", r"$a \exp($x)")
    exp = "np.exp(np.minimum($x, 0))"
    return (
        Texts(scale.latex + value, f"{scale.numpy}np.where($x > 0, $x, $a * ({exp} - 1))"),
        Texts(scale.latex + slope, f"{scale.numpy}np.where($x > 0, 1, $a * {exp})"),
    )


_SIGMOID = Texts(r"\frac{1}{1 + \exp(-$x)}", "sigmoid($x)")
_HARD_SIGMOID = Texts(
    r"\min\left( \max\left( \frac{$x}{6} + \frac{1}{2}, 0 \right), 1 \right)",
    "np.clip($x / 6 + 0.5, 0, 1)",
)
_INSIDE = Texts(r"\mathbf{1}[$a < $x < $b]", "(($x > $a) & ($x < $b))")
_CLIPPED = Texts(r"\min(\max($x, $a), $b)", "np.clip($x, $a, $b)")

ELEMENTWISE: dict[str, Layer] = {
    "elu": Elementwise(*_elu(Texts("", "")), settings={"a": "alpha"}),
    "hardsigmoid": Elementwise(
        _HARD_SIGMOID, Texts(r"\frac{1}{6} \mathbf{1}[-3 < $x < 3]", "(np.abs($x) < 3) / 6")
    ),
    "hardswish": Elementwise(
        Texts(r"$x \odot $part", "$x * $part"),
        Texts(
            r"\left( $part + \frac{$x}{6} \odot \mathbf{1}[-3 < $x < 3] \right)",
            "($part + $x / 6 * (np.abs($x) < 3))",
        ),
        _HARD_SIGMOID,
    ),
    "hardtanh": Elementwise(_CLIPPED, _INSIDE, settings={"a": "min_val", "b": "max_val"}),
    "log_sigmoid": Elementwise(
        Texts(r"-\ln(1 + \exp(-$x))", "-np.logaddexp(0, -$x)"),
        Texts(r"\frac{1}{1 + \exp($x)}", "sigmoid(-$x)"),
    ),
    "mish": Elementwise(
        Texts(r"$x \odot $part", "$x * $part"),
        Texts(
            r"\left( $part + \frac{$x \odot (1 - {$part}^{2})}{1 + \exp(-$x)} \right)",
            "($part + $x * (1 - $part**2) * sigmoid($x))",
        ),
        Texts(r"\tanh \ln(1 + \exp($x))", "np.tanh(np.logaddexp(0, $x))"),
    ),
    "relu6": Elementwise(_CLIPPED, _INSIDE, constants={"a": 0.0, "b": 6.0}),
    "selu": Elementwise(
        *_elu(Texts("$s ", "$s * ")),
        constants={"a": 1.6732632423543772, "s": 1.0507009873554805},
    ),
    "silu": Elementwise(
        Texts(r"$x \odot $part", "$x * $part"),
        Texts(
            r"$part \odot \left( 1 + $x \odot (1 - $part) \right)",
            "$part * (1 + $x * (1 - $part))",
        ),
        _SIGMOID,
    ),
    "softplus": Elementwise(
        Texts(
            _cases(r"$b \, $x > $t", "$x", r"\frac{1}{$b} \ln(1 + \exp($b \, $x))"),
            "np.where($b * $x > $t, $x, np.logaddexp(0, $b * $x) / $b)",
        ),
        Texts(
            _cases(r"$b \, $x > $t", "1", r"\frac{1}{1 + \exp(-$b \, $x)}"),
            "np.where($b * $x > $t, 1, sigmoid($b * $x))",
        ),
        settings={"b": "beta", "t": "threshold"},
    ),
}
