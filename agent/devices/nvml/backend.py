"""NVIDIA devices for the agent: find → probe → sample → difference.

Every call into the driver goes through the watchdog's thread; one hand-over samples all devices of a tick.
"""

from __future__ import annotations

import logging
from functools import partial
from time import sleep
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.devices.interface import Capability, Method, Snapshot
from agent.devices.nvml import interval
from agent.devices.nvml.errors import DRIVER_AWAY, LOST, Code, code_of, passing, ruling
from agent.devices.nvml.gpu import Gpu, Sighting, describe, sightings
from agent.devices.nvml.host import Host
from agent.devices.nvml.library import Library, redirector
from agent.devices.nvml.opened import Opened
from agent.devices.nvml.probe import WAIT_NS, Probe
from agent.devices.nvml.processes import Processes
from agent.devices.nvml.watchdog import LIMIT_S, Watchdog
from agent.errors import AgentError, Retry, SkipDevice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.devices.interface import Delta, Device, ProcessUse

log = logging.getLogger(__name__)

_FRESH_NS = 200_000_000
"""How long what one hand-over sampled may wait to be asked for."""
_RESCAN_NS = 10_000_000_000
"""A device that fell out is looked for again no oftener than this."""
_MORE_SAMPLES = 3
"""How many more samples a new device may take at once; after these, calibration goes on at the ticks."""
_RENEWED = LOST | {Code.INVALID_ARGUMENT}
"""A device that answers again after one of these counts from zero."""


class _Kept(NamedTuple):
    """A device that is there and cannot be measured: its GPU's index, and why."""

    gpu: int
    device: Device
    reason: AgentError


def _wait_ns(duration_ns: int) -> None:
    sleep(duration_ns / 1e9)


class NvmlBackend:
    """The NVIDIA GPUs of this node. `notices` are lines for people: what cannot be measured as it should, and why."""

    name = "nvml"

    def __init__(
        self, host: Host | None = None, wait_ns: Callable[[int], None] = _wait_ns, limit_s: float = LIMIT_S
    ) -> None:
        self._host = host or Host()
        self._wait_ns = wait_ns
        self._watchdog = Watchdog(limit_s)
        self._library = Library(self._host.boot_ns)
        self._open: dict[str, Opened] = {}
        self._kept: dict[str, _Kept] = {}
        self._generations: dict[str, int] = {}
        self._outcomes: dict[str, Snapshot | Exception] = {}
        self._sampled_at_ns = 0
        self._scanned_at_ns = 0
        self._troubles: list[str] = []
        self._said: set[str] = set()

    @property
    def _nvml(self) -> Any:
        return self._library.nvml

    @property
    def notices(self) -> tuple[str, ...]:
        """What a person should know that the numbers don't show."""
        return (*self._troubles, *(line for opened in self._open.values() for line in opened.notices()))

    def devices(self) -> Sequence[Device]:
        """Every GPU and every GPU instance; none, with a notice, on a node without a driver.

        One that answered before and does not now is still listed, for as long as the driver counts its GPU: the time
        that nobody observes is this device's.
        """
        self._scanned_at_ns = self._host.boot_ns()
        self._troubles = [line for line in (redirector(),) if line]
        absent = self._ready()
        if absent is None:
            found = self._find()
            for device_id in set(self._open) - set(found):
                self._drop(device_id)
            self._open_all({name: at for name, at in found.items() if at is not None and name not in self._open})
        else:
            self._troubles.append(absent)
        for line in set(self.notices) - self._said:
            log.warning("%s", line)
            self._said.add(line)
        for name in self._open:
            self._kept.pop(name, None)
        return [
            *(opened.gpu.device for opened in self._open.values()),
            *(kept.device for kept in self._kept.values()),
        ]

    def _ready(self) -> str | None:
        try:
            return self._watchdog.run("NVML", self._library.absent)
        except SkipDevice as error:
            raise Retry(str(error)) from error

    def _find(self) -> dict[str, tuple[int, Sighting] | None]:
        """What is there, by id, with its index. None for what hangs: it is kept, and no call goes near it."""
        try:
            count = self._watchdog.run("NVML", lambda: int(self._nvml.nvmlDeviceGetCount()))
        except SkipDevice as error:
            raise Retry(str(error)) from error
        except self._nvml.NVMLError as error:
            raise self._ruled(error, "NVML") from error
        hanging = {name: opened.index for name, opened in self._open.items() if self._watchdog.hangs(name)}
        found: dict[str, tuple[int, Sighting] | None] = {
            name: None for name, opened in self._open.items() if opened.index in hanging.values()
        }
        indices = [index for index in range(count) if index not in hanging.values()]
        outcomes = self._watchdog.run_all({f"GPU {index}": partial(sightings, self._nvml, index) for index in indices})
        for index, (name, outcome) in zip(indices, outcomes.items(), strict=True):
            if isinstance(outcome, Exception):
                self._troubles.append(str(self._ruled(outcome, name)))
                if self._watchdog.hangs(name):
                    found.update({each: None for each, opened in self._open.items() if opened.index == index})
                continue
            if not outcome:
                self._troubles.append(
                    f"{name}: MIG is on, and no instance of it can compute: nothing to measure until one is made "
                    "(nvidia-smi mig -cgi … -C)"
                )
            for seen in outcome:
                found[seen.id] = (index, seen)
                known = self._open.get(seen.id)
                if known is not None and known.address != seen.address:
                    self._drop(seen.id, renewed=True)
        silent = {
            index for index, outcome in zip(indices, outcomes.values(), strict=True) if isinstance(outcome, Exception)
        }
        self._kept = {name: kept for name, kept in self._kept.items() if name in found or kept.gpu in silent}
        errors = [outcome for outcome in outcomes.values() if isinstance(outcome, self._nvml.NVMLError)]
        if errors and len(errors) == count and all(passing(error) for error in errors):
            # Not one GPU answers: a container that lost its devices sees this until NVML starts afresh.
            self._lose_driver()
        return found

    def _open_all(self, found: dict[str, tuple[int, Sighting]]) -> None:
        """Probe all new devices together: three samples each, the waits shared."""
        driver = self._library.driver
        gpus = self._each({name: partial(describe, self._nvml, seen, driver) for name, (_, seen) in found.items()})
        probes = {
            name: Probe(self._nvml, gpu, driver or "?", self._generations.get(name, 0)) for name, gpu in gpus.items()
        }
        if not probes:
            return
        now = self._host.now
        probes = self._tried(probes, lambda probe: probe.seed(now()))
        self._wait_ns(WAIT_NS)
        probes = self._tried(probes, lambda probe: probe.settle(now()))
        self._wait_ns(WAIT_NS)
        probes = self._tried(probes, lambda probe: probe.calibrate(now()))
        for _ in range(_MORE_SAMPLES):
            undecided = {name: probe for name, probe in probes.items() if probe.undecided}
            if not undecided:
                break
            self._wait_ns(WAIT_NS)
            self._tried(undecided, lambda probe: probe.calibrate(now()))
        load = self._host.driver_load()
        opened = self._each(
            {name: partial(self._opened, gpus[name], found[name][0], probe, load) for name, probe in probes.items()}
        )
        self._open.update(opened)

    def _tried(self, probes: dict[str, Probe], step: Callable[[Probe], None]) -> dict[str, Probe]:
        done = self._each({name: partial(step, probe) for name, probe in probes.items()})
        return {name: probe for name, probe in probes.items() if name in done}

    def _opened(self, gpu: Gpu, index: int, probe: Probe, load: str) -> Opened:
        identity = f"{self._host.boot_id}:{self._library.driver}:{load}:{gpu.device.id}:{gpu.serial}"
        processes = Processes(self._nvml, gpu.handles, self._host)
        return Opened(self._nvml, gpu, index, probe, processes, self._host, identity)

    def _each(self, jobs: dict[str, Callable[[], Any]]) -> dict[str, Any]:
        """The results of the jobs that succeeded; the others become a line for people."""
        done = {}
        for name, outcome in self._watchdog.run_all(jobs).items():
            if isinstance(outcome, Exception):
                self._troubles.append(str(self._ruled(outcome, name)))
            else:
                done[name] = outcome
        return done

    def capabilities(self, device: Device) -> Sequence[Capability]:
        """Every method, best first, and for those not available why and what to do."""
        opened = self._open.get(device.id)
        if opened is None:
            kept = self._kept.get(device.id)
            reason = "the driver no longer shows the device" if kept is None else str(kept.reason)
            return [Capability(method, False, reason) for method in (Method.GPM_CYCLES, Method.GPM, Method.BUSY)]
        return opened.probe.capabilities()

    def snapshot(self, device: Device) -> Snapshot:
        """Read the counters now, or up to a fifth of a second ago when another device's turn read them all."""
        name = device.id
        if name not in self._open and self._host.boot_ns() - self._scanned_at_ns >= _RESCAN_NS:
            self.devices()
        if name in self._kept:
            raise self._kept[name].reason.with_traceback(None)
        if name not in self._open:
            raise SkipDevice(name, "the driver does not show it now; it is looked for again")
        if name not in self._outcomes or self._host.boot_ns() - self._sampled_at_ns > _FRESH_NS:
            self._sampled_at_ns = self._host.boot_ns()
            self._outcomes = self._watchdog.run_all({each: opened.sample for each, opened in self._open.items()})
        outcome = self._outcomes.pop(name)
        if isinstance(outcome, Snapshot):
            return outcome
        raise self._ruled(outcome, name) from outcome

    def delta(self, before: Snapshot, after: Snapshot) -> Delta | None:
        """What happened between two snapshots of one epoch; None when they are the same reading."""
        return interval.delta(before, after)

    def locate(self, gpu: str, gpu_instance: int | None) -> Device | None:
        """The device on a GPU's UUID and GPU instance, None when there is none."""
        for opened in self._open.values():
            found = opened.gpu
            if gpu_instance == found.gpu_instance and gpu == (found.device.parent or found.device.id):
                return found.device
        return None

    def processes(self, device: Device, span_ns: int, busy_ns: int | None) -> tuple[ProcessUse, ...]:
        """Who is on a device now, for a backend that measures it in another way: busy `busy_ns` of `span_ns`."""
        opened = self._open.get(device.id)
        if opened is None:
            return ()
        outcome = self._watchdog.run_all({device.id: partial(opened.processes, span_ns, busy_ns)})[device.id]
        if isinstance(outcome, Exception):
            raise self._ruled(outcome, device.id) from outcome
        return outcome

    def _ruled(self, error: Exception, name: str) -> AgentError:
        """The agent's own error, with what it means for the devices done. Anything else is a bug and is raised."""
        if isinstance(error, AgentError):
            return error
        if not isinstance(error, self._nvml.NVMLError):
            raise error
        ruled = ruling(error, name)
        self._drop(name, renewed=code_of(error) in _RENEWED, reason=ruled)
        if code_of(error) in DRIVER_AWAY:
            self._lose_driver()
        return ruled

    def _lose_driver(self) -> None:
        self._library.failed()
        for name in list(self._open):
            self._drop(name)

    def _drop(self, name: str, *, renewed: bool = False, reason: AgentError | None = None) -> None:
        """Stop measuring a device; `renewed` when its counters will start anew, `reason` why it is not gone."""
        opened = self._open.pop(name, None)
        if opened is None:
            return
        if reason is not None:
            self._kept[name] = _Kept(opened.index, opened.gpu.device, reason)
        self._generations[name] = opened.generation + renewed
        self._watchdog.run_all({name: opened.close})

    def close(self) -> None:
        """Let go of the driver."""
        for name in list(self._open):
            self._drop(name)
        self._watchdog.run_all({"NVML": self._library.close})
        self._watchdog.close()
