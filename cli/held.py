"""A file that one process at a time holds, and that says which."""

from __future__ import annotations

import fcntl
import os
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class AlreadyHeld(Exception):
    """Another process holds the file; `holder` is its pid, as far as it said."""

    def __init__(self, holder: str) -> None:
        super().__init__(f"held by process {holder}")
        self.holder = holder


def hold(path: Path) -> IO[str]:
    """Hold `path` until the returned file is closed or this process ends; raises `AlreadyHeld` or OSError."""
    file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = file.read().strip() or "unknown"
        file.close()
        raise AlreadyHeld(holder) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file
