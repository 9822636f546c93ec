"""CPU packages, by CPU time: an upper bound and never a point, because time says nothing about what was computed.

The kernel counts busy time of the whole machine and of every process. A run's part is the CPU time of its processes,
the rest is nobody's. Both outlive the agent, so an agent that was down loses nothing but the processes that ended
meanwhile: their time goes to nobody.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from agent.devices.interface import Capability, Delta, Device, Method, ProcessKey, ProcessUse, Snapshot
from compute.cpu import CLOCK_CEILING_MHZ, flop_per_cycle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_IDLE_FIELDS = ("idle", "iowait")
_GUEST_FIELDS = ("guest", "guest_nice")
"""Already contained in user and nice."""
_RESCAN_EVERY_SNAPSHOTS = 5


class CpuBackend:
    """This machine's processors as one device; `belongs` says which processes are worth watching."""

    name = "cpu"

    def __init__(self, belongs: Callable[[ProcessKey], bool], now_ns: Callable[[], int]) -> None:
        self._belongs = belongs
        self._now_ns = now_ns
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        self._ticks_per_s = os.sysconf("SC_CLK_TCK")
        self._watched: dict[int, tuple[ProcessKey, psutil.Process]] = {}
        self._seen: set[int] = set()
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
            counters={"busy_ns": self._whole_ticks_ns(busy_s)},
            processes=processes,
        )

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """Busy time between two snapshots."""
        if after.at_ns <= before.at_ns:
            return None
        return Delta(
            from_ns=before.at_ns,
            to_ns=after.at_ns,
            method=Method.CPU_TIME,
            observed_ns=after.at_ns - before.at_ns,
            busy_ns=max(after.counters["busy_ns"] - before.counters["busy_ns"], 0),
        )

    def close(self) -> None:
        """Nothing is held."""

    def _processes(self) -> tuple[ProcessUse, ...]:
        if self._snapshots % _RESCAN_EVERY_SNAPSHOTS == 0:
            self._rescan()
        self._snapshots += 1
        uses = []
        for pid, (key, process) in list(self._watched.items()):
            try:
                times = process.cpu_times()
            except psutil.Error:
                del self._watched[pid]
                continue
            uses.append(ProcessUse(key, self._whole_ticks_ns(times.user + times.system)))
        return tuple(uses)

    def _rescan(self) -> None:
        pids = set(psutil.pids())
        self._seen &= pids
        for pid in pids - self._seen:
            self._seen.add(pid)
            try:
                process = psutil.Process(pid)
                key = ProcessKey(pid, round(process.create_time() * self._ticks_per_s), self._boot_id)
                if self._belongs(key):
                    self._watched[pid] = (key, process)
            except psutil.Error:
                continue

    def _whole_ticks_ns(self, seconds: float) -> int:
        """The kernel counts whole clock ticks; psutil divides them into a float. This brings the integer back."""
        return round(seconds * self._ticks_per_s) * (1_000_000_000 // self._ticks_per_s)


def read_environ(pid: int) -> Mapping[str, str]:
    """The environment that a process was started with; empty when it is gone or not ours to read."""
    try:
        environ: Mapping[str, str] = psutil.Process(pid).environ()
    except psutil.Error:
        return {}
    return environ


def _describe(boot_id: str) -> Device:
    flags, model = _cpuinfo()
    cores = psutil.cpu_count(logical=True) or 1
    clock_mhz = _clock_max_mhz()
    per_cycle = flop_per_cycle(flags)
    machine_id = Path("/etc/machine-id")
    host = machine_id.read_text(encoding="ascii").strip() if machine_id.exists() else boot_id
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
