"""What loading a program leaves behind."""

from __future__ import annotations

import ctypes
import gc


def give_memory_back() -> None:
    """Return to the system what start-up alone needed, and leave what stays to the end out of every later collection.

    Modules and settings are never garbage: looking through them again and again costs time. The C library returns freed
    memory only when asked; one that cannot be asked (musl) is left alone.
    """
    gc.collect()
    gc.freeze()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except AttributeError:
        return
