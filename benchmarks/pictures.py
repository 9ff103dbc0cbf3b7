"""What pictures, the stepper and derivations cost: seconds, and bytes of the files.

The time to open is that of a headless Chromium until the page's first step is shown; without
chromium and selenium it is left out.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _measure import Report, arguments, seconds, verdict

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F

sys.path.append(str(Path(__file__).parents[1] / "tests" / "draw"))
sys.path.append(str(Path(__file__).parents[1] / "tests"))
from browser import Browser, chromium
from resnet18 import ResNet18

CALLS = 3
SVG_SECONDS, PAGE_BYTES, OPEN_SECONDS = 2.0, 3_000_000, 1.0


def lenet_loss(dtype: type = np.float32) -> tc.Tensor:
    """The loss of one image of MNIST's size."""
    model = tc.models.LeNet5(dtype=dtype, generator=tc.manual_seed(0))
    image = np.random.default_rng(0).random((1, 1, 28, 28)).astype(dtype)
    return F.cross_entropy(model(image), [3])


def resnet_loss() -> tc.Tensor:
    """The loss of one 64x64 image by a ResNet-18 of the paper's width."""
    image = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    return F.cross_entropy(ResNet18(64).eval()(image), [1])


def chain(length: int) -> tc.Tensor:
    """A scalar computation of so many operations."""
    y = x = tc.tensor(0.5, requires_grad=True, name="x")
    for number in range(length):
        y = y * 1.001 if number % 2 else y + x
    return y


def opened(page: Path, folder: Path) -> float | None:
    """Seconds until a browser shows the page's first step; None without a browser."""
    try:
        with chromium(folder / "profile") as driver:
            browser = Browser(driver)
            browser.open(page)  # the first start of a browser is not the page's
            return seconds(lambda: browser.open(page), CALLS)
    except BaseException as error:  # pytest.skip is no Exception
        if type(error).__name__ != "Skipped":
            raise
        return None


def main() -> None:
    """Measure, print, write."""
    options = arguments(__doc__).parse_args()
    report = Report("Seconds (median of three)", (), calls=CALLS)
    rows: list[tuple[str, float]] = []

    def timed(name: str, function: Callable[[], object]) -> float:
        rows.append((name, seconds(function, CALLS, untimed=1)))
        return rows[-1][1]

    lenet, resnet, thousands = lenet_loss(), resnet_loss(), chain(4_000)
    timed("graph of LeNet-5 to SVG", lambda: tc.draw.graph(lenet).svg())
    svg = timed("graph of ResNet-18, folded, to SVG", lambda: tc.draw.graph(resnet).svg())
    many = tc.draw.graph(thousands, "primitives")
    timed("graph of 4,000 operations to SVG", lambda: tc.draw.graph(thousands).svg())
    exact = lenet_loss(np.float64)
    timed("derivation of LeNet-5, checked", lambda: tc.explain.derive(exact))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = tc.draw.stepper(lenet, folder / "stepper.html")
        timed("stepper of LeNet-5, written", lambda: tc.draw.stepper(lenet, page))
        size, shown = page.stat().st_size, opened(page, folder)
    if shown is not None:
        rows.append(("stepper of LeNet-5, opened", shown))
    report.table(("what", "seconds"), rows)
    report.note(f"ResNet-18 in at most {SVG_SECONDS:g} s: {verdict(svg <= SVG_SECONDS)}")
    report.note(f"4,000 operations, asked for raw: {len(many.boxes)} boxes; {many.note}")
    report.note(f"stepper {size:,} bytes, at most {PAGE_BYTES:,}: {verdict(size <= PAGE_BYTES)}")
    if shown is not None:
        met = verdict(shown <= OPEN_SECONDS)
        report.note(f"it opens in {shown:.2f} s, at most {OPEN_SECONDS:g} s: {met}")
    error = tc.explain.derive(exact).error
    report.note(f"derivation of LeNet-5 against autograd in float64: {error:.1e}")
    report.write(options.json)


if __name__ == "__main__":
    main()
