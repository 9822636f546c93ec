"""Splitting what a device did among the runs that were on it. The parts always sum to the device.

A process counts when it was there at both ends of the interval. What nobody can claim goes to no run, which the agent
books as `unattributed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.devices.interface import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.attribution.interface import RunIdentity
    from agent.devices.interface import Delta, ProcessKey, ProcessUse


@dataclass(frozen=True, slots=True)
class Share:
    """A run's part of a delta: `weight` out of the sum of all weights. `run` is None for nobody's part."""

    run: RunIdentity | None
    attribution: str
    weight: int


_NOBODYS = (Share(None, "exact", 1),)


def shares(
    delta: Delta,
    before: Sequence[ProcessUse],
    after: Sequence[ProcessUse],
    identify: Callable[[ProcessKey], RunIdentity | None],
) -> Sequence[Share]:
    """Who did what part of `delta`, given the processes at its two ends; never empty, weights never all zero."""
    if not before and not after:
        return _NOBODYS
    busy_before = {use.key: use.busy_ns for use in before}
    stayed = [use for use in after if use.key in busy_before]
    if delta.method is Method.CPU_TIME:
        return _by_cpu_time(delta, busy_before, stayed, identify)
    runs = {identify(use.key) for use in stayed}
    if not runs:
        return _NOBODYS
    crowd = len(before) + len(after) - len(stayed)
    if len(runs) == 1:
        sure = crowd == len(stayed) and not any(use.key.hidden for use in stayed)
        return [Share(runs.pop(), "exact" if sure else "low", 1)]
    return _by_busy_time(busy_before, stayed, identify)


def parts(total: int, weights: Sequence[int]) -> list[int]:
    """`total` cut in proportion to `weights`, in whole units that sum to `total`."""
    if len(weights) == 1:
        return [total]
    whole = sum(weights)
    cut: list[int] = []
    claimed = given = 0
    for weight in weights:
        claimed += weight
        upto = total * claimed // whole
        cut.append(upto - given)
        given = upto
    return cut


def _by_cpu_time(
    delta: Delta,
    busy_before: dict[ProcessKey, int | None],
    stayed: Sequence[ProcessUse],
    identify: Callable[[ProcessKey], RunIdentity | None],
) -> list[Share]:
    """The kernel counts CPU time per process, so each run's part is measured; the rest of the package is nobody's."""
    used = _used(busy_before, stayed, identify)
    used.pop(None, None)
    rest = max((delta.busy_ns or 0) - sum(used.values()), 0)
    found = [Share(run, "exact", busy_ns) for run, busy_ns in used.items() if busy_ns]
    if rest or not found:
        found.append(Share(None, "exact", rest or 1))
    return found


def _by_busy_time(
    busy_before: dict[ProcessKey, int | None],
    stayed: Sequence[ProcessUse],
    identify: Callable[[ProcessKey], RunIdentity | None],
) -> list[Share]:
    """Time-slicing: by each process's own busy time where the device tells it, else in equal parts."""
    told = all(use.busy_ns is not None and busy_before[use.key] is not None for use in stayed)
    used = _used(busy_before, stayed, identify)
    if told and any(used.values()):
        return [Share(run, "split", busy_ns) for run, busy_ns in used.items()]
    return [Share(run, "low", 1) for run in used]


def _used(
    busy_before: dict[ProcessKey, int | None],
    stayed: Sequence[ProcessUse],
    identify: Callable[[ProcessKey], RunIdentity | None],
) -> dict[RunIdentity | None, int]:
    used: dict[RunIdentity | None, int] = {}
    for use in stayed:
        grown = max((use.busy_ns or 0) - (busy_before[use.key] or 0), 0)
        run = identify(use.key)
        used[run] = used.get(run, 0) + grown
    return used
