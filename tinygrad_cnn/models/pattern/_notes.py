"""Where a pattern leaves the course's rules of thumb: notes to read, nothing is refused."""

from __future__ import annotations

from collections.abc import Iterator

from ...typing import Shape
from ._plan import Sliding, Step
from ._sizes import scores_at
from ._words import ACTIVATIONS, POOLS, Layer

_NONLINEAR = {*ACTIVATIONS, "LRELU", "PRELU", "POOL", "L2POOL", "LRN"}


def notes(steps: list[Step], layers: list[Layer]) -> tuple[str, ...]:
    """What a teacher would say about a model.

    Args:
        steps: what is built.
        layers: what was written behind INPUT.
    """
    return (
        *_about_sizes(steps),
        *_about_order(steps),
        *_about_scores(steps, layers),
    )


def _about_sizes(steps: list[Step]) -> Iterator[str]:
    slid = False
    for step in steps:
        if step.sliding is not None:
            yield from _about_windows(step, step.sliding, first=not slid)
            slid = True


def _about_order(steps: list[Step]) -> Iterator[str]:
    convolutions = 0  # since the last pool
    linear: Step | None = None  # the last layer with weights, if all is linear since
    for step in steps:
        word = step.layer.word
        if word in ("CONV", "FC"):
            if linear:
                yield (
                    f"{step.name} follows {linear.name} with nothing nonlinear between: together"
                    " they can do no more than one layer; put RELU between them"
                )
            linear = step
        elif word in _NONLINEAR:
            linear = None
        convolutions = 0 if word in POOLS else convolutions + (word == "CONV")
        if word == "CONV" and convolutions == 4:
            yield f"{step.name} is the fourth CONV without a pool; usual are at most 3"
    hidden = sum(step.layer.word == "FC" for step in steps) - 1
    if hidden >= 3:
        yield f"{hidden} FC layers before the last; usual are fewer than 3"


def _about_windows(step: Step, sliding: Sliding, first: bool) -> Iterator[str]:
    word, size = step.layer.word, step.before[1:]
    window, stride = sliding.window.kernel, sliding.window.stride
    rows, columns = sliding.missed(size)
    if rows or columns:
        yield (
            f"{step.name}: windows of {_by(window)} at stride {_by(stride)} miss the end of"
            f" {_by(size)} (rows: {rows}, columns: {columns}); sizes that halve many times (32, 64,"
            " 96, 224) avoid that"
        )
    if word in POOLS and max(window) > 3 and window != size:
        yield (
            f"{step.name}: a pool of {_by(window)} throws most away; usual are 2x2, and 3x3 at"
            " stride 2"
        )
    if word == "CONV" and stride == (1, 1) and step.after[1:] != size:
        yield (
            f"{step.name}: {_by(size)} becomes {_by(step.after[1:])}; without -p the padding"
            " (F - 1)/2 keeps the size, and pools alone shrink it"
        )
    if word == "CONV" and max(window) > 5 and not first:
        layers = (max(window) - 1) // 2
        yield (
            f"{step.name}: {layers} layers of 3x3 see as much as one of {_by(window)}, with"
            f" {9 * layers}C² weights instead of {window[0] * window[1]}C²"
        )


def _about_scores(steps: list[Step], layers: list[Layer]) -> Iterator[str]:
    words = [step.layer.word for step in steps]
    scores = scores_at(words)
    if scores is None:
        yield f"no FC: what comes out is no scores but a volume {steps[-1].after}"
    elif words[scores] == "FC" and _NONLINEAR & {*words[scores + 1 :]}:
        yield f"{words[-1]} behind the last FC changes the scores, of which a loss wants all"
    if layers[-1].word == "SOFTMAX":
        yield "SOFTMAX is part of the loss (functional.cross_entropy): what comes out are scores"


def _by(size: Shape) -> str:
    return "x".join(map(str, size))
