"""Whether objects around a function are the ones that they were, asked in each call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from operator import is_
from typing import Any

from .._core.tensor import Tensor


class Identities:
    """What dicts, lists and sets hold: the very objects, in the same order.

    A network has hundreds of attributes. They are gone through by iterators of Python's own,
    which takes a third of the time of a loop.
    """

    def __init__(self, dicts: Iterable[dict[Any, Any]], sequences: Iterable[Any]) -> None:
        every = list(dicts)
        self._empty = [mapping for mapping in every if not mapping]
        self._dicts = [mapping for mapping in every if mapping]
        self._lengths = list(map(len, self._dicts))
        self._keys = list(chain.from_iterable(self._dicts))
        self._values = list(chain.from_iterable(map(dict.values, self._dicts)))
        self._sequences = [(sequence, list(sequence)) for sequence in sequences]

    def same(self) -> bool:
        """Whether they hold what they held."""
        return (
            not any(self._empty)
            and list(map(len, self._dicts)) == self._lengths
            and all(map(is_, chain.from_iterable(self._dicts), self._keys))
            and all(map(is_, chain.from_iterable(map(dict.values, self._dicts)), self._values))
            and all(len(s) == len(b) and all(map(is_, s, b)) for s, b in self._sequences)
        )


class Kinds:
    """Of Tensors their vertices, and the shapes and dtypes of their arrays."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self.nodes = [tensor.node for tensor in tensors]
        self._shapes = [tensor.data.shape for tensor in tensors]
        self._dtypes = [tensor.data.dtype for tensor in tensors]

    def same(self) -> bool:
        """Whether they are as they were."""
        arrays = [tensor.data for tensor in self._tensors]
        return (
            all(map(is_, [tensor.node for tensor in self._tensors], self.nodes))
            and [array.shape for array in arrays] == self._shapes
            and [array.dtype for array in arrays] == self._dtypes
        )
