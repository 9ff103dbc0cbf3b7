"""Take the pictures of pages and of a trained network anew: docs/images/*.png.

python docs/page_pictures.py            pages: stepper, derivation, convolution, report, playground
python docs/page_pictures.py --cifar    a small VGG trained on CIFAR-10: 5 minutes, and the folder
                                        that TINYGRAD_CNN_DATA names holds cifar-10-batches-bin

Needs chromium and chromedriver on the PATH, matplotlib, Pillow and selenium.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from selenium import webdriver
from selenium.webdriver import ActionChains

import tinygrad_cnn as tc
import tinygrad_cnn.functional as F
from tinygrad_cnn import nn
from tinygrad_cnn.data import CIFAR10, DataLoader, Digits, Normalize

IMAGES = Path(__file__).parent / "images"
HORSE = 13  # among the test images
_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--force-prefers-reduced-motion",
)  # fmt: skip


def shrink(picture: io.BytesIO | Path, path: Path, colours: int = 128) -> Path:
    """A PNG with a palette: half the size, and no difference to be seen."""
    image = Image.open(picture).convert("RGB")
    image.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        path, optimize=True
    )
    return path


def screenshot(page: Path, name: str, size: tuple[int, int], fragment: str = "") -> Path:
    """What a browser of so many pixels shows."""
    with tempfile.TemporaryDirectory() as folder:
        taken = Path(folder) / "page.png"
        command = ["chromium", *_QUIET, f"--user-data-dir={folder}/profile"]
        command += [f"--window-size={size[0]},{size[1]}", f"--screenshot={taken}"]
        subprocess.run([*command, f"{page.as_uri()}{fragment}"], check=True, capture_output=True)
        return shrink(taken, IMAGES / name)


def save(figure: Figure, name: str, width: int) -> Path:
    """A figure so many pixels wide."""
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=width / figure.get_figwidth())
    return shrink(buffer, IMAGES / name, 256)


def stepper(folder: Path) -> Path:
    """LeNet-5 on one digit, in its backward pass."""
    model = tc.models.LeNet5(generator=tc.manual_seed(0))
    image = np.kron(Digits("train").batch([0])[0], np.ones((1, 1, 3, 3)))  # 24x24
    image = np.pad(image, [(0, 0), (0, 0), (2, 2), (2, 2)]).astype(np.float32)
    loss = F.cross_entropy(model(image), [0])
    page = tc.draw.stepper(loss, folder / "stepper.html")
    return screenshot(page, "stepper.png", (1280, 800), "#step=66&zoom=primitives")


def derivation(folder: Path) -> Path:
    """A two-layer net, as in many a course's first assignment."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(5, 4)), np.array([0, 2, 1, 1, 0])
    W1 = tc.tensor(rng.normal(size=(4, 10)), requires_grad=True)
    b1 = tc.tensor(np.zeros(10), requires_grad=True)
    W2 = tc.tensor(rng.normal(size=(10, 3)), requires_grad=True)
    b2 = tc.tensor(np.zeros(3), requires_grad=True)
    h = F.relu(X @ W1 + b1)
    scores = h @ W2 + b2
    loss = F.cross_entropy(scores, y)
    page = tc.explain.derive(loss).html(folder / "derivation.html")
    return screenshot(page, "derivation.png", (900, 1640))


def convolution(folder: Path) -> Path:
    """A layer of the size of the convolution demo of CS231n."""
    rng = np.random.default_rng(3)
    layer = nn.Conv2d(3, 2, 3, stride=2, padding=1, dtype=np.float64)
    layer.weight.data = rng.integers(-1, 2, size=(2, 3, 3, 3)).astype(float)
    layer.bias.data = np.array([1.0, 0.0])
    image = rng.integers(0, 3, size=(3, 5, 5))
    page = tc.draw.conv_demo(layer, image, folder / "convolution.html")
    return screenshot(page, "conv_demo.png", (1280, 800), "#step=5")


def report(folder: Path) -> Path:
    """DigitsNet, eight epochs."""
    model = tc.models.DigitsNet(generator=tc.manual_seed(0))
    training = DataLoader(Digits("train"), 32, shuffle=True, seed=0)
    held_out = DataLoader(Digits("test"), 256)
    adam = tc.optim.Adam(model.parameters(), lr=0.005)
    path = folder / "report.html"
    tc.train.fit(model, training, epochs=8, validation=held_out, optimizer=adam, report=path)
    return screenshot(path, "report.png", (1000, 1280))


def playground(folder: Path) -> Path:
    """A net from a layer pattern after six epochs of the digits."""
    options = webdriver.ChromeOptions()
    for flag in (*_QUIET, "--window-size=1280,1000", f"--user-data-dir={folder}/profile"):
        options.add_argument(flag)
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    with (
        tc.play(open_browser=False, block=False) as opened,
        webdriver.Chrome(options=options, service=service) as chrome,
    ):
        for _ in range(6 * 45):
            opened.session.do("step")
        chrome.get(opened.url)
        time.sleep(1)  # until all of it has come
        pen = ActionChains(chrome, duration=0)
        pen.move_to_element_with_offset(chrome.find_element("id", "pad"), -30, -50).click_and_hold()
        pen.move_by_offset(60, -5).move_by_offset(-25, 55).move_by_offset(
            -20, 60
        ).release().perform()
        time.sleep(1)
        chrome.save_screenshot(str(folder / "playground.png"))
    return shrink(folder / "playground.png", IMAGES / "playground.png")


def small_vgg(generator: np.random.Generator) -> nn.Sequential:
    """CONV RELU CONV RELU POOL three times, then FC: the net of the picture in CS231n's notes."""
    layers: dict[str, nn.Module] = {}
    channels = 3
    for block, filters in enumerate((16, 20, 20), 1):
        for place in (1, 2):
            conv = nn.Conv2d(channels, filters, 3, padding=1, generator=generator)
            layers |= {f"conv{block}_{place}": conv, f"relu{block}_{place}": nn.ReLU()}
            channels = filters
        layers[f"pool{block}"] = nn.MaxPool2d(2)
    layers |= {"flatten": nn.Flatten(), "fc": nn.Linear(20 * 4 * 4, 10, generator=generator)}
    return nn.Sequential(layers)


def cifar() -> list[Path]:
    """The small VGG after 8 epochs of 20,000 images: 66 % on the first 1,000 test images."""
    normalize = Normalize(0.5, 0.25)
    test = CIFAR10(split="test-first-1000")
    data = DataLoader(CIFAR10(batches=(1, 2)), 64, shuffle=True, seed=0, transform=normalize)
    model = small_vgg(tc.manual_seed(0))
    adam = tc.optim.Adam(model.parameters(), lr=0.003)
    schedule = tc.optim.OneCycleLR(adam, max_lr=0.003, total_steps=8 * len(data))
    validation = DataLoader(test, 250, transform=normalize)
    history = tc.train.fit(
        model, data, epochs=8, optimizer=adam, schedule=schedule, schedule_every="batch",
        validation=validation,
    )  # fmt: skip
    print(history)
    [image] = normalize(test.batch(np.array([HORSE]))[0])
    seen = tc.draw.activations(model, image, classes=test.classes, maps=7)
    field = tc.draw.receptive_field(model, ("conv2_2", (9, 8, 8)), image)
    return [
        save(seen, "activations.png", 1200),
        save(tc.draw.saliency(model, image, classes=test.classes), "saliency.png", 640),
        save(field, "receptive-field.png", 720),
    ]


def pages() -> list[Path]:
    """All pages; those of the demo have the same form."""
    with tempfile.TemporaryDirectory() as folder:
        return [
            make(Path(folder)) for make in (stepper, derivation, convolution, report, playground)
        ]


if __name__ == "__main__":
    for made in cifar() if "--cifar" in sys.argv else pages():
        print(made, made.stat().st_size)
