"""``tinygrad-cnn demo``: from real images to a trained, explained and verified ConvNet."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np

from .. import check, data, draw, explain, functional, models, nn, optim, train
from .._core.tensor import Tensor
from .._files import write_text
from ..check.gradcheck import relative_error
from ..random import manual_seed
from ..typing import Array
from .files import Trained, output_folder, save

_COMPARED_IMAGES = 8
_SAMPLE = 25


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration; the exit status is 1 if the gradients do not agree."""
    folder = output_folder(arguments.out)
    manual_seed(arguments.seed)
    training, held_out = data.Digits("train"), data.Digits("test")
    model = models.DigitsNet()

    _title("1. A ConvNet in the style of LeNet, for 8x8 digits")
    print(models.summary(model, (1, *model.input_shape)))

    _title(f"2. Training on {len(training)} digits by real hands, {arguments.epochs} epochs")
    accuracy = _train(model, training, held_out, arguments, folder)
    print(f"\ntest accuracy {accuracy:.1%} on the {len(held_out)} digits it never saw")

    _title("3. Three answers to: what is the gradient?")
    images, labels = held_out.batch(np.arange(_COMPARED_IMAGES))
    agree = _compare(model, images.astype(np.float64), labels)

    _title("4. What happened inside")
    _look_inside(model, images, labels, folder)
    _say_what_is_next(folder)
    return 0 if agree else 1


def _title(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}\n")


def _train(
    model: nn.Module,
    training: data.ArrayDataset,
    held_out: data.ArrayDataset,
    arguments: argparse.Namespace,
    folder: Path,
) -> float:
    """Train, save the weights, and return the accuracy on the held-out digits."""
    batches = data.DataLoader(training, batch_size=32, shuffle=True, seed=arguments.seed)
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    steps = arguments.epochs * len(batches)
    history = train.fit(
        model,
        batches,
        epochs=arguments.epochs,
        optimizer=optimizer,
        schedule=optim.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps),
        schedule_every="batch",
        log=folder / "log.jsonl",
        report=_report(folder),
    )
    print(history)
    about = Trained(model, "digits", {}, "digits", tuple(training.classes), (8, 8), (0.0,), (1.0,))
    save(folder / "model.npz", about)
    accuracy = train.evaluate(model, data.DataLoader(held_out, batch_size=256)).accuracy
    return accuracy or 0.0


def _report(folder: Path) -> Path | None:
    """Where to write the report, if what draws it is installed."""
    if importlib.util.find_spec("matplotlib") is None:
        print("(no report.html: its curves need matplotlib: pip install 'tinygrad-cnn[plot]')\n")
        return None
    return folder / "report.html"


def _compare(model: nn.Module, images: Array, labels: Array) -> bool:
    """Autograd against the derivation on paper and against central differences, as a table."""
    exact = model.double()
    parameters = dict(exact.named_parameters())
    exact.zero_grad()
    functional.cross_entropy(exact(Tensor(images)), labels).backward()
    by_autograd = {name: np.asarray(parameter.grad) for name, parameter in parameters.items()}

    hand: Any = importlib.import_module("tinygrad_cnn.hand_derived")
    weights = {name: parameter.numpy() for name, parameter in parameters.items()}
    _, by_hand = hand.digits_net_loss(weights, images, labels)

    def loss(*_: Tensor) -> Tensor:
        return functional.cross_entropy(exact(Tensor(images)), labels)

    report = check.gradcheck(loss, list(parameters.values()), sample=_SAMPLE)
    print(f"Largest differences, relative, in float64, on {len(images)} images; central")
    print(f"differences for {_SAMPLE} elements of each parameter.\n")
    print(f"{'parameter':<14}{'shape':<18}{'hand-derived':>14}{'differences':>14}")
    worst = 0.0
    for (name, gradient), row in zip(by_autograd.items(), report.rows, strict=True):
        error = relative_error(gradient, by_hand[name])
        worst = max(worst, error)
        print(f"{name:<14}{gradient.shape!s:<18}{error:>14.1e}{row.error:>14.1e}")
    agree = worst < 1e-10 and report.ok
    print("\nAll three agree." if agree else "\nTHEY DIFFER: one of the three is wrong.")
    return agree


def _look_inside(model: nn.Module, images: Array, labels: Array, folder: Path) -> None:
    """Write the graph, the stepper, the convolution demo and the derivation."""
    loss = functional.cross_entropy(model(images), labels)
    derivation = explain.derive(loss, model)
    print(f"The derived NumPy code agrees with autograd to {derivation.error:.1e}.")
    loss = functional.cross_entropy(model(images[:1]), labels[:1])
    view = draw.graph(loss, backward=True)
    written = [
        view.html(folder / "graph.html"),
        write_text(folder / "graph.dot", view.dot),
        draw.stepper(loss, folder / "stepper.html"),
        draw.conv_demo(next(model.children()), images[0], folder / "convolution.html"),
        derivation.html(folder / "derivation.html"),
        write_text(folder / "derivation.py", derivation.numpy()),
    ]
    for path in written:
        print(f"wrote {path}")


def _say_what_is_next(folder: Path) -> None:
    print(f"""
Open      {folder}/stepper.html      the network, one step at a time: press the arrow keys
          {folder}/report.html       the training run: curves, mistakes, filters
          {folder}/derivation.html   the chain rule of this network, line by line
          {folder}/derivation.py     the same as NumPy code that needs nothing else
          {folder}/convolution.html  its first convolution, number by number
          {folder}/graph.html        its graph (graph.dot for Graphviz's tools)
Try       tinygrad-cnn demo --seed 1     other weights, another order
          tinygrad-cnn predict {folder}/model.npz
          tinygrad-cnn train --help      other data, other models
Read      examples/compare_hand_derived.py, then change a sign in examples/hand_derived/""")
