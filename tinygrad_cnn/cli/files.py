"""A trained model in one file: weights, and what is needed to build and feed the model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import io, nn
from ..errors import ArgumentError, CheckpointError
from ..io.files import model_of


@dataclass(frozen=True)
class Trained:
    """A model with what it was trained on.

    Attributes:
        name, options: how ``models.build`` makes it.
        data: the data set, and the names of its classes.
        size: height and width of the images.
        mean, std: of each channel, by which images are normalised.
    """

    model: nn.Module
    name: str
    options: dict[str, Any]
    data: str
    classes: tuple[str, ...]
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def save(path: Path, trained: Trained) -> None:
    """Write weights and settings to one .npz archive, replacing an earlier one at once."""
    about = {name: value for name, value in vars(trained).items() if name != "model"}
    io.save(path, trained.model, metadata={"trained": about})


def load(path: str | Path) -> Trained:
    """The model that ``save`` wrote.

    Raises:
        CheckpointError: the file is no such archive, or does not fit its model.
    """
    try:
        state = io.load(path)
        about = dict(state.metadata["trained"])
        model = model_of(state, path)
        for name in ("classes", "size", "mean", "std"):
            about[name] = tuple(about[name])
        return Trained(model, **about)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path} is no model that 'train' or 'demo' wrote: {error}") from None


def output_folder(path: str) -> Path:
    """The folder to write to, made where it does not exist.

    Raises:
        ArgumentError: there is a file of that name.
    """
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ArgumentError(f"--out {path}: that is a file, expected a folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
