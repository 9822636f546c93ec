"""A device that is being measured: its meter, its processes, and what a snapshot of it is made of."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from agent.devices.counters import BUSY_NS, ENERGY_MJ
from agent.devices.interface import Snapshot
from agent.devices.nvml.calls import number
from agent.devices.nvml.errors import passing
from agent.devices.nvml.gpu import address
from agent.devices.nvml.interval import History, Live
from agent.devices.nvml.meter import Window
from agent.devices.nvml.samples import SHORTEST_NS
from agent.errors import SkipDevice

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.interface import ProcessUse
    from agent.devices.nvml.gpu import Gpu
    from agent.devices.nvml.host import Host
    from agent.devices.nvml.meter import Meter
    from agent.devices.nvml.probe import Probe
    from agent.devices.nvml.processes import Processes

_THROTTLED = 0x4 | 0x8 | 0x20 | 0x40 | 0x80
"""Clock event reasons: power cap, hardware slowdown, thermal (software, hardware), power brake."""
_THROTTLED_FLAG = frozenset({"throttled"})


class Opened:
    """One device with everything that is kept for it between two ticks. Used from the watchdog's thread only."""

    def __init__(
        self, nvml: Any, gpu: Gpu, index: int, probe: Probe, processes: Processes, host: Host, identity: str
    ) -> None:
        self.gpu = gpu
        self.index = index
        self.probe = probe
        self.address = address(gpu.handle)
        self._nvml = nvml
        self._host = host
        self._identity = identity
        self._meter = probe.meter
        self._processes = processes
        self._history = History()
        self._last: Snapshot | None = None
        self._meter_epoch = self._epoch = ""
        self._energy = self._supported("nvmlDeviceGetTotalEnergyConsumption")
        self._reasons = self._supported("nvmlDeviceGetCurrentClocksEventReasons") or self._supported(
            "nvmlDeviceGetCurrentClocksThrottleReasons"
        )

    def _supported(self, name: str) -> Callable[[], int] | None:
        """The call, None where the device does not answer it."""
        try:
            ask = number(self._nvml, name, ctypes.c_ulonglong, self.gpu.handle)
            ask()
        except self._nvml.NVMLError as error:
            if passing(error):
                raise
            return None
        return ask

    def sample(self) -> Snapshot:
        """Count up to now. Within GPM's refresh of the last sample, that one is served again."""
        before = self._meter
        if before is None:
            raise SkipDevice(self.gpu.device.id, self.probe.capabilities()[-1].reason)
        if self._last is None:
            return self._snapshot(before, None)
        if self._host.boot_ns() - before.at.boot_ns < SHORTEST_NS:
            return self._last
        at, busy_ns = before.at, before.counters.get(BUSY_NS)
        after = self._meter = before.sample(self._host.now)
        if after.at == at:
            return self._last
        grown_ns = after.counters[BUSY_NS] - busy_ns if after is before and busy_ns is not None else None
        return self._snapshot(after, grown_ns)

    def _snapshot(self, meter: Meter, busy_ns: int | None) -> Snapshot:
        window = meter.window
        if self._reasons is not None and self._reasons() & _THROTTLED:
            window = Window(window.until_boot_ns, window.span, window.flags | _THROTTLED_FLAG)
        self._history.add(window)
        counters = dict(meter.counters)
        if self._energy is not None:
            counters[ENERGY_MJ] = self._energy()
        epoch = meter.epoch
        if epoch is not self._meter_epoch:
            self._meter_epoch = epoch
            self._epoch = f"{self._identity}:{epoch}"
        span_ns = 0 if window.span is None else window.span.time_ns
        self._last = Snapshot(
            device=self.gpu.device.id,
            at_ns=meter.at.unix_ns,
            epoch=self._epoch,
            resumable=meter.resumable,
            counters=counters,
            processes=self._processes.use(span_ns, busy_ns),
            handle=Live(meter.method, self.gpu.device.units, meter.at.boot_ns, self._history),
        )
        return self._last

    def processes(self, span_ns: int, busy_ns: int | None) -> tuple[ProcessUse, ...]:
        """Who is on the device now, of whose last `span_ns` it was busy `busy_ns`."""
        return self._processes.use(span_ns, busy_ns)

    @property
    def generation(self) -> int:
        """How many restarts of the counters were noticed."""
        return self.probe.generation

    def close(self) -> None:
        """Give the driver back what it allocated."""
        self.probe.close()

    def notices(self) -> list[str]:
        """What a person should know of this device."""
        name = self.gpu.device.id
        lines = [f"{name}: {self.gpu.warning}"] if self.gpu.warning else []
        if not self._processes.told:
            lines.append(f"{name}: the driver does not say which processes run on it: no run can be told")
        invisible = self._processes.invisible
        if invisible:
            some = ", ".join(map(str, invisible[:3]))
            lines.append(f"{name}: {len(invisible)} processes are not visible here ({some} …): share the host's PIDs")
        return lines
