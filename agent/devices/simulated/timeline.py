"""What happens on every device, as phases in which nothing changes.

A phase is closed at both ends for whoever looks at processes or counters: a sample taken exactly when a process ends
still sees it, with all that it did. Devices with the same fate share one timeline.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING

from agent.devices.simulated.placement import Occupancy, occupancies
from agent.devices.simulated.scenario import FailureKind
from agent.devices.simulated.windows import Window, covering, merged, without

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.devices.simulated.scenario import Failure, Run, Scenario

FOREVER_NS = 2**63 - 1
"""Past the scenario's end the devices stand idle."""


class State(StrEnum):
    """Whether a device answers."""

    ON = "on"
    LOST = "lost"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time in which nothing changes for a device. Unix time; `boot_ns` is when the node came up.

    `boot` and `epoch` count boots of the node and reset epochs of the device. A phase with a `run` is the whole life of
    one process; `first` says that it sits on the run's first node.
    """

    start_ns: int
    end_ns: int
    state: State
    boot: int
    boot_ns: int
    epoch: int
    run: Run | None
    first: bool


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The phases of one device or of many, without a hole from the scenario's start on."""

    phases: tuple[Phase, ...]
    _ends_ns: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_ends_ns", [phase.end_ns for phase in self.phases])

    def position(self, at_ns: int) -> int:
        """The phase that a look at `at_ns` finds: at an edge the one that ends, unless the device was away in it."""
        found = bisect_left(self._ends_ns, at_ns)
        if self._ends_ns[found] == at_ns and self.phases[found].state is not State.ON:
            return found + 1
        return found


@dataclass(frozen=True, slots=True)
class _Fate:
    """All that decides a device's phases; times are Unix. Resets are windows: counters go to zero at their start."""

    occupancy: tuple[Occupancy, ...]
    off: tuple[Window, ...]
    lost: tuple[Window, ...]
    resets: tuple[Window, ...]


def timelines(scenario: Scenario) -> list[tuple[Timeline, ...]]:
    """One timeline per GPU of every node."""
    interruptions = _by_target(scenario, FailureKind.INTERRUPTION)
    off = _by_target(scenario, FailureKind.NODE_LOST)
    lost = _by_target(scenario, FailureKind.DEVICE_LOST)
    resets = _by_target(scenario, FailureKind.RESET)
    shared: dict[_Fate, Timeline] = {}
    found = []
    for node, occupancy in enumerate(occupancies(scenario)):
        on_node = []
        for gpu in range(scenario.gpus_per_node):
            target = (node, gpu)
            fate = _Fate(occupancy, off.get((node, None), ()), lost.get(target, ()), resets.get(target, ()))
            timeline = shared.get(fate)
            if timeline is None:
                shared[fate] = timeline = Timeline(tuple(_phases(scenario, fate, interruptions)))
            on_node.append(timeline)
        found.append(tuple(on_node))
    return found


_Target = tuple[int | str | None, int | None]


def _by_target(scenario: Scenario, kind: FailureKind) -> dict[_Target, tuple[Window, ...]]:
    """When the failures of one kind hold, by (node, GPU); interruptions by (run, None)."""
    windows: dict[_Target, list[Window]] = {}
    for failure in scenario.failures:
        if failure.kind is kind:
            target = (failure.run_id or failure.node, failure.gpu)
            windows.setdefault(target, []).append(failure_window(scenario, failure))
    return {target: merged(found) for target, found in windows.items()}


def failure_window(scenario: Scenario, failure: Failure) -> Window:
    """When a failure holds, in Unix time."""
    at_ns = scenario.start_ns + failure.at_ns
    return Window(at_ns, at_ns + failure.length_ns)


def _phases(scenario: Scenario, fate: _Fate, interruptions: dict[_Target, tuple[Window, ...]]) -> Iterable[Phase]:
    lives = [
        Occupancy(occupancy.run, occupancy.first, *life)
        for occupancy in fate.occupancy
        for life in without(
            Window(occupancy.from_ns, occupancy.until_ns),
            merged([*fate.off, *fate.lost, *fate.resets, *interruptions.get((occupancy.run.run_id, None), ())]),
        )
    ]
    edges = {scenario.start_ns, FOREVER_NS}
    edges.update(edge for life in lives for edge in (life.from_ns, life.until_ns))
    edges.update(edge for window in (*fate.off, *fate.lost) for edge in window)
    edges.update(at_ns for at_ns, _ in fate.resets)
    ordered = sorted(edges)
    epoch_starts = [*(back for _, back in (*fate.off, *fate.lost)), *(at_ns for at_ns, _ in fate.resets)]
    for start_ns, end_ns in pairwise(ordered):
        boots = [back for _, back in fate.off if back <= start_ns]
        life = next((life for life in lives if life.from_ns <= start_ns < life.until_ns), None)
        yield Phase(
            start_ns,
            end_ns,
            _state(fate, start_ns),
            len(boots),
            max(boots, default=scenario.start_ns),
            sum(at_ns <= start_ns for at_ns in epoch_starts),
            None if life is None else life.run,
            life is not None and life.first,
        )


def _state(fate: _Fate, at_ns: int) -> State:
    if covering(fate.off, at_ns):
        return State.OFF
    return State.LOST if covering(fate.lost, at_ns) else State.ON
