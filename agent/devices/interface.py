"""What every backend offers: counters with provenance, never percentages.

A snapshot is the state of a device's own counters; a delta is what happened between two of them. FLOP appear nowhere
here: backends measure cycles and busy time, and `compute` turns those into FLOP.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from compute.cycles import Cycles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Method(StrEnum):
    """How a number was measured, best first."""

    GPM_CYCLES = "gpm-cycles"
    GPM = "gpm"
    DCGM = "dcgm"
    CPU_TIME = "cpu-time"
    BUSY = "busy"
    UNOBSERVED = "unobserved"
    """Device time that no counter covers: bounds only, from zero to all that the silicon can do."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, a MIG instance or a CPU package.

    `units` are SMs (GPU) or physical cores (CPU); `accelerator` is a row of `compute`'s table, None when the device
    is unknown there. `flop_per_s_max` bounds what the silicon can do in any format, None when nothing is known.
    `place` is what schedulers count devices by: the GPU's index, and behind a dot its GPU instance.
    """

    id: str
    kind: str
    name: str
    accelerator: str | None
    units: int | None
    clock_max_mhz: int | None
    parent: str | None = None
    driver: str | None = None
    flop_per_s_max: int | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class Capability:
    """One way to measure a device. When it is not `available`, `reason` says why and what to do about it."""

    method: Method
    available: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ProcessKey:
    """A process that cannot be mistaken for a later one with the same pid. `started` is in clock ticks since boot.

    Pid 0 stands for somebody who is not visible here: only who has the whole device can be said of it.
    """

    pid: int
    started: int
    boot_id: str

    @property
    def hidden(self) -> bool:
        """Whether nothing is known of it but that it is there."""
        return self.pid == 0


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """A process on a device. `busy_ns` is its own cumulative busy time there, None where the device can't tell."""

    key: ProcessKey
    busy_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A device's counters at one instant (`at_ns`, Unix time), and who was on it.

    `counters` outlive the agent only when `resumable`: then a delta may be taken from a snapshot that an earlier
    incarnation stored, provided that `epoch` is the same. `handle` is the backend's own and is never stored.
    """

    device: str
    at_ns: int
    epoch: str
    resumable: bool
    counters: Mapping[str, int]
    processes: tuple[ProcessUse, ...] = ()
    handle: object | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Delta:
    """What a device did between two snapshots.

    `observed_ns` is time that a counter covers. `cycles` are empty for a CPU. `clock_mhz` is (min, mean, max)
    where clocks were sampled. `flags` name what an auditor should know: `throttled`, `clock-sampled`, …
    """

    from_ns: int
    to_ns: int
    method: Method
    observed_ns: int
    cycles: Cycles = field(default_factory=Cycles)
    busy_ns: int | None = None
    energy_mj: int | None = None
    clock_mhz: tuple[int, int, int] | None = None
    flags: frozenset[str] = frozenset()


class Backend(Protocol):
    """One way to reach devices. Not thread-safe: the agent samples from one thread.

    Any method may raise `agent.errors.Retry` (the driver is away: the agent calls again later) or `SkipDevice`.
    """

    name: str

    @property
    def notices(self) -> Sequence[str]:
        """Lines for people: what cannot be measured as it should, why, and what to do about it."""
        ...

    def devices(self) -> Sequence[Device]:
        """The devices that can be measured now; may change from call to call (MIG, hot-plug)."""
        ...

    def capabilities(self, device: Device) -> Sequence[Capability]:
        """Every method of this backend, best first, and for those not available why and what to do."""
        ...

    def snapshot(self, device: Device) -> Snapshot:
        """Read the counters now."""
        ...

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """What happened between two snapshots of one epoch; None when too little time lies between them."""
        ...

    def close(self) -> None:
        """Let go of drivers and sockets."""
        ...
