"""What a device can be measured by, found by trying: each call is made and each answer looked at.

Three samples a quarter of a second apart: GPM answers from the second on, the cycle counters are calibrated between
the second and the third. The waits are the caller's, so that all new devices share them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.devices.counters import BUSY_NS
from agent.devices.interface import Capability, Method
from agent.devices.nvml.busy import BusyMeter
from agent.devices.nvml.calls import bound
from agent.devices.nvml.clock import SmClock
from agent.devices.nvml.cycles import GpmSource
from agent.devices.nvml.errors import Code, advice, code_of, passing
from agent.devices.nvml.gpm import GpmMeter
from agent.devices.nvml.samples import CYCLE_COUNTERS, UTILISATION, Metrics, Pair

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.devices.nvml.gpu import Gpu
    from agent.devices.nvml.host import Instant
    from agent.devices.nvml.meter import Meter

WAIT_NS = 250_000_000
"""Between two samples of a probe: well above GPM's refresh of 100 ms."""
_SCRAPE = "where dcgm-exporter runs, name dcgm in FLOPLEDGER_BACKENDS to scrape it"
_TOO_OLD = f"GPM needs a Hopper GPU or newer; {_SCRAPE}"
_NEWER = "update to a driver with NVML 13.2.1 or newer"
_BUSY_PERCENT = 50
"""Utilisation from which a GPU without any activity in GPM is suspect."""


class Probe:
    """Tries one device. `seed`, `settle` and `calibrate` are called in turn, `WAIT_NS` apart; then `meter` counts."""

    def __init__(self, nvml: Any, gpu: Gpu, driver: str, generation: int) -> None:
        self.source: GpmSource | None = None
        self.meter: Meter | None = None
        self._nvml = nvml
        self._gpu = gpu
        self._driver = driver
        self._generation = generation
        self._clock: SmClock | None = None
        self._pair: Pair | None = None
        self._no_gpm = ""
        self._no_counters = ""
        self._no_busy = ""
        self._tried_busy = False

    def seed(self, now: Instant) -> None:
        """Find a clock and take the first sample."""
        for handle in (self._gpu.handle, self._gpu.parent):
            if self._clock is None and handle is not None:
                try:
                    self._clock = SmClock(self._nvml, handle, now)
                except self._nvml.NVMLError as error:
                    self._no_gpm = f"the SM clock cannot be read: {_reason(error)}"
        if self._clock is None:
            return
        if self._gpu.device.units is None:
            self._no_gpm = "how many SMs the GPU has is not known"
            return
        try:
            self._seed_gpm()
        except self._nvml.NVMLError as error:
            self._no_gpm = self._explain(error)

    def _seed_gpm(self) -> None:
        gpu, nvml = self._gpu, self._nvml
        if not nvml.nvmlGpmQueryDeviceSupport(gpu.handle).isSupportedDevice:
            self._no_gpm = _TOO_OLD
            return
        try:
            self._pair = Pair(nvml, self._taker("nvmlGpmSampleGet", gpu.handle))
        except nvml.NVMLError:
            if gpu.gpu_instance is None:
                raise
            self._pair = Pair(nvml, self._taker("nvmlGpmMigSampleGet", gpu.parent, gpu.gpu_instance))

    def _taker(self, name: str, *arguments: Any) -> Callable[[Any], None]:
        take, error = bound(self._nvml, name), self._nvml.NVMLError

        def into(sample: Any) -> None:
            code = take(*arguments, sample)
            if code:
                raise error(code)

        return into

    def _explain(self, error: Exception) -> str:
        """Why there is no GPM. What may pass by itself is raised again, so that the device is tried again."""
        if passing(error):
            raise error
        code = code_of(error)
        if code == Code.NOT_SUPPORTED:
            return _TOO_OLD
        if code == Code.FUNCTION_NOT_FOUND:
            return f"driver {self._driver} has no GPM: update to 525 or newer"
        return f"GPM: {_reason(error)}"

    def settle(self, now: Instant) -> None:
        """Look at what the percentages and the counters answer."""
        if self._pair is None or self._clock is None or self._gpu.device.units is None:
            return
        try:
            self._pair.advance()
            span = self._clock.span(now)
            utilisation = self._answering(UTILISATION)
        except self._nvml.NVMLError as error:
            self._no_gpm = self._explain(error)
            return
        if "tensor" not in utilisation.names:
            self._no_gpm = f"GPM gives no tensor activity; {_SCRAPE}"
            return
        counters = self._cycle_counters()
        self.source = GpmSource(
            self._gpu.device.id,
            self._nvml,
            self._pair,
            self._clock,
            self._gpu.device.units,
            utilisation,
            Metrics(self._nvml, {name: UTILISATION[name] for name in ("tensor", BUSY_NS)}),
            counters,
            self._busy_by_the_driver,
            None if counters is None else self._joint(counters),
            generation=self._generation,
        )
        if counters is not None:
            self.source.calibration.feed(self.source.read_counters(), self._pair.taken, span, None)

    def _answering(self, metrics: Mapping[str, int]) -> Metrics:
        """A request for those of `metrics` that give a number."""
        asked = Metrics(self._nvml, metrics)
        values = asked.read(self._pair_taken)
        names = [name for name, value in zip(asked.names, values, strict=True) if value is not None]
        return Metrics(self._nvml, {name: metrics[name] for name in names})

    @property
    def generation(self) -> int:
        """How many restarts of the counters were noticed."""
        return self._generation if self.source is None else self.source.generation

    def close(self) -> None:
        """Give the sample buffers back; a driver that went away took them with it."""
        if self._pair is not None:
            try:
                self._pair.free()
            except self._nvml.NVMLError:
                return

    @property
    def _pair_taken(self) -> Pair:
        assert self._pair is not None
        return self._pair

    def _cycle_counters(self) -> Metrics | None:
        """A request for the cycle counters, None when the driver does not answer it."""
        try:
            counters = self._answering(CYCLE_COUNTERS)
        except self._nvml.NVMLError as error:
            if passing(error):
                raise
            self._no_counters = (
                f"driver {self._driver} does not know the cycle counters (NVML {code_of(error)}): {_NEWER}"
            )
            return None
        if {"sm", "tensor"} <= set(counters.names):
            return counters
        self._no_counters = f"driver {self._driver} gives no number for SM or tensor cycles: {_NEWER}"
        return None

    def _joint(self, counters: Metrics) -> Metrics | None:
        """One request for the percentages to compare and the counters, None where the driver does not mix them."""
        asked = {"tensor_percent": UTILISATION["tensor"], "busy_percent": UTILISATION[BUSY_NS]}
        joint = Metrics(self._nvml, asked | {name: CYCLE_COUNTERS[name] for name in counters.names})
        try:
            joint.read(self._pair_taken)
        except self._nvml.NVMLError as error:
            if passing(error):
                raise
            return None
        return joint

    @property
    def undecided(self) -> bool:
        """Whether another sample would help: the cycle counters grow, but not in a way that is understood."""
        if self.source is None or self.source.counters is None:
            return False
        calibration = self.source.calibration
        return calibration.moving and calibration.scale is None and not calibration.refused

    def calibrate(self, now: Instant) -> None:
        """Take the third sample and choose; again where that left it undecided."""
        source = self.source
        if source is not None and self._clock is not None:
            try:
                self.meter = self._start(source, now)
            except self._nvml.NVMLError as error:
                self._no_gpm = self._explain(error)
                self.source = None
        if not self._tried_busy:
            self._try_busy(now)

    def _start(self, source: GpmSource, now: Instant) -> Meter:
        meter = GpmMeter(source, now)
        source.pair.advance()
        span = source.clock.span(now, buffered=True)
        return source.calibrated(meter, span, source.comparison.read(source.pair)[0], now)

    def _try_busy(self, now: Instant) -> None:
        """Bounds are better than nothing: where nothing else works, this meter is used."""
        self._tried_busy = True
        try:
            busy = BusyMeter(self._nvml, self._gpu.handle, self._clock, now)
        except self._nvml.NVMLError as error:
            if passing(error):
                raise
            self._no_busy = f"utilisation: {_reason(error)}"
            return
        if self.meter is None:
            self.meter = busy

    def _busy_by_the_driver(self) -> bool:
        try:
            return int(self._nvml.nvmlDeviceGetUtilizationRates(self._gpu.handle).gpu) >= _BUSY_PERCENT
        except self._nvml.NVMLError:
            return False

    def capabilities(self) -> list[Capability]:
        """Every method, best first; what the calibration learned since is part of the answer."""
        gpm = Capability(Method.GPM, self.source is not None, "" if self.source is not None else self._no_gpm)
        return [self._cycles(), gpm, Capability(Method.BUSY, not self._no_busy, self._no_busy)]

    def _cycles(self) -> Capability:
        if self.source is None:
            return Capability(Method.GPM_CYCLES, False, self._no_gpm)
        if self.source.counters is None:
            return Capability(Method.GPM_CYCLES, False, self._no_counters)
        calibration = self.source.calibration
        if calibration.refused or calibration.scale is None:
            return Capability(Method.GPM_CYCLES, False, calibration.refused or calibration.pending)
        return Capability(Method.GPM_CYCLES, True)


def _reason(error: Exception) -> str:
    return f"{advice(code_of(error))} (NVML {code_of(error)})"
