"""Keeping freed memory for the next batch, instead of handing it back to the system each time."""

from __future__ import annotations

import ctypes

# From glibc's malloc.h.
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
MOST_TRIM, MOST_MMAP = 2**31 - 1, 2**30


def keep_freed_memory() -> bool:
    """Has glibc reuse memory of large tensors in this process; whether it could be told.

    By default it hands out large blocks as mappings of their own, and the system fills each anew
    with zeros, page by page: a third of the time of training small networks on a CPU. What the
    process holds is then its peak, which it needs at every batch anyway. Other C libraries have no
    such call and are left alone.
    """
    try:
        call = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(call(MMAP_THRESHOLD, MOST_MMAP)) and bool(call(TRIM_THRESHOLD, MOST_TRIM))
