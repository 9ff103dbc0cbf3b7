"""What a forward pass changes in a model, kept and put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._core.context import enable_grad
from ..random import default_generator
from ._mode import mode
from .module import Module


@contextmanager
def untouched(model: Module, training: bool = False) -> Iterator[None]:
    """Record inside the block, by default as in use.

    Modes, buffers and generators are afterwards as they were.
    """
    volatile = Volatile(model)
    volatile.save()
    try:
        with mode(model, training), enable_grad():
            yield
    finally:
        volatile.restore()


class Volatile:
    """What a forward pass changes: buffers, and the state of random generators."""

    def __init__(self, model: Module) -> None:
        modules = list(model.modules())
        held = (value for module in modules for value in vars(module).values())
        self._generators = [value for value in held if isinstance(value, np.random.Generator)]
        self._places = [(module, name) for module in modules for name in module._buffers]
        self._saved: tuple[list[Any], list[Any]] = [], []

    def save(self) -> None:
        """Remember the present state."""
        generators = [default_generator(), *self._generators]
        buffers = ((module, name, getattr(module, name)) for module, name in self._places)
        self._saved = (
            [(generator, generator.bit_generator.state) for generator in generators],
            [
                (*place, buffer, buffer.data.copy())
                for *place, buffer in buffers
                if buffer is not None
            ],
        )

    def restore(self) -> None:
        """Go back to the remembered state."""
        for generator, state in self._saved[0]:
            generator.bit_generator.state = state
        for module, name, buffer, data in self._saved[1]:
            buffer.data = data.copy()
            setattr(module, name, buffer)
