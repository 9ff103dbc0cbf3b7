"""A trained model in one file: weights, and what is needed to build and feed the model."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import models, nn
from ..errors import ArgumentError, CheckpointError
from ..train._files import save_arrays

_ABOUT = "about"  # the entry of the archive that holds everything but the weights


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
    settings = np.frombuffer(json.dumps(about).encode(), np.uint8)
    save_arrays(path, {**trained.model.state_dict(), _ABOUT: settings})


def load(path: str | Path) -> Trained:
    """The model that ``save`` wrote.

    Raises:
        CheckpointError: the file is no such archive, or does not fit its model.
    """
    try:
        if Path(path).is_file() and not zipfile.is_zipfile(path):
            raise ValueError("no .npz archive")  # NumPy would advise to unpickle it
        with np.load(path, allow_pickle=False) as archive:
            state = dict(archive)
        about = json.loads(state.pop(_ABOUT).tobytes())
        model = models.build(about["name"], **about["options"])
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is no model that 'train' or 'demo' wrote: {error}") from None
    model.load_state_dict(state)
    for name in ("classes", "size", "mean", "std"):
        about[name] = tuple(about[name])
    return Trained(model, **about)


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
