"""How long the doctor and gradcheck take on layers of the size that courses use."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _measure import Report, arguments, milliseconds, seconds, verdict

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import hand_derived as hand

MOST_DIAGNOSIS, MOST_GRADCHECK = 5.0, 30.0
normal = np.random.default_rng(0).standard_normal


def convolution(spoil: Callable[[Any], Any]) -> tc.check.Diagnosis:
    """CS231n's layer for timing: 50 images of 3x31x31, 25 filters of 3x3 at stride 2."""

    def backward(dout: Any, cache: Any) -> tuple[Any, ...]:
        dx, dw, db = hand.conv_im2col_backward(dout, cache)
        return spoil(dx), dw, db

    inputs = {"x": normal((50, 3, 31, 31)), "w": normal((25, 3, 3, 3)), "b": normal(25)}
    return tc.check.diagnose(
        lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1),
        inputs,
        backward,
        forward=lambda x, w, b: hand.conv_im2col_forward(x, w, b, 2, 1),
        upstream=normal((50, 25, 16, 16)),
    )


def network() -> tc.check.Diagnosis:
    """CS231n's two-layer net on CIFAR-10, 100 images, every gradient beyond recognition."""
    inputs = {
        "x": normal((100, 3072)),
        "w1": 0.01 * normal((3072, 50)),
        "b1": normal(50),
        "w2": normal((50, 10)),
        "b2": normal(10),
        "y": np.arange(100) % 10,
    }
    return tc.check.diagnose(
        lambda x, w1, b1, w2, b2, y: F.cross_entropy(F.relu(x @ w1 + b1) @ w2 + b2, y),
        inputs,
        lambda dout, *arrays: tuple(np.sin(array) for array in arrays[:-1]),
    )


def gradcheck() -> tc.check.Report:
    """The demo's ConvNet, 8 images, 25 elements of each parameter."""
    model = tc.models.DigitsNet(generator=tc.manual_seed(0)).double()
    images = tc.Tensor(np.random.default_rng(1).random((8, 1, 8, 8)))
    labels = np.arange(8)
    parameters = list(model.parameters())
    return tc.check.gradcheck(
        lambda *_: F.cross_entropy(model(images), labels), parameters, sample=25
    )


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report("The doctor and gradcheck, milliseconds: median (quartiles)", ())
    cases: dict[str, tuple[Callable[[], Any], float]] = {
        "convolution, right": (lambda: convolution(lambda dx: dx), MOST_DIAGNOSIS),
        "convolution, sign": (lambda: convolution(np.negative), MOST_DIAGNOSIS),
        "convolution, unknown": (lambda: convolution(np.sin), MOST_DIAGNOSIS),
        "two-layer net, unknown": (network, MOST_DIAGNOSIS),
        "gradcheck of the demo's ConvNet": (gradcheck, MOST_GRADCHECK),
    }
    rows = []
    for name, (run, most) in cases.items():
        times = [seconds(run) for _ in range(3)]
        rows.append((name, milliseconds(times), f"{most:g} s", verdict(max(times) <= most)))
    report.table(("what", "ms", "at most", ""), rows)
    report.write(options.json)


if __name__ == "__main__":
    main()
