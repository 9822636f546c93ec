"""One simulated GPU: what its counters read and which processes are on it, at any time."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING
from uuid import uuid5

from agent.devices.interface import Device, ProcessKey, ProcessUse
from agent.devices.simulated.hardware import read
from agent.devices.simulated.seeded import jitter_level
from agent.devices.simulated.timeline import State

if TYPE_CHECKING:
    from agent.devices.simulated.fleet import Fleet
    from agent.devices.simulated.hardware import Table
    from agent.devices.simulated.timeline import Phase, Timeline

FIRST_PID = 1_000
_TICK_NS = 10_000_000
"""One clock tick of Linux, in which process start times are counted."""


class Gpu:
    """A GPU of a fleet. `position` is a place in its timeline, found by `Timeline.position` for a time."""

    def __init__(self, fleet: Fleet, node: int, index: int, timeline: Timeline) -> None:
        accelerator = fleet.scenario.accelerator
        self.node = node
        self.index = index
        self.timeline = timeline
        self.device = Device(
            id=f"GPU-{uuid5(fleet.world, f'gpu/{node}/{index}')}",
            kind="gpu",
            name=accelerator.name,
            accelerator=accelerator.name,
            units=accelerator.sm_count,
            clock_max_mhz=accelerator.clock_max_mhz,
            driver="simulated",
            flop_per_s_max=accelerator.flop_per_s_max,
        )
        self._fleet = fleet
        self._seen: tuple[int, tuple[int, ...], str, tuple[ProcessUse, ...]] | None = None

    @cached_property
    def table(self) -> Table:
        """The counters, by position."""
        return self._fleet.table(self.timeline, jitter_level(self._fleet.scenario.seed, self.node, self.index))

    def state(self, at_ns: int) -> State:
        """Whether the GPU answers; before the scenario starts the node is off."""
        if at_ns < self.timeline.phases[0].start_ns:
            return State.OFF
        return self.timeline.phases[self.timeline.position(at_ns)].state

    def counters(self, position: int, at_ns: int) -> dict[str, int]:
        """The cumulative counters."""
        return read(self.table[position], at_ns - self.timeline.phases[position].start_ns)

    def clock_mhz(self, position: int) -> int:
        """The clock of the SMs."""
        run = self.timeline.phases[position].run
        return self._fleet.scenario.idle_clock_mhz if run is None else run.clock_mhz

    def identity(self, position: int, at_ns: int) -> tuple[str, tuple[ProcessUse, ...]]:
        """The reset epoch, and the processes alive."""
        alive = self.alive(position, at_ns)
        seen = self._seen
        if seen is None or seen[0] != position or seen[1] != alive:
            phase = self.timeline.phases[position]
            epoch = f"{self._fleet.boot_id(self.node, phase.boot)}/{phase.epoch}"
            self._seen = seen = (position, alive, epoch, tuple(ProcessUse(self.process(life)) for life in alive))
        return seen[2:]

    def alive(self, position: int, at_ns: int) -> tuple[int, ...]:
        """Positions of the processes alive: the one of this phase, and at its end the one that starts then."""
        phases = self.timeline.phases
        here = (position,) if phases[position].run is not None else ()
        if phases[position].end_ns == at_ns and phases[position + 1].run is not None:
            return (*here, position + 1)
        return here

    def process(self, position: int) -> ProcessKey:
        """The process whose life is the phase at `position`; on this node no other ever has its pid."""
        phase = self.timeline.phases[position]
        pid = FIRST_PID + position * self._fleet.scenario.gpus_per_node + self.index
        return ProcessKey(pid, started_ticks(phase), self._fleet.boot_id(self.node, phase.boot))


def started_ticks(phase: Phase) -> int:
    """When the process of a phase started, in clock ticks since boot."""
    return (phase.start_ns - phase.boot_ns) // _TICK_NS
