"""The commands besides ``demo``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from .. import check as checks
from .. import data, functional, models, nn, optim, playground
from .. import train as training
from .._core.context import no_grad
from .._core.tensor import Tensor
from ..check.grade import grade as grade_submission
from ..data.image_folder import decoded
from ..errors import ArgumentError, ShapeError
from ..random import manual_seed
from ..typing import Array
from .files import Trained, load, output_folder, save

_DATA_SETS = {"mnist": data.MNIST, "fashion-mnist": data.FashionMNIST, "cifar10": data.CIFAR10}


def train(arguments: argparse.Namespace) -> int:
    """Train a model on a data set and keep its best weights."""
    learn, validate = _datasets(arguments)
    channels, height, width = learn.images.shape[1:]
    manual_seed(arguments.seed)
    options = {**_options(arguments.model, learn.images.shape[1:]), "classes": len(learn.classes)}
    model = models.build(arguments.model, **options)
    source = arguments.data
    if _is_folder(source):  # predict may run in another folder
        source = str(Path(source).absolute())
    trained = Trained(
        model, arguments.model, options, source, tuple(learn.classes),
        (height, width), tuple(learn.mean), tuple(learn.std),
    )  # fmt: skip
    try:
        models.summary(model, (1, channels, height, width))
    except ShapeError as error:
        raise ArgumentError(
            f"the model {arguments.model!r} does not fit images of {height}x{width}, choose"
            f" another --model of {', '.join(models.model_names())}: {error}"
        ) from None
    folder = output_folder(arguments.out)
    normalize = data.Normalize(trained.mean, trained.std)
    steps = data.DataLoader(
        learn, arguments.batch_size, shuffle=True, transform=normalize, seed=arguments.seed
    )
    optimizer = optim.Adam(model.parameters(), lr=arguments.lr)
    total = arguments.epochs * len(steps)
    history = training.fit(
        model,
        steps,
        epochs=arguments.epochs,
        validation=data.DataLoader(validate, 256, transform=normalize),
        optimizer=optimizer,
        schedule=optim.OneCycleLR(optimizer, max_lr=arguments.lr, total_steps=total),
        schedule_every="batch",
        log=folder / "log.jsonl",
    )
    print(history)
    save(folder / "model.npz", trained)
    print(f"wrote {folder / 'model.npz'}\nnext: tinygrad-cnn predict {folder / 'model.npz'}")
    return 0


def predict(arguments: argparse.Namespace) -> int:
    """Classify image files, or the test images of the data set that was trained on."""
    trained = load(arguments.weights)
    if not arguments.images:
        arguments.data, arguments.download = trained.data, False
        arguments.size = trained.size if _is_folder(trained.data) else None
        _, test = _datasets(arguments)
        normalize = data.Normalize(trained.mean, trained.std)
        loader = data.DataLoader(test, 256, transform=normalize)
        found = training.evaluate(trained.model, loader)
        print(f"{len(test)} test images of {trained.data}:", end=" ")
        print(f"accuracy {found.accuracy:.2%}, loss {found.loss:.4f}")
        return 0
    for path in arguments.images:
        pixels = _read_image(path, trained)
        trained.model.eval()
        with no_grad():
            chances = functional.softmax(trained.model(Tensor(pixels))).numpy()[0]
        best = np.argsort(-chances)[: arguments.top]
        print(f"{path}: " + ", ".join(f"{trained.classes[i]} {chances[i]:.1%}" for i in best))
    return 0


def summary(arguments: argparse.Namespace) -> int:
    """Print the layers of a model."""
    model, shape = _model(arguments.model, arguments.input)
    print(models.summary(model, (1, *shape), depth=arguments.depth, time=arguments.time))
    return 0


def check(arguments: argparse.Namespace) -> int:
    """Compare the gradients of a model with central differences."""
    manual_seed(arguments.seed)
    model, shape = _model(arguments.model, None)
    exact = model.double()
    generator = np.random.default_rng(arguments.seed)
    images = Tensor(generator.random((4, *shape)))
    with no_grad():
        classes = exact(images).shape[-1]
    labels = generator.integers(0, classes, 4)
    report = checks.gradcheck(
        lambda *_: functional.cross_entropy(exact(images), labels),
        list(exact.parameters()),
        sample=arguments.sample,
        seed=arguments.seed,
    )
    print(report)
    print("all gradients agree" if report.ok else "a gradient differs")
    return 0 if report.ok else 1


def grade(arguments: argparse.Namespace) -> int:
    """Grade a submission; the exit status is 1 if points were lost."""
    grades = grade_submission(arguments.submission, arguments.spec, arguments.hints)
    print(grades)
    if arguments.json:
        Path(arguments.json).write_text(grades.to_json(), "utf-8")
    return 0 if grades.ok else 1


def play(arguments: argparse.Namespace) -> int:
    """Serve the playground until Ctrl-C."""
    playground.play(root=arguments.root, port=arguments.port, open_browser=not arguments.no_browser)
    return 0


def _model(name: str, shape: tuple[int, ...] | None) -> tuple[nn.Module, tuple[int, ...]]:
    """A model by its name or its file, and the shape of one input."""
    if name.endswith(".npz"):
        trained = load(name)
        return trained.model, shape or (len(trained.mean), *trained.size)
    built: Any = models.build(name, **({} if shape is None else _options(name, shape)))
    return built, shape or built.input_shape


def _options(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """The settings of a model for inputs of this shape."""
    channels, height, width = shape
    if "image_size" not in models.model_options(name):
        return {"in_channels": channels}
    if height != width:
        raise ArgumentError(
            f"the model {name!r} takes square images, not {height}x{width}: choose equal sizes,"
            f" such as --size {height},{height} for a folder"
        )
    return {"in_channels": channels, "image_size": height}


def _is_folder(name: str) -> bool:
    """Whether a data set is a folder of images, and none of those that have a name."""
    return name not in ("digits", *_DATA_SETS) and Path(name).is_dir()


def _datasets(arguments: argparse.Namespace) -> tuple[data.ArrayDataset, data.ArrayDataset]:
    """The images to learn from and those to judge by."""
    name, root, size = arguments.data, arguments.root, arguments.size
    if _is_folder(name):
        return data.stratified_split(data.ImageFolder(name, size=size))
    if size is not None:
        raise ArgumentError(f"--size is for folders of images: --data {name} has its own size")
    if name == "digits":
        return data.Digits("train"), data.Digits("test")
    if name in _DATA_SETS:
        made = _DATA_SETS[name]
        download = arguments.download
        return made(root, "train", download=download), made(root, "test", download=download)
    raise ArgumentError(
        f"no data set is called {name!r}: there are digits, {', '.join(_DATA_SETS)}, or a folder"
        " that holds a folder of images for each class"
    )


def _read_image(path: str, trained: Trained) -> Array:
    """An image file as the model wants it: (1, C, H, W), normalised."""
    [picture] = decoded([path], "L" if len(trained.mean) == 1 else "RGB", trained.size)
    pixels = picture.transpose(2, 0, 1)[None] / np.float32(255)  # (H, W, C) -> (1, C, H, W)
    return data.Normalize(trained.mean, trained.std)(pixels)
