"""Workers of Ray Train that exchange arrays through an actor."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from ..errors import GraphError, MissingExtraError
from ..typing import Array
from .communicator import Communicator

__all__ = ["Ray"]


class Ray(Communicator):
    """The workers of a Ray Train run: restarted after a failure, as many as there then are.

    Make it inside the training function. Arrays go through the object store and one actor, which
    adds them up in the order of the ranks: milliseconds a step, where MPI takes microseconds. Ray
    is for runs that must outlive machines.

    Raises:
        MissingExtraError: Ray is not installed.
        GraphError: this is no worker of Ray Train.
    """

    def __init__(self) -> None:
        try:
            import ray
            from ray.train import collective, get_context
        except ImportError:
            raise MissingExtraError("ray", "ray", "distributed.Ray") from None
        try:
            context = get_context()
            self.rank, self.size = context.get_world_rank(), context.get_world_size()
        except RuntimeError as error:
            raise GraphError(f"distributed.Ray: no worker of Ray Train: {error}") from None
        self._get, self._number = ray.get, 0
        # Of this start of the workers: after a failure there is another.
        hub = None if self.rank else ray.remote(Hub).options(num_cpus=0).remote(self.size)
        self._hub: Any = collective.broadcast_from_rank_zero(hub)

    def barrier(self) -> None:
        """Wait until every rank has come here."""
        self._exchanged(np.zeros(1), None)

    def _sum(self, array: Array) -> None:
        array[...] = self._exchanged(array, None)

    def _spread(self, array: Array, root: int) -> None:
        array[...] = self._exchanged(array, root)

    def _exchanged(self, array: Array, root: int | None) -> Any:
        self._number += 1
        call = self._hub.exchanged.remote(self._number, self.rank, array, root)
        return self._get(call)


class Hub:
    """The actor: collects the arrays of all ranks and gives their sum, or that of one, to each."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._parts: dict[int, dict[int, Array]] = {}
        self._results: dict[int, asyncio.Future[Array]] = {}

    async def exchanged(self, number: int, rank: int, array: Array, root: int | None) -> Array:
        """The result of an exchange, when all ranks are there."""
        parts = self._parts.setdefault(number, {})
        if number not in self._results:
            self._results[number] = asyncio.get_running_loop().create_future()
        found, parts[rank] = self._results[number], array
        if len(parts) == self._size:
            result = parts[0].copy() if root is None else parts[root]
            if root is None:
                for other in range(1, self._size):
                    result += parts[other]
            del self._parts[number], self._results[number]
            found.set_result(result)
        return await found
