"""The random generators that a run draws from, and their states."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from .._arguments import is_whole
from ..errors import CheckpointError
from ..random import default_generator

_PARTS = ("dataset", "transform", "transforms")  # of a loader that may hold a generator, too


class Draws:
    """The thread's generator, those of NumPy and Python, and all that the owners hold.

    Args:
        owners: what may hold generators in its attributes: modules, loaders, callbacks, …
    """

    def __init__(self, owners: Iterable[Any]) -> None:
        held = (generator for owner in owners for generator in _held(owner))
        self._held = list({id(generator): generator for generator in held}.values())

    def state(self) -> dict[str, Any]:
        """The states of all of them."""
        return {
            "generators": [g.bit_generator.state for g in (default_generator(), *self._held)],
            "numpy": np.random.get_state(legacy=False),  # noqa: NPY002 (users' transforms)
            "python": random.getstate(),
        }

    def load_state(self, state: Any) -> None:
        """Draw from now on what was drawn after ``state()``.

        Raises:
            CheckpointError: there are other generators here.
        """
        here = [default_generator(), *self._held]
        kinds = [type(generator.bit_generator).__name__ for generator in here]
        saved = [given["bit_generator"] for given in state["generators"]]
        if saved != kinds:
            raise CheckpointError(
                f"the run drew from the generators {', '.join(saved)}, here are {', '.join(kinds)}"
            )
        for given in (*state["generators"], state["numpy"]):
            _check_position(given)
        for generator, given in zip(here, state["generators"], strict=True):
            generator.bit_generator.state = given
        np.random.set_state(state["numpy"])  # noqa: NPY002
        random.setstate(state["python"])


def _check_position(state: Any) -> None:
    """Refuse a place outside of a generator's buffer: NumPy would read there without a look."""
    for place, last in ((state.get("buffer_pos", 0), 4), (state["state"].get("pos", 0), 624)):
        if not is_whole(place, 0) or place > last:
            raise CheckpointError(f"a generator's position is {place!r}, expected 0 to {last}")


def _held(owner: Any) -> Iterator[np.random.Generator]:
    """The generators in the attributes of an object and of its parts."""
    attributes = getattr(owner, "__dict__", {})
    yield from (value for value in attributes.values() if isinstance(value, np.random.Generator))
    for part in [attributes[name] for name in _PARTS if name in attributes]:
        for item in part if isinstance(part, (list, tuple)) else [part]:
            yield from _held(item)
