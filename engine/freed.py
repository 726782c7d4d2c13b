"""Freed memory stays with the process, for the next image.

An image is a few megabytes. glibc gives blocks of that size back to the system when they are freed; the next one is
mapped, zeroed and faulted in again, page by page. The classical degraders, which make an image in each step, spent much
of their time on that. With other allocators nothing is changed.
"""

from __future__ import annotations

import ctypes
from functools import cache

KEPT = 1 << 27  # bytes that an arena keeps; a thread has one
LARGEST = 1 << 25  # bytes of a block; larger ones are mapped, and given back, as before
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h


@cache
def keep_freed() -> bool:
    """Has the process keep it from now on; whether it could be told."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # not glibc
        return False
    return bool(mallopt(TRIM_THRESHOLD, KEPT)) and bool(mallopt(MMAP_THRESHOLD, LARGEST))
