"""Processes that exchange arrays through MPI."""

from __future__ import annotations

from typing import Any

from ..errors import DtypeError, MissingExtraError
from ..typing import Array
from .communicator import Communicator

__all__ = ["MPI"]


class MPI(Communicator):
    """The processes that ``mpiexec`` started, by default all of them.

    Start a job with ``mpiexec -n 4 python -m mpi4py script.py``: without ``-m mpi4py`` an exception
    on one rank leaves the others waiting for it for ever.

    Args:
        comm: a communicator of mpi4py; None: a copy of ``COMM_WORLD``, so that these messages
            never meet those of the program.

    Raises:
        MissingExtraError: mpi4py is not installed.
        DtypeError: ``comm`` is something else.
    """

    def __init__(self, comm: Any = None) -> None:
        try:
            from mpi4py import MPI as library
        except ImportError:
            raise MissingExtraError("mpi4py", "mpi", "distributed.MPI") from None
        if comm is None:
            comm = library.COMM_WORLD.Dup()
        elif not isinstance(comm, library.Intracomm):
            raise DtypeError(f"MPI: comm={comm!r:.60}, expected a communicator of mpi4py")
        self._comm, self._in_place = comm, library.IN_PLACE
        self.rank, self.size = comm.Get_rank(), comm.Get_size()

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        self._comm.Barrier()

    def _sum(self, array: Array) -> None:
        self._comm.Allreduce(self._in_place, array)  # the sum is MPI's default

    def _spread(self, array: Array, root: int) -> None:
        self._comm.Bcast(array, root)
