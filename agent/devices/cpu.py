"""CPU packages, by CPU time: an upper bound and never a point, because time says nothing about what was computed.

The kernel counts busy time of the whole machine and of every process. A run's part is the CPU time of its processes,
the rest is nobody's. Both outlive the agent, so an agent that was down loses nothing but the processes that ended
meanwhile: their time goes to nobody.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from agent.devices.counters import BOOTTIME_NS, BUSY_NS
from agent.devices.interface import Capability, Delta, Device, Method, ProcessKey, ProcessUse, Snapshot
from compute.cpu import CLOCK_CEILING_MHZ, flop_per_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence, Set

_IDLE_FIELDS = ("idle", "iowait")
_GUEST_FIELDS = ("guest", "guest_nice")
"""Already contained in user and nice."""
_RESCAN_EVERY_SNAPSHOTS = 5
_YOUNG_NS = 100_000_000
"""Between its fork and its exec a process still shows its parent's environment: a younger one is looked at later."""


def _since_boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class CpuBackend:
    """This machine's processors as one device; `belongs` says which processes are worth watching on it."""

    name = "cpu"
    notices: tuple[str, ...] = ()

    def __init__(
        self,
        belongs: Callable[[ProcessKey, Device], bool],
        now_ns: Callable[[], int],
        since_boot_ns: Callable[[], int] = _since_boot_ns,
    ) -> None:
        self._belongs = belongs
        self._now_ns = now_ns
        self._since_boot_ns = since_boot_ns
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")
        self._watched: dict[int, tuple[ProcessKey, psutil.Process]] = {}
        self._seen: set[int] = set()
        self._young: set[int] = set()
        self._snapshots = 0
        self._device = _describe(self._boot_id)

    def devices(self) -> Sequence[Device]:
        """One device: all packages together, since the kernel moves processes between them."""
        return [self._device]

    def capabilities(self, device: Device) -> Sequence[Capability]:
        """CPU time is always there; nothing better is."""
        del device
        return [Capability(Method.CPU_TIME, True)]

    def snapshot(self, device: Device) -> Snapshot:
        """Busy time of the machine and of each watched process."""
        times = psutil.cpu_times()
        busy_s = sum(
            value for name, value in times._asdict().items() if name not in _IDLE_FIELDS and name not in _GUEST_FIELDS
        )
        processes = self._processes()
        return Snapshot(
            device=device.id,
            at_ns=self._now_ns(),
            epoch=self._boot_id,
            resumable=True,
            counters={BUSY_NS: self._whole_ticks_ns(busy_s), BOOTTIME_NS: self._since_boot_ns()},
            processes=processes,
        )

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """Busy time between two snapshots; the clock since boot says how far apart they are, whatever the other does.

        The kernel adds up a process's time as it runs, and the machine's at every clock tick: where these differ, the
        machine was busy for no less than its processes were.
        """
        observed_ns = after.counters[BOOTTIME_NS] - before.counters[BOOTTIME_NS]
        if observed_ns <= 0:
            return None
        used_before = {use.key: use.busy_ns or 0 for use in before.processes}
        used_ns = sum((use.busy_ns or 0) - used_before[use.key] for use in after.processes if use.key in used_before)
        return Delta(
            from_ns=after.at_ns - observed_ns,
            to_ns=after.at_ns,
            method=Method.CPU_TIME,
            observed_ns=observed_ns,
            busy_ns=max(after.counters[BUSY_NS] - before.counters[BUSY_NS], used_ns),
        )

    def close(self) -> None:
        """Nothing is held."""

    def _processes(self) -> tuple[ProcessUse, ...]:
        if self._snapshots % _RESCAN_EVERY_SNAPSHOTS == 0:
            pids = set(psutil.pids())
            self._seen &= pids
            self._look_at(pids - self._seen)
        elif self._young:
            self._look_at(self._young)
        self._snapshots += 1
        uses = []
        for pid, (key, process) in list(self._watched.items()):
            try:
                # Reading the times of a pid does not tell that it is another process's by now.
                times = process.cpu_times() if process.is_running() else None
            except psutil.Error:
                times = None
            if times is None:
                del self._watched[pid]
                self._seen.discard(pid)
                continue
            uses.append(ProcessUse(key, self._whole_ticks_ns(times.user + times.system)))
        return tuple(uses)

    def _look_at(self, pids: Set[int]) -> None:
        """Watch those of the processes that belong; what is too young to tell is looked at again the next time."""
        self._young = set()
        for pid in pids:
            try:
                process = psutil.Process(pid)
                # Unix time of a start moves with the wall clock; ticks since boot never do.
                started = round((process.create_time() - psutil.boot_time()) * self._ticks_per_s)
                if self._since_boot_ns() - self._ticks_ns(started) < _YOUNG_NS:
                    self._young.add(pid)
                    continue
                key = ProcessKey(pid, started, self._boot_id)
                if self._belongs(key, self._device):
                    self._watched[pid] = (key, process)
                self._seen.add(pid)
            except psutil.Error:
                continue

    def _whole_ticks_ns(self, seconds: float) -> int:
        """The kernel counts whole clock ticks; psutil divides them into a float. This brings the integer back."""
        return self._ticks_ns(round(seconds * self._ticks_per_s))

    def _ticks_ns(self, ticks: int) -> int:
        return ticks * (1_000_000_000 // self._ticks_per_s)


def _describe(boot_id: str) -> Device:
    flags, model = _cpuinfo()
    cores = psutil.cpu_count(logical=True) or 1
    clock_mhz = _clock_max_mhz()
    per_cycle = flop_per_cycle(flags)
    machine_id = Path("/etc/machine-id")
    # Images are made with an empty one, to be filled at the first boot.
    host = (machine_id.exists() and machine_id.read_text(encoding="ascii").strip()) or boot_id
    return Device(
        id=f"cpu-{host}",
        kind="cpu",
        name=model,
        accelerator=None,
        units=cores,
        clock_max_mhz=clock_mhz,
        driver=platform.release(),
        flop_per_s_max=cores * clock_mhz * 1_000_000 * per_cycle,
    )


def _cpuinfo() -> tuple[frozenset[str], str]:
    flags: frozenset[str] = frozenset()
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            flags = frozenset(value.split())
        elif name.strip() == "model name":
            model = value.strip()
    return flags, model


def _clock_max_mhz() -> int:
    """The kernel's own figure; a virtual machine hides it, then the ceiling above all processors."""
    highest = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
    if highest.exists():
        return -(-int(highest.read_text(encoding="ascii")) // 1_000)
    return CLOCK_CEILING_MHZ
