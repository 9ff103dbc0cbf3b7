"""A Tensor's memory in the hands of others: NumPy's array protocol, and DLPack.

A recorded graph holds the arrays that it computed with, not copies. Somebody who writes to one of
them through another name can't be noticed, and the gradients are wrong. So what is handed out
without being asked for by name (as ``.numpy()`` and ``.data`` are) can't be written to, or is a
copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import SharingError
from ..typing import Array, DTypeLike
from .symbol import refuse_trace, value_of

if TYPE_CHECKING:
    from .tensor import Tensor

CPU = (1, 0)  # DLPack's kDLCPU, and which one
# NumPy 2.0 knows the protocol's first version alone.
HAS_VERSIONS = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


def to_array(tensor: Tensor, dtype: DTypeLike, copy: bool | None) -> Array:
    """What ``np.asarray`` gets: the values themselves, of a variable or result for reading only."""
    value = value_of(tensor)
    array: Array = np.array(value, dtype=dtype, copy=copy)
    if tensor.node is not None and np.may_share_memory(array, value):
        array = array.view()
        array.flags.writeable = False
    return array


def to_dlpack(
    tensor: Tensor, stream: object, max_version: Any, device: object, copy: bool | None
) -> Any:
    """A DLPack capsule, of a copy if it need not be of the memory itself.

    The protocol has a mark for memory that is not to be written to. PyTorch 2.13 does not heed it,
    so memory that must not be written to is not handed out.

    Raises:
        SharingError: another device is wanted, or the memory itself where it can't be given.
    """
    refuse_trace("a Tensor is handed to another library")
    if stream is not None or device not in (None, CPU):
        raise SharingError(
            f"a Tensor is in the CPU's memory, {CPU} in DLPack: stream={stream!r} and"
            f" dl_device={device!r} can't be had"
        )
    array = value_of(tensor)
    if copy is not False:
        array = np.array(array)
    elif tensor.node is not None:
        raise SharingError(
            "the memory of a Tensor that requires a gradient is not shared: a graph may have saved"
            " it, and a write from outside would go unnoticed. Leave copy=False away; or share"
            " .detach(), and don't write to it before backward()"
        )
    elif not isinstance(array, np.ndarray) or not array.flags.writeable:
        what = "is read-only" if isinstance(array, np.ndarray) else "without axes is a plain number"
        raise SharingError(f"a Tensor that {what} has no memory to share: leave copy=False away")
    try:
        if max_version is None or not HAS_VERSIONS:
            return array.__dlpack__()
        return array.__dlpack__(max_version=max_version)
    except (BufferError, TypeError, ValueError) as error:
        raise SharingError(f"DLPack can't carry this {array.dtype} Tensor: {error}") from None
