"""What happened between two snapshots, from their counters and the windows that were sampled in between."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from agent.devices.counters import BOOTTIME_NS, BUSY_NS, CYCLES, ENERGY_MJ
from agent.devices.interface import Delta, Method
from agent.devices.nvml.samples import LONGEST_NS
from compute.cycles import Cycles

if TYPE_CHECKING:
    from agent.devices.interface import Snapshot
    from agent.devices.nvml.meter import Window

_SLOWEST_MHZ = 100
"""No GPU's SM clock idles below this: fewer cycles than this makes in a long unwatched interval mean that the counters
restarted in it and have overtaken their old values since."""
_KEPT = 900


class History:
    """The windows of the last minutes, newest last."""

    def __init__(self) -> None:
        self._windows: deque[Window] = deque(maxlen=_KEPT)

    def add(self, window: Window) -> None:
        """Remember one more."""
        self._windows.append(window)

    def between(self, after_boot_ns: int, until_boot_ns: int) -> list[Window]:
        """The windows that ended in (after, until]."""
        found = []
        for window in reversed(self._windows):
            if window.until_boot_ns <= after_boot_ns:
                break
            if window.until_boot_ns <= until_boot_ns:
                found.append(window)
        return found


class Live(NamedTuple):
    """What a snapshot carries for as long as the process that took it lives."""

    method: Method
    units: int | None
    boot_ns: int
    history: History


def delta(before: Snapshot, after: Snapshot) -> Delta | None:
    """What happened from `before` to `after`; None when they are the same reading.

    Time in which counters restarted unseen is not observed: the agent books it as a gap with its upper bound. Raises
    ValueError for snapshots of two devices or two epochs, or an `after` of another process.
    """
    if before.device != after.device or before.epoch != after.epoch:
        raise ValueError(f"{before.device} in {before.epoch} and {after.device} in {after.epoch} do not compare")
    live = after.handle
    if not isinstance(live, Live):
        raise ValueError(f"{after.device}: the later snapshot was not taken by this process")
    earlier = before.handle if isinstance(before.handle, Live) else None
    start_boot_ns = before.counters[BOOTTIME_NS] if earlier is None else earlier.boot_ns
    if start_boot_ns == live.boot_ns:
        return None
    grown = {name: value - before.counters[name] for name, value in after.counters.items() if name in before.counters}
    windows = live.history.between(start_boot_ns, live.boot_ns)
    flags = windows[0].flags if len(windows) == 1 else frozenset[str]().union(*(window.flags for window in windows))
    unseen = _unseen(grown, live, flags)
    if unseen:
        return Delta(before.at_ns, after.at_ns, live.method, 0, flags=flags | {unseen})
    return Delta(
        before.at_ns,
        after.at_ns,
        live.method,
        grown[BOOTTIME_NS],
        Cycles(*map(grown.get, CYCLES)),
        # Over the time between two processes, nobody added up busy time.
        grown.get(BUSY_NS) if earlier else None,
        grown.get(ENERGY_MJ),
        _clock_mhz(windows, grown, live) if earlier else None,
        flags,
    )


def _unseen(grown: dict[str, int], live: Live, flags: frozenset[str]) -> str:
    """Why the interval was not observed at all, empty when it was."""
    if min(grown.values()) < 0:
        return "counters-restarted"
    if live.method is Method.GPM_CYCLES:
        if "counter-suspect" in flags:
            return "counter-suspect"
        if grown[BOOTTIME_NS] > LONGEST_NS:
            slowest = _SLOWEST_MHZ * grown[BOOTTIME_NS] // 1_000 * (live.units or 1)
            if grown["sm"] < slowest:
                return "counters-restarted"
    return ""


def _clock_mhz(windows: list[Window], grown: dict[str, int], live: Live) -> tuple[int, int, int] | None:
    """(lowest, mean, highest): extremes as polled, the mean from elapsed cycles where these are counted."""
    spans = [window.span for window in windows if window.span is not None and window.span.time_ns]
    if not spans:
        return None
    lowest, highest = spans[0].lowest_mhz, spans[0].highest_mhz
    for span in spans[1:]:
        lowest, highest = min(lowest, span.lowest_mhz), max(highest, span.highest_mhz)
    if "sm" in grown and live.units and grown[BOOTTIME_NS]:
        mean = _rounded(grown["sm"] * 1_000, live.units * grown[BOOTTIME_NS])
    else:
        mean = _rounded(sum(span.double_area for span in spans), 2 * sum(span.time_ns for span in spans))
    return min(lowest, mean), mean, max(highest, mean)


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)
