"""Cumulative counters, and what lies between two readings of them.

Counters carry the names of `Cycles`' fields, and the three below. Every backend that offers cumulative counters, and
every recorded trace, uses these names, so that one function turns two snapshots into a delta.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from agent.devices.interface import Delta
from agent.errors import SkipDevice
from compute.cycles import Cycles

if TYPE_CHECKING:
    from agent.devices.interface import Method, Snapshot

BOOTTIME_NS = "boottime_ns"
"""Time that the counters cover. Where that is all the time, it is the node's clock since boot (CLOCK_BOOTTIME), which
does not jump when the wall clock does."""
BUSY_NS = "busy_ns"
ENERGY_MJ = "energy_mj"

CYCLES = tuple(field.name for field in fields(Cycles))
NAMES = frozenset({BOOTTIME_NS, BUSY_NS, ENERGY_MJ, *CYCLES})


def delta(
    before: Snapshot,
    after: Snapshot,
    method: Method,
    clock_mhz: tuple[int, int, int] | None = None,
    flags: frozenset[str] = frozenset(),
    observed_ns: int | None = None,
) -> Delta | None:
    """What happened from `before` to `after`; None when no time passed. What one of the two lacks is not measured.

    Unless given, `observed_ns` is the growth of `boottime_ns`, or failing that the time between the two. It is never
    more than lies between the delta's ends: when the wall clock went back, the delta begins earlier than `before` says.

    Raises ValueError for snapshots of two devices or two epochs, and SkipDevice when a counter went back although the
    epoch did not change: then its values mean nothing.
    """
    if before.epoch != after.epoch or before.device != after.device:
        raise ValueError(
            f"{before.device}, epoch {before.epoch} and {after.device}, epoch {after.epoch} do not compare"
        )
    old = before.counters
    grown = {name: value - old[name] for name, value in after.counters.items() if name in old}
    covered_ns = grown.pop(BOOTTIME_NS, after.at_ns - before.at_ns)
    if observed_ns is None:
        observed_ns = covered_ns
    if grown and min(grown.values()) < 0:
        name = min(grown, key=grown.__getitem__)
        raise SkipDevice(after.device, f"counter {name} went back by {-grown[name]} within reset epoch {after.epoch}")
    if observed_ns <= 0:
        return None
    busy_ns = grown.pop(BUSY_NS, None)
    energy_mj = grown.pop(ENERGY_MJ, None)
    cycles = Cycles(**grown)
    from_ns = min(before.at_ns, after.at_ns - observed_ns)
    return Delta(from_ns, after.at_ns, method, observed_ns, cycles, busy_ns, energy_mj, clock_mhz, flags)
