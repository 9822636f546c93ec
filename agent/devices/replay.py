"""Recording any backend into a trace, and playing a trace back as a backend.

Where a backend keeps its counters in a handle, the recorder adds up its deltas, so that every trace has cumulative
counters and one function turns two of its snapshots into a delta, whatever was recorded.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

import orjson

from agent.devices import counters
from agent.devices.interface import Method, Snapshot
from agent.devices.trace import SCHEMA, DeviceLine, DevicesLine, SilentLine, SnapshotLine, TraceInvalid, read_trace
from agent.errors import SkipDevice
from compute.cycles import Cycles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from agent.devices.interface import Backend, Capability, Delta, Device
    from agent.devices.trace import IntervalLine, Line

_NOTHING = dict.fromkeys(sorted(counters.NAMES), 0)
_METHODS = list(Method)


class Recorder:
    """A backend that writes down all that another one says. `now_ns` dates what carries no time of its own."""

    def __init__(self, backend: Backend, path: Path, now_ns: Callable[[], int]) -> None:
        self.name = backend.name
        self.notices = backend.notices
        self._backend = backend
        self._now_ns = now_ns
        self._last: dict[str, Snapshot] = {}
        self._sums: dict[str, dict[str, int]] = {}
        self._devices = list(backend.devices())
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise TraceInvalid(f"{path}: {error.strerror}; a trace is written to a new file") from error
        self._write({"schema": SCHEMA, "devices": self._described()})

    def devices(self) -> Sequence[Device]:
        """The backend's devices; a change among them is recorded."""
        devices = list(self._backend.devices())
        if devices != self._devices:
            self._devices = devices
            self._write({"kind": "devices", "at_ns": self._now_ns(), "devices": self._described()})
        return devices

    def capabilities(self, device: Device) -> Sequence[Capability]:
        """The backend's."""
        return self._backend.capabilities(device)

    def snapshot(self, device: Device) -> Snapshot:
        """The backend's snapshot, recorded unless it came too soon after the last to say anything."""
        try:
            after = self._backend.snapshot(device)
            before = self._last.get(device.id)
            if before is None or before.epoch != after.epoch:
                self._sums[device.id] = dict(_NOTHING)
                self._record(after, None, after.counters or _NOTHING)
            else:
                delta = self._backend.delta(before, after)
                if delta is not None:
                    self._record(after, delta, after.counters or self._added(device.id, delta))
        except SkipDevice as skip:
            self._write({"kind": "silent", "device": device.id, "at_ns": self._now_ns(), "reason": skip.reason})
            raise
        return after

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """The backend's."""
        return self._backend.delta(before, after)

    def close(self) -> None:
        """Close the trace and the backend."""
        self._file.close()
        self._backend.close()

    def _added(self, device: str, delta: Delta) -> dict[str, int]:
        """The sums of all deltas, of those counters that the last one has."""
        sums = self._sums[device]
        grown = {field.name: getattr(delta.cycles, field.name) for field in fields(Cycles)}
        grown |= {
            counters.BOOTTIME_NS: delta.observed_ns,
            counters.BUSY_NS: delta.busy_ns,
            counters.ENERGY_MJ: delta.energy_mj,
        }
        measured = {name: value for name, value in grown.items() if value is not None}
        for name, value in measured.items():
            sums[name] += value
        return {name: sums[name] for name in measured}

    def _record(self, snapshot: Snapshot, delta: Delta | None, cumulative: Mapping[str, int]) -> None:
        self._last[snapshot.device] = snapshot
        interval = delta and {
            "method": delta.method,
            "observed_ns": delta.observed_ns,
            "clock_mhz": delta.clock_mhz,
            "flags": sorted(delta.flags),
        }
        line = {
            "kind": "snapshot",
            "device": snapshot.device,
            "at_ns": snapshot.at_ns,
            "epoch": snapshot.epoch,
            "resumable": snapshot.resumable,
            "counters": dict(cumulative),
            "processes": [{**asdict(use.key), "busy_ns": use.busy_ns} for use in snapshot.processes],
            "interval": interval,
        }
        self._write(line)

    def _described(self) -> list[dict[str, object]]:
        return [
            {**asdict(device), "capabilities": [asdict(way) for way in self._backend.capabilities(device)]}
            for device in self._devices
        ]

    def _write(self, line: Mapping[str, object]) -> None:
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()


@dataclass(frozen=True, slots=True)
class _Take:
    """What the trace has for a device from `due_ns` on: a snapshot, or the reason for none."""

    due_ns: int
    snapshot: Snapshot | None
    interval: IntervalLine | None
    reason: str = ""


class ReplayBackend:
    """A trace against the clock: what was recorded last, at or before `now_ns`.

    Lines are due in the order of the file: one whose clock had gone back is due together with the line before it.
    """

    name = "replay"
    notices: tuple[str, ...] = ()

    def __init__(self, path: Path, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._takes: dict[str, list[_Take]] = {}
        self._found: dict[tuple[str, str, int], int] = {}
        header, lines = read_trace(path)
        self._inventories: list[tuple[int, tuple[DeviceLine, ...]]] = [(0, header.devices)]
        due_ns = 0
        for number, line in enumerate(lines, start=2):
            due_ns = max(due_ns, line.at_ns)
            self._add(f"{path}, line {number}", due_ns, line)

    def devices(self) -> Sequence[Device]:
        """The devices listed last."""
        return [line.device() for line in self._listed()]

    def capabilities(self, device: Device) -> Sequence[Capability]:
        """As recorded."""
        return [way.capability() for line in self._listed() if line.id == device.id for way in line.capabilities]

    def snapshot(self, device: Device) -> Snapshot:
        """What was recorded last; raises SkipDevice where the backend did, and before the device's first line."""
        takes = self._takes.get(device.id, [])
        position = bisect_right(takes, self._now_ns(), key=lambda take: take.due_ns) - 1
        if position < 0:
            raise SkipDevice(device.id, "nothing is recorded of it yet at this time")
        take = takes[position]
        if take.snapshot is None:
            raise SkipDevice(device.id, take.reason)
        return take.snapshot

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """What happened between two recorded snapshots of one epoch, by the weakest method used in between."""
        first, last = self._position(before), self._position(after)
        between = self._takes[after.device][first + 1 : last + 1]
        intervals = [take.interval for take in between if take.interval is not None]
        if not intervals:
            return None
        return counters.delta(
            before,
            after,
            max((interval.method for interval in intervals), key=_METHODS.index),
            clock_mhz=_clock_mhz(intervals),
            flags=frozenset(flag for interval in intervals for flag in interval.flags),
            observed_ns=sum(interval.observed_ns for interval in intervals),
        )

    def close(self) -> None:
        """Nothing is held open."""

    def _listed(self) -> tuple[DeviceLine, ...]:
        position = bisect_right(self._inventories, self._now_ns(), key=lambda listed: listed[0]) - 1
        return self._inventories[max(position, 0)][1]

    def _add(self, where: str, due_ns: int, line: Line) -> None:
        if isinstance(line, DevicesLine):
            self._inventories.append((due_ns, line.devices))
            return
        if all(line.device != device.id for _, listed in self._inventories for device in listed):
            raise TraceInvalid(f"{where}: device: {line.device} is not among the devices listed before")
        takes = self._takes.setdefault(line.device, [])
        if isinstance(line, SilentLine):
            takes.append(_Take(due_ns, None, None, line.reason))
            return
        self._check_grown(where, line)
        snapshot = Snapshot(
            line.device,
            line.at_ns,
            line.epoch,
            line.resumable,
            line.counters,
            tuple(process.use() for process in line.processes),
            handle=self,
        )
        self._found[line.device, line.epoch, line.at_ns] = len(takes)
        takes.append(_Take(due_ns, snapshot, line.interval))

    def _check_grown(self, where: str, line: SnapshotLine) -> None:
        before = next((take.snapshot for take in reversed(self._takes[line.device]) if take.snapshot), None)
        if before is None or before.epoch != line.epoch:
            return
        for name, value in line.counters.items():
            if value < before.counters.get(name, 0):
                raise TraceInvalid(f"{where}: counters.{name}: goes back within reset epoch {line.epoch}")

    def _position(self, snapshot: Snapshot) -> int:
        position = self._found.get((snapshot.device, snapshot.epoch, snapshot.at_ns))
        if position is None:
            raise SkipDevice(snapshot.device, "what was stored of it is not of this trace")
        return position


def _clock_mhz(intervals: Sequence[IntervalLine]) -> tuple[int, int, int] | None:
    """Lowest, mean over time and highest clock; None where no clock was sampled."""
    sampled = [(*interval.clock_mhz, interval.observed_ns or 1) for interval in intervals if interval.clock_mhz]
    if not sampled:
        return None
    lows, _, highs, times_ns = zip(*sampled, strict=True)
    area = sum(mean * time_ns for _, mean, _, time_ns in sampled)
    return min(lows), area // sum(times_ns), max(highs)
