"""Patterns that are none: what is said, and where it points."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from benchmarks._measure import traced
from tinygrad_cnn.errors import ArgumentError, PatternError
from tinygrad_cnn.models import from_pattern
from tinygrad_cnn.models.pattern import plan

# The pattern with the place between two marks, and a part of what is said.
MISTAKES = [
    # brackets
    ("INPUT -> «[»CONV -> RELU*2 -> FC", "this bracket is never closed"),
    ("INPUT -> «[»[CONV -> RELU]*2 -> FC", "this bracket is never closed"),
    ("INPUT -> CONV«]»*2 -> FC", "this bracket closes nothing: none is open"),
    ("INPUT -> [CONV«)» -> FC", "')' closes a '['"),
    ("INPUT -> [«]»*2 -> FC", "expected a layer such as CONV, found ']'"),
    # arrows
    ("INPUT «CONV» -> FC", "expected -> before 'CONV'"),
    ("INPUT -> [CONV «RELU»]*2 -> FC", "expected -> before 'RELU'"),
    ("INPUT -> «->» FC", "expected a layer such as CONV, found '->'"),
    ("INPUT -> FC ->«»", "expected a layer such as CONV, found the end"),
    ("«->» FC", "expected a layer such as CONV, found '->'"),
    ("INPUT -> FC «;» RELU", "expected -> before ';'"),
    # words and sizes
    ("INPUT -> «CONVV» -> FC", "no layer is called 'CONVV'; did you mean CONV?"),
    ("INPUT -> «CONVV3»-64 -> FC", "did you mean CONV?"),
    ("INPUT -> «RLU» -> FC", "did you mean RELU?"),
    ("INPUT -> «QUUX» -> FC", "the words are INPUT, CONV"),
    ("INPUT -> «3» -> FC", "expected a layer such as CONV, found '3'"),
    ("INPUT -> CONV3-«q2» -> FC", "CONV takes no 'q2': write it like CONV3-64-s1"),
    ("INPUT -> CONV3-64-«32» -> FC", "CONV takes no '32': it is given twice"),
    ("INPUT -> CONV-s2-«s3» -> FC", "it is given twice"),
    ("INPUT -> CONV3-«0» -> FC", "expected 1 to 1,000,000"),
    ("INPUT -> CONV«3x3x3» -> FC", "CONV takes no '3x3x3'"),
    ("INPUT -> CONV-g«2x3» -> FC", "CONV takes no '2x3'"),
    ("INPUT -> CONV«2.5» -> FC", "CONV takes no '2.5'"),
    ("INPUT -> FC-«99999999999999999999» -> FC", "expected 1 to 1,000,000"),
    ("INPUT -> FC-«1.5» -> FC", "expected a whole number of units"),
    ("INPUT -> POOL-«64» -> FC", "POOL takes no '64': write it like POOL3-s2"),
    ("INPUT -> RELU«6» -> FC", "RELU takes no '6'"),
    ("INPUT-«3x32» -> FC", "write it like INPUT-3x32x32"),
    ("INPUT-«3x0x32» -> FC", "expected 1 to"),
    ("«INPUT»[32x32x0] -> FC", "none may be 0"),
    ("INPUT -> «DROPOUT-1.5» -> FC", "expected a probability below 1, got 1.5"),
    # repetitions
    ("INPUT -> [CONV]*«x» -> FC", "how often? Say from_pattern(…, x=2)"),
    ("INPUT -> [CONV]*«N» -> FC", "from_pattern(…, N=2) (N is usually at most 3)"),
    ("INPUT -> [FC]*«K» -> FC", "(K is usually below 3)"),
    ("INPUT -> [CONV]*«-1» -> FC", "a whole number or a name such as N behind *, found '-1'"),
    ("INPUT -> [CONV]*«2.5» -> FC", "found '2.5'"),
    ("INPUT -> [CONV]*«->» FC", "found '->'"),
    ("INPUT -> [CONV]*2«*»2 -> FC", "expected -> before '*'"),
    ("INPUT -> [CONV]*«1000000000» -> FC", "more than 1000 layers"),
    ("INPUT -> [CONV]*«" + "9" * 5000 + "» -> FC", "more than 1000 layers"),
    ("INPUT -> [[[CONV]*100]*«100»]*100 -> FC", "more than 1000 layers"),
    ("INPUT -> [CONV]*999 -> «CONV» -> FC", "more than 1000 layers"),
    ("INPUT -> " + "[" * 20 + "«[»CONV" + "]" * 21 + " -> FC", "more than 20 brackets"),
    ("INPUT -> CONV«?» -> FC", "only a pool is optional: POOL?"),
    ("INPUT -> [POOL]«?» -> FC", "only a pool is optional: POOL?"),
    # order
    ("«CONV» -> FC", "expected INPUT first, found CONV"),
    ("INPUT -> «INPUT» -> FC", "INPUT a second time"),
    ("[«INPUT» -> FC]*2", "INPUT a second time"),
    ("INPUT«»", "no layer follows INPUT"),
    ("INPUT -> [CONV]*0«»", "no layer follows INPUT"),
    ("«INPUT» -> SOFTMAX", "no layer is left to build"),
    ("INPUT -> «SOFTMAX» -> FC", "SOFTMAX stands at the end or nowhere"),
    ("INPUT -> FC -> «CONV» -> FC", "conv1: CONV needs a volume: it stands before any FC"),
    ("INPUT -> GAP -> «POOL» -> FC", "The vector before it is (3,)"),
    # sizes
    ("INPUT -> [CONV -> «POOL»]*6 -> FC", "pool6: (W - F + 2P)/S + 1 = (1 - 2 + 2*0)/2 + 1"),
    ("INPUT -> «CONV40-8-p0» -> FC", "(32 - 40 + 2*0)/1 + 1 is below 1"),
    ("INPUT -> «CONV4» -> FC", "no padding keeps the size under an even window: say -p0"),
    ("INPUT -> «CONV-g2» -> FC", "2 groups do not divide 3 channels and 32 filters"),
    ("INPUT -> «POOL2-p2» -> FC", "at most half of its window"),
    ("INPUT -> FC-10000 -> «FC-1000000» -> FC", "more than 1,073,741,824 parameters"),
]


def _marked(pattern: str) -> tuple[str, int, int]:
    """The pattern without its marks, and where they stood; the end is one character long."""
    before, meant, after = pattern.replace("«", "»").split("»")
    return before + meant + after, len(before), max(len(meant), 1)


@pytest.mark.parametrize(("pattern", "message"), MISTAKES, ids=lambda value: str(value)[:40])
def test_the_error_points_at_the_mistake(pattern: str, message: str) -> None:
    text, position, length = _marked(pattern)
    with pytest.raises(PatternError) as caught:
        plan(text)
    error = caught.value
    assert (error.pattern, error.position, error.length) == (text, position, length)
    assert message in error.message
    # The carets of the picture stand below the characters that are meant.
    said, shown, carets = str(error).split("\n")
    assert said == error.message
    if length < 70:
        meant = [
            c for c, below in zip(shown.ljust(len(carets)), carets, strict=False) if below == "^"
        ]
        assert "".join(meant).strip() == text[position : position + length]
    assert len(shown) <= 80
    assert len(carets) <= 80


@pytest.mark.parametrize("pattern", ["", "  \n "])
def test_an_empty_pattern_shows_what_one_looks_like(pattern: str) -> None:
    with pytest.raises(PatternError, match=r"^the pattern is empty; .*INPUT -> \[CONV") as caught:
        from_pattern(pattern)
    assert "\n" not in str(caught.value)


def test_the_picture_shows_the_line_that_is_meant() -> None:
    with pytest.raises(PatternError) as caught:
        from_pattern("INPUT\n\t-> CONV\n\t-> POL\n\t-> FC")
    assert str(caught.value).split("\n")[1:] == ["   -> POL", "      ^^^"]


def test_a_long_line_is_shown_around_the_mistake() -> None:
    pattern = "INPUT -> " + "CONV -> " * 30 + "QUUX" + " -> RELU" * 30
    with pytest.raises(PatternError) as caught:
        from_pattern(pattern)
    shown, carets = str(caught.value).split("\n")[1:]
    assert shown[carets.index("^") :].startswith("QUUX -> RELU")


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3,), {}, "a pattern is a text such as"),
        (("INPUT -> FC", (32, 32)), {}, r"input=\(32, 32\), expected \(channels, height, width\)"),
        (("INPUT -> FC", (3, 32.0, 32)), {}, "input="),
        (("INPUT -> FC", 32), {}, "input=32"),
        (("INPUT -> FC", (3, 10**9, 32)), {}, "input="),
        (("INPUT -> FC", None, 0), {}, "classes=0, expected an integer of at least 1"),
        (("INPUT -> FC", None, 10**9), {}, "classes=1000000000, expected at most 1,000,000"),
        (("INPUT -> CONV -> FC",), {"filters": -1}, "filters=-1"),
        (("INPUT -> FC",), {"hidden": 2.5}, "hidden=2.5"),
        (("INPUT -> FC",), {"optional_pools": "always"}, "optional_pools='always', expected None"),
        (("INPUT -> FC",), {"clases": 10}, "clases=10 is no option, and the pattern repeats"),
        (("INPUT -> FC",), {"N": 2}, "N=2 is no option"),
        (("INPUT -> [FC]*N",), {"N": -1}, "N=-1, expected an integer of at least 0"),
        (("INPUT -> [FC]*N",), {"N": True}, "N=True"),
        (("INPUT -> [FC]*N",), {"N": 10**12}, "more than 1000 layers"),
        (("INPUT-1x8x8 -> FC", (3, 8, 8)), {}, r"= \(1, 8, 8\), but input=\(3, 8, 8\)"),
        (("INPUT -> FC-10", None, 7), {}, "makes the scores: 10 of them, but classes=7"),
        (("INPUT -> CONV -> RELU", None, 7), {}, "nothing makes classes=7 scores; end with FC"),
    ],
)
def test_arguments_that_do_not_fit(
    arguments: tuple[Any, ...], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        from_pattern(*arguments, **options)


def test_what_is_absurd_is_refused_before_memory_is_taken() -> None:
    with traced() as peak:
        for pattern in (
            "INPUT -> [[[[CONV]*999]*999]*999]*999 -> FC",
            "INPUT-1000000x1000000x1000000 -> FC",
            "INPUT -> CONV999999-999999-p999999 -> FC",
        ):
            with pytest.raises(PatternError):
                from_pattern(pattern)
        assert peak() < 2**20


@pytest.mark.parametrize(
    "code", ["INPUT -> __import__('os').system('true')", "INPUT -> [FC]*(2+2)", "INPUT -> {FC}"]
)
def test_nothing_is_evaluated(code: str) -> None:
    with pytest.raises(PatternError):
        from_pattern(code)


def test_the_error_pickles() -> None:
    error = PatternError("no", "INPUT -> X", 9, 1)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error) == "no\n  INPUT -> X\n           ^"
    assert isinstance(error, ArgumentError)
