"""What `/proc` says of a process: whose it is, where it lives, when it began, what it is called inside its pod."""

from __future__ import annotations

import os
from pathlib import Path
from time import CLOCK_BOOTTIME, clock_gettime_ns, time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.devices.interface import ProcessKey


def _boot_unix_ns() -> int:
    return time_ns() - clock_gettime_ns(CLOCK_BOOTTIME)


class ProcessFacts:
    """Reads `proc`. A process that is gone, or not ours to look at, has no facts: empty, or None."""

    def __init__(self, proc: Path = Path("/proc"), boot_unix_ns: Callable[[], int] = _boot_unix_ns) -> None:
        self._proc = proc
        self._boot_unix_ns = boot_unix_ns
        self._tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")

    def uid(self, pid: int) -> int | None:
        """The user it runs as."""
        try:
            return os.stat(self._proc / str(pid)).st_uid if pid > 0 else None
        except OSError:
            return None

    def cgroup(self, pid: int) -> str:
        """Its lines of `/proc/<pid>/cgroup`."""
        return self._read(pid, "cgroup").decode("utf-8", "replace")

    def environ(self, pid: int) -> Mapping[str, str]:
        """What it was started with. What is not UTF-8 arrives as lone surrogates."""
        pairs = (entry.partition(b"=") for entry in self._read(pid, "environ").split(b"\0"))
        return {os.fsdecode(name): os.fsdecode(value) for name, equals, value in pairs if equals}

    def inner_pid(self, pid: int) -> int:
        """Its pid in its own PID namespace."""
        for line in self._read(pid, "status").splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
        return pid

    def alive(self, process: ProcessKey) -> bool:
        """Whether this very process is there, and not a later one with its pid."""
        stat = self._read(process.pid, "stat")
        # The second field is a name that may hold spaces and parentheses; start time is the 22nd.
        fields = stat[stat.rfind(b")") + 2 :].split(b" ", 20)
        return len(fields) > 19 and int(fields[19]) == process.started

    def started_unix_ns(self, process: ProcessKey) -> int:
        """When it began."""
        return self._boot_unix_ns() + process.started * self._tick_ns

    def _read(self, pid: int, name: str) -> bytes:
        try:
            return (self._proc / str(pid) / name).read_bytes() if pid > 0 else b""
        except OSError:
            return b""
