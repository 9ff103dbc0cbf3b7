"""An expression in the place of a symbol: in parentheses where it would be read otherwise."""

from __future__ import annotations

import pytest

from tinygrad_cnn.explain._precedence import inserted

SUM, NEGATIVE, LARGE = "$a + $b", "-$a", r"\sum_{\text{axis 0}} $a"
ELEMENTWISE, MATRIX, FRACTION = r"$a \odot $b", r"$a \, $b", r"\frac{$a}{$b}"
POWER, CALL, SINGLE = "{$a}^{2}", r"\max($a, 0)", "$a"
ALL = (SUM, NEGATIVE, LARGE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)


@pytest.mark.parametrize(
    ("outer", "bare"),
    [
        (r"\frac{$x}{$y}", ALL),
        (r"\frac{$y}{$x}", ALL),
        (r"\sqrt{$x}", ALL),
        (r"e^{$x}", ALL),
        (r"\ln($x)", ALL),
        (r"\max($x, $y)", ALL),
        (r"\max($y, $x)", ALL),
        (r"\mathbf{1}[$x > $y]", ALL),
        (r"\left| $x \right|", ALL),
        (r"\left\lfloor $x \right\rfloor", ALL),
        ("$x + $y", (SUM, NEGATIVE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        ("$y + $x", (SUM, LARGE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        ("$x - $y", (SUM, NEGATIVE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        ("$y - $x", (LARGE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        ("-$x", (LARGE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        ("e^{-$x}", (LARGE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        (r"$x \odot $y", (ELEMENTWISE, FRACTION, POWER, CALL, SINGLE)),
        (r"$y \odot $x", (LARGE, ELEMENTWISE, FRACTION, POWER, CALL, SINGLE)),
        (r"$x \cdot $y", (ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        (r"$y \, $x", (LARGE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        (r"\sum_{i} $x", (LARGE, ELEMENTWISE, MATRIX, FRACTION, POWER, CALL, SINGLE)),
        (r"\sum_{i} {$x}_{i}", (SINGLE,)),
        ("{$x}^{2}", (SINGLE,)),
        (r"$x^{\top}", (SINGLE,)),
        (r"${x}^{\top} \, $y", (SINGLE,)),
        (r"$x\left[ \text{0} \right]", (SINGLE,)),
    ],
)
def test_parentheses(outer: str, bare: tuple[str, ...]) -> None:
    for inner in ALL:
        shown = inner if inner in bare else rf"\left( {inner} \right)"
        expected = outer.replace("${x}", shown).replace("$x", shown)
        assert inserted(outer, "x", inner) == expected


def test_every_occurrence_is_replaced_and_no_other_name() -> None:
    outer = r"$x + $xs + ${x_1} \cdot $x"
    assert inserted(outer, "x", SUM) == rf"{SUM} + $xs + ${{x_1}} \cdot \left( {SUM} \right)"
    assert inserted("$y", "x", SUM) == "$y"
