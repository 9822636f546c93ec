"""`flopledger` with a clock that others set: eight bytes in the file that CHAOS_CLOCK names, nanoseconds to add."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

BYTES = 8


def offset_of(path: Path, offset_ns: int) -> None:
    """Set the clock of whoever runs with this file."""
    with path.open("r+b") as file:
        file.write(struct.pack("<q", offset_ns))


def new_clock(path: Path) -> Path:
    """A file that says the true time."""
    path.write_bytes(bytes(BYTES))
    return path


def _jumping() -> None:
    true_ns = time.time_ns
    with Path(os.environ["CHAOS_CLOCK"]).open("rb") as file:
        offset = mmap.mmap(file.fileno(), BYTES, access=mmap.ACCESS_READ)
    time.time_ns = lambda: true_ns() + int(struct.unpack("<q", offset[:])[0])


if __name__ == "__main__":
    _jumping()
    from flopledger import main

    main()
