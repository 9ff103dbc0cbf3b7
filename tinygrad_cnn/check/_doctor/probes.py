"""Other situations in which a fault may show that the user's inputs hide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ...typing import Array
from .subject import Situation, Subject


class Probe(NamedTuple):
    """A situation, and what makes it different.

    Attributes:
        kind: "values", "batch" or "image".
        control: where the hand-written side has to be right for the probe to mean anything.
    """

    situation: Situation
    kind: str
    control: Situation | None = None


def probes(subject: Subject, output_shape: tuple[int, ...]) -> Iterator[Probe]:
    """Other numbers of the same shapes; more examples; images that are not square.

    Whether the reference accepts the shapes is for the caller to try.
    """
    generator = np.random.default_rng(20)
    given = subject.given
    yield Probe(_redrawn(given, given.arrays, generator, "other numbers"), "values")
    for resized in _other_batches(given.arrays, output_shape):
        count = next(iter(resized.values())).shape[0]
        yield Probe(_redrawn(given, resized, generator, f"{count} examples"), "batch")
    for square, resized in _other_images(given.arrays):
        shapes = ", ".join(f"{a.shape[2]}x{a.shape[3]}" for a in resized.values() if a.ndim == 4)
        control = _redrawn(given, square, generator, "larger images")
        situation = _redrawn(given, resized, generator, f"images of {shapes}")
        yield Probe(situation, "image", control)


def _redrawn(
    given: Situation, arrays: dict[str, Array], generator: np.random.Generator, about: str
) -> Situation:
    """Normal numbers where there were any negative, else positive ones of the same size."""
    drawn = {}
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            drawn[name] = _relabelled(array, arrays, generator)
            continue
        original = given.arrays[name]
        size = float(np.abs(original).mean()) or 1.0
        values = np.asarray(generator.standard_normal(array.shape)) * size * 1.25
        positive = original.size and float(original.min()) > 0.0
        drawn[name] = (np.abs(values) + 0.1 * size if positive else values).astype(array.dtype)
    return Situation(drawn, None, about)


def _relabelled(labels: Array, arrays: dict[str, Array], generator: np.random.Generator) -> Array:
    """Other labels: below the number of columns of the first array that has as many rows."""
    if labels.dtype.kind not in "iu" or labels.ndim != 1:
        return labels
    for array in arrays.values():
        if array.dtype.kind == "f" and array.ndim == 2 and len(array) == len(labels):
            drawn: Array = generator.integers(0, array.shape[1], labels.shape)
            return drawn.astype(labels.dtype)
    return generator.permutation(labels)


def _other_batches(
    arrays: dict[str, Array], output_shape: tuple[int, ...]
) -> Iterator[dict[str, Array]]:
    """All arrays that share the length of the batch, repeated to another length."""
    first = next(iter(arrays.values()))
    if not first.ndim:
        return
    count = first.shape[0]
    sharing = [name for name, a in arrays.items() if a.ndim and a.shape[0] == count]
    labels = [name for name in sharing if arrays[name].dtype.kind in "iu"]
    for chosen in ([next(iter(arrays)), *labels], sharing):
        for length in (count + 2, 2 * count + 1):
            index = np.arange(length) % count
            yield {n: a[index] if n in chosen else a for n, a in arrays.items()}


def _other_images(
    arrays: dict[str, Array],
) -> Iterator[tuple[dict[str, Array], dict[str, Array]]]:
    """The first array of square images: larger squares, and those made wider or higher."""
    images = [n for n, a in arrays.items() if a.ndim == 4]
    if not images or len(set(arrays[images[0]].shape[2:])) != 1:
        return
    name, side = images[0], arrays[images[0]].shape[2]

    def of_size(*size: int) -> dict[str, Array]:
        return {**arrays, name: np.resize(arrays[name], (*arrays[name].shape[:2], *size))}

    for longer in (side + 1, side + 2, 2 * side):
        for size in ((side, longer), (longer, side)):
            yield of_size(longer, longer), of_size(*size)
