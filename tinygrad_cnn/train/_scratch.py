"""Training that leaves no trace: on copies, with everything put back that it draws from."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import nn
from ..data import DataLoader
from ..errors import ArgumentError
from ..optim import Optimizer
from ..random import default_generator
from .evaluation import Batches


@contextmanager
def scratch(
    owner: str, model: nn.Module, optimizer: Optimizer, data: Batches, seed: int
) -> Iterator[tuple[nn.Module, Optimizer]]:
    """A copy of a model, with a copy of its optimiser, to be trained inside the block.

    Data loader and default generator, which starts from ``seed``, are then as they were.

    Raises:
        ArgumentError: the model can't be copied.
    """
    try:
        copies = copy.deepcopy((model, optimizer))
    except Exception as error:  # whatever the user's attributes raise
        raise ArgumentError(
            f"{owner}: works on a copy of the model, but {type(model).__name__} can't be copied:"
            f" copy.deepcopy says {error!r:.200}"
        ) from error
    with seeded(seed), same_epoch(data):
        yield copies


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from this seed inside the block; the default generator is then as it was."""
    generator = default_generator()
    state = generator.bit_generator.state
    generator.bit_generator.state = np.random.default_rng(seed).bit_generator.state
    try:
        yield
    finally:
        generator.bit_generator.state = state


@contextmanager
def same_epoch(data: Batches) -> Iterator[None]:
    """Iterate inside the block; a loader then goes on with the epoch that it was at."""
    epoch = data.epoch if isinstance(data, DataLoader) else 0
    try:
        yield
    finally:
        if isinstance(data, DataLoader):
            data.epoch = epoch


def endless(owner: str, data: Batches) -> Iterator[tuple[Any, Any]]:
    """The batches, again and again.

    Raises:
        ArgumentError: there is none.
    """
    while True:
        batch = None
        for batch in data:
            yield batch
        if batch is None:
            raise ArgumentError(f"{owner}: the data gave no batch")
