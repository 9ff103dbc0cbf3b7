"""The seeded generator that initialisers, dropout and shuffling draw from."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .errors import ArgumentError

__all__ = ["default_generator", "manual_seed"]


States = dict[np.random.Generator, np.random.Generator]  # each generator, and a copy of it


class _PerThread(threading.local):
    generator: np.random.Generator | None = None
    noting: tuple[States, ...] = ()
    replaced: States | None = None


_per_thread = _PerThread()


def manual_seed(seed: int) -> np.random.Generator:
    """Start this thread's default generator anew, so that a run can be repeated to the bit.

    Raises:
        ArgumentError: the seed is no integer from 0 up.

    >>> import tinygrad_cnn as tc
    >>> _ = tc.manual_seed(0)
    >>> first = tc.rand(2)
    >>> _ = tc.manual_seed(0)
    >>> bool((tc.rand(2) == first).all())
    True
    """
    try:
        _per_thread.generator = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ArgumentError(f"manual_seed: {seed!r}, expected an integer from 0 up") from None
    return _per_thread.generator


def generator_or_default(generator: np.random.Generator | None) -> np.random.Generator:
    """The generator that was passed, or the thread's.

    Raises:
        ArgumentError: something else was passed, such as a seed.
    """
    if generator is None:
        return default_generator()
    if not isinstance(generator, np.random.Generator):
        raise ArgumentError(
            f"generator={generator!r}: expected a np.random.Generator, such as"
            " np.random.default_rng(0), or None for the thread's, which manual_seed starts anew"
        )
    return _noted(generator)


def default_generator() -> np.random.Generator:
    """The generator that is used where none is passed.

    >>> import tinygrad_cnn as tc
    >>> tc.manual_seed(0) is tc.default_generator()
    True
    """
    if _per_thread.generator is None:  # NumPy imports its generators at their first use
        _per_thread.generator = np.random.default_rng()
    return _noted(_per_thread.generator)


def _noted(generator: np.random.Generator) -> np.random.Generator:
    """The generator, or its copy where draws are repeated."""
    used = generator if _per_thread.replaced is None else _per_thread.replaced.get(generator)
    if used is None:
        used = generator
    for states in _per_thread.noting:
        if generator not in states:
            states[generator] = copy.deepcopy(used)
    return used


@contextmanager
def noting_states() -> Iterator[States]:
    """Note the state that each generator has when it is first used inside the block."""
    outer, states = _per_thread.noting, States()
    _per_thread.noting = (*outer, states)
    try:
        yield states
    finally:
        _per_thread.noting = outer


@contextmanager
def replaying_states(states: States, default: np.random.Generator | None) -> Iterator[None]:
    """Draw the same again inside the block, from copies: the generators stay as they are.

    Args:
        states: what ``noting_states`` gave.
        default: the generator of the thread that drew.
    """
    outer = _per_thread.generator, _per_thread.replaced
    _per_thread.generator = default
    _per_thread.replaced = {generator: copy.deepcopy(state) for generator, state in states.items()}
    try:
        yield
    finally:
        _per_thread.generator, _per_thread.replaced = outer


def current_generator() -> np.random.Generator | None:
    """The generator of this thread, if there is one already."""
    return _per_thread.generator
