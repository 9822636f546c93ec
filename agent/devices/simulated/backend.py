"""One node of a simulated fleet, as a backend that an agent cannot tell from a real one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from agent.devices import counters
from agent.devices.interface import Capability, Method, Snapshot
from agent.devices.simulated.timeline import State
from agent.errors import SkipDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agent.devices.interface import Delta, Device
    from agent.devices.simulated.fleet import Fleet

_METHODS = (Method.GPM_CYCLES, Method.GPM, Method.BUSY)


class SimulatedBackend:
    """The GPUs of one node. `now_ns` is the world's time; snapshots carry the node's own clock.

    With `gpm-cycles` the counters stand in the snapshot and outlive the agent. With the scenario's other methods they
    stay in the snapshot's handle, as they do in a driver: whoever loses the handle has a gap.
    """

    name = "simulated"
    notices: tuple[str, ...] = ()

    def __init__(self, fleet: Fleet, node: int, now_ns: Callable[[], int]) -> None:
        self._fleet = fleet
        self._node = node
        self._now_ns = now_ns
        self._method = fleet.scenario.method
        self._gpus = {gpu.device.id: gpu for gpu in fleet.gpus(node)}

    def devices(self) -> Sequence[Device]:
        """The node's GPUs; none while it is off."""
        at_ns = self._now_ns()
        return [gpu.device for gpu in self._gpus.values() if gpu.state(at_ns) is not State.OFF]

    def capabilities(self, device: Device) -> Sequence[Capability]:
        """The scenario's method, and the better ones as what this hardware cannot do."""
        best = _METHODS.index(self._method)
        missing = [Capability(method, False, "not in this scenario's fleet") for method in _METHODS[:best]]
        return [*missing, Capability(self._method, True)]

    def snapshot(self, device: Device) -> Snapshot:
        """Read the counters now."""
        at_ns = self._now_ns()
        gpu = self._gpus[device.id]
        timeline = gpu.timeline
        if at_ns < timeline.phases[0].start_ns:
            raise SkipDevice(device.id, "the node is off until the scenario starts")
        position = timeline.position(at_ns)
        state = timeline.phases[position].state
        if state is not State.ON:
            reason = "the node is off" if state is State.OFF else "the GPU has fallen off the bus"
            raise SkipDevice(device.id, f"{reason}; it comes back by itself later in the scenario")
        epoch, processes = gpu.identity(position, at_ns)
        read = gpu.counters(position, at_ns)
        wall_ns = self._fleet.node_clock_ns(self._node, at_ns)
        if self._method is Method.GPM_CYCLES:
            return Snapshot(device.id, wall_ns, epoch, True, read, processes)
        return Snapshot(device.id, wall_ns, epoch, False, {}, processes, (read, gpu.clock_mhz(position)))

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """What happened between two snapshots of one epoch; None when no time passed or a handle is lost."""
        if self._method is Method.GPM_CYCLES:
            return counters.delta(before, after, self._method)
        if before.handle is None or after.handle is None:
            return None
        (old, old_mhz), (new, new_mhz) = (
            cast("tuple[Mapping[str, int], int]", snapshot.handle) for snapshot in (before, after)
        )
        sampled = self._method is Method.GPM
        return counters.delta(
            replace(before, counters=old),
            replace(after, counters=new),
            self._method,
            (min(old_mhz, new_mhz), (old_mhz + new_mhz) // 2, max(old_mhz, new_mhz)) if sampled else None,
            frozenset({"clock-sampled"}) if sampled else frozenset(),
        )

    def environ(self, pid: int) -> Mapping[str, str]:
        """The environment of a process alive on this node, empty for any other."""
        return self._fleet.environ(self._node, pid, self._now_ns())

    def close(self) -> None:
        """Nothing is held open."""
