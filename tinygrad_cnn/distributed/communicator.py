"""What the processes of one job exchange."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from .._arguments import whole
from ..errors import ArgumentError, DtypeError
from ..typing import Array

__all__ = ["Communicator", "Single"]


class Communicator(ABC):
    """A group of processes, the ranks 0 to ``size - 1``, that run the same program.

    Every rank calls the same methods in the same order, with arrays of the same shape and dtype.
    A subclass defines ``_sum``, ``_spread`` and ``barrier``.

    Attributes:
        rank: the number of this process.
        size: how many there are.
    """

    rank: int
    size: int

    def allreduce(self, array: Array) -> None:
        """Replace an array by its sum over all ranks, the same bits on each.

        Args:
            array: real numbers, C-contiguous, writable.

        Raises:
            DtypeError, ArgumentError: it is not.

        >>> import numpy as np, tinygrad_cnn as tc
        >>> x = np.array([1.0, 2.0])
        >>> tc.distributed.Single().allreduce(x)
        >>> x
        array([1., 2.])
        """
        self._sum(_checked("allreduce", array))

    def broadcast(self, array: Array, root: int = 0) -> None:
        """Replace an array by that of the rank ``root``.

        Args:
            array: as for ``allreduce``.
            root: whose array it becomes.

        Raises:
            DtypeError, ArgumentError: an array or rank that does not fit.
        """
        if whole("broadcast", "root", root, least=0) >= self.size:
            raise ArgumentError(f"broadcast: root={root}, expected 0 to {self.size - 1}")
        self._spread(_checked("broadcast", array), root)

    @abstractmethod
    def barrier(self) -> None:
        """Wait until every rank has come here."""

    @abstractmethod
    def _sum(self, array: Array) -> None: ...

    @abstractmethod
    def _spread(self, array: Array, root: int) -> None: ...

    def __deepcopy__(self, memo: object) -> Communicator:
        return self  # a copy of a model stays with its ranks

    def __repr__(self) -> str:
        return f"{type(self).__name__}(rank={self.rank}, size={self.size})"


class Single(Communicator):
    """A job of one process, so that the same program runs without MPI.

    >>> import tinygrad_cnn as tc
    >>> tc.distributed.Single()
    Single(rank=0, size=1)
    """

    rank, size = 0, 1

    def barrier(self) -> None:
        """There is nobody to wait for."""

    def _sum(self, array: Array) -> None:
        pass

    def _spread(self, array: Array, root: int) -> None:
        pass


def _checked(owner: str, array: Array) -> Array:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        what = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
        raise DtypeError(f"{owner}: expected an array of real numbers, got {what}")
    if not (array.flags.c_contiguous and array.flags.writeable and array.dtype.isnative):
        raise ArgumentError(
            f"{owner}: expected a C-contiguous, writable array in native byte order, got strides"
            f" {array.strides} for shape {array.shape}, dtype {array.dtype.str},"
            f" writable={array.flags.writeable}: pass a copy by np.array(x, order='C')"
        )
    return array
