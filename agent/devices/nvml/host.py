"""What the node says about itself: its boot, its driver's load, its processes."""

from __future__ import annotations

import os
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime_ns, time_ns
from typing import TYPE_CHECKING, NamedTuple

from agent.devices.interface import ProcessKey

if TYPE_CHECKING:
    from collections.abc import Callable

_TRUSTED_NS = 5_000_000_000
"""How long a pid that never left its device is taken for the same process: pids come round only after millions."""
_PID_MAX = 2**22
"""The highest limit that Linux allows."""


class Instant(NamedTuple):
    """One moment on both clocks: Unix time says when, time since boot says how long, whatever the wall clock does."""

    unix_ns: int
    boot_ns: int


class _Known(NamedTuple):
    key: ProcessKey
    made: tuple[int, int]
    looked_ns: int


def boot_ns() -> int:
    """Time since boot, suspended time included."""
    return clock_gettime_ns(CLOCK_BOOTTIME)


class Host:
    """Reads `/proc` and `/sys`, or what stands in for them."""

    def __init__(
        self,
        proc: str = "/proc",
        sys: str = "/sys",
        now_ns: Callable[[], int] = time_ns,
        since_boot_ns: Callable[[], int] = boot_ns,
    ) -> None:
        self._proc = proc
        self._sys = sys
        self._now_ns = now_ns
        self.boot_ns = since_boot_ns
        self._known: dict[int, _Known] = {}
        self.boot_id = (Path(proc) / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        try:
            self.pid_max = int((Path(proc) / "sys/kernel/pid_max").read_text(encoding="ascii"))
        except OSError:
            self.pid_max = _PID_MAX

    def now(self) -> Instant:
        """This moment."""
        return Instant(self._now_ns(), self.boot_ns())

    def driver_load(self) -> str:
        """Changes when the NVIDIA module is loaded anew: sysfs gives every directory it makes a fresh inode number."""
        try:
            return str((Path(self._sys) / "module/nvidia").stat().st_ino)
        except OSError:
            return "-"

    def process(self, pid: int) -> ProcessKey | None:
        """The process, None when this pid is not visible here: it ended, or lives in another PID namespace."""
        now_ns = self.boot_ns()
        known = self._known.get(pid)
        if known is not None and 0 <= now_ns - known.looked_ns < _TRUSTED_NS:
            return known.key
        try:
            # The kernel makes a new directory for a new process; an unchanged one spares the dear reading of `stat`.
            directory = os.stat(f"{self._proc}/{pid}")
        except OSError:
            self._known.pop(pid, None)
            return None
        made = (directory.st_ino, directory.st_ctime_ns)
        key = known.key if known is not None and known.made == made else self._read(pid)
        if key is None:
            self._known.pop(pid, None)
            return None
        self._known[pid] = _Known(key, made, now_ns)
        return key

    def is_mps_server(self, pid: int) -> bool:
        """Whether it is NVIDIA's multi-process service, in whose context others work."""
        try:
            with open(f"{self._proc}/{pid}/comm", "rb") as file:
                return file.read(15) == b"nvidia-cuda-mps"
        except OSError:
            return False

    def forget(self, pid: int) -> None:
        """The pid left a device: should it come back, it may be another process."""
        self._known.pop(pid, None)

    def _read(self, pid: int) -> ProcessKey | None:
        try:
            descriptor = os.open(f"{self._proc}/{pid}/stat", os.O_RDONLY)
        except OSError:
            return None
        try:
            stat = os.read(descriptor, 1024)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        # The second field is a name that may hold spaces and parentheses; start time is the 22nd.
        return ProcessKey(pid, int(stat[stat.rindex(b")") + 2 :].split(b" ", 20)[19]), self.boot_id)
