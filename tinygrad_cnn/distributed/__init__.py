"""Training on several processes and machines, see docs/distributed.md.

>>> import tinygrad_cnn as tc
>>> tc.distributed.Single().size
1
"""

from __future__ import annotations

from .batch_norm import SyncBatchNorm
from .communicator import Communicator, Single
from .mpi import MPI
from .parallel import DataParallel
from .ray import Ray

__all__ = ["MPI", "Communicator", "DataParallel", "Ray", "Single", "SyncBatchNorm"]
