"""Keep the memory that a training step frees for the next step."""

from __future__ import annotations

import ctypes
import os
import sys

# From glibc's malloc.h; the threshold is the largest that glibc accepts.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_KEPT_BLOCK = 32 * 2**20
_LARGEST_KEPT_TOTAL = 2**30


def keep_freed_memory() -> bool:
    """Ask glibc to keep up to 1 GiB of freed memory; whether it could be asked.

    By default it hands every large array back to the system as soon as it is freed, and the
    next one costs a page fault for each 4 KiB: more than half of the time of an eager training step
    (benchmarks/allocator.py). The setting holds for the whole process; the environment
    variable TINYGRAD_CNN_KEEP_MEMORY=0 leaves the allocator alone.
    """
    if not sys.platform.startswith("linux") or os.environ.get("TINYGRAD_CNN_KEEP_MEMORY") == "0":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BLOCK)
    mallopt(_M_TRIM_THRESHOLD, _LARGEST_KEPT_TOTAL)
    return True
