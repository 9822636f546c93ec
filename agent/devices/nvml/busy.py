"""Method `busy`: how long any kernel ran. It bounds what was executed and says nothing of how much it was.

`busy_ns` is the most it can have been: the driver gives whole percentages, so one point is added to each. Where the
driver keeps utilisation samples, no time between two ticks is missed; without them only the short period that the last
figure speaks for is observed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.devices.counters import BOOTTIME_NS, BUSY_NS
from agent.devices.interface import Method
from agent.devices.nvml.host import Instant
from agent.devices.nvml.meter import Meter, Window
from agent.devices.nvml.ring import ring

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.nvml.clock import SmClock, Span

_PERIOD_NS = 1_000_000_000 // 6
"""The shortest period that one utilisation figure speaks for; products differ, up to one second."""
_LONGEST_PERIOD_NS = 1_000_000_000
_STALE_NS = 10_000_000_000
"""Driver and agent count time apart from here on: start over."""


class BusyMeter(Meter):
    """Busy time of one device, at most."""

    method = Method.BUSY
    resumable = False

    def __init__(self, nvml: Any, handle: Any, clock: SmClock | None, now: Instant) -> None:
        super().__init__(now)
        self._nvml = nvml
        self._handle = handle
        self._clock = clock
        self._born_ns = now.unix_ns
        self._newest_us = 0
        self.counters = {BOOTTIME_NS: now.boot_ns, BUSY_NS: 0}
        samples = self._samples()
        self._buffered = samples is not None
        self._anchor = self._anchored(now)
        if self._buffered:
            self.at = self._anchor[0]
        else:
            self._nvml.nvmlDeviceGetUtilizationRates(self._handle)

    @property
    def epoch(self) -> str:
        """Counters start with this object."""
        return f"{self.method}:{self._born_ns}"

    def sample(self, clock: Callable[[], Instant]) -> Meter:
        """Count up to now, or up to the driver's last sample."""
        now = clock()
        span = None if self._clock is None else self._clock.span(now)
        if self._buffered:
            self._count_buffered(now, span)
        else:
            observed_ns = min(now.boot_ns - self.at.boot_ns, _PERIOD_NS)
            self._add(int(self._nvml.nvmlDeviceGetUtilizationRates(self._handle).gpu), observed_ns)
            self.at = now
            self.window = Window(now.boot_ns, span, frozenset({"utilisation-polled"}))
        return self

    def _count_buffered(self, now: Instant, span: Span | None) -> None:
        """Each sample speaks for the time since the one before; a longer hole than that can be was not observed."""
        previous_us = self._newest_us
        flags: set[str] = set()
        for at_us, percent in self._samples() or ():
            period_ns = (at_us - previous_us) * 1_000
            if period_ns > _LONGEST_PERIOD_NS:
                flags.add("samples-lost")
            self._add(percent, min(period_ns, _LONGEST_PERIOD_NS))
            previous_us = at_us
        anchor, anchor_us = self._anchor
        since_ns = (self._newest_us - anchor_us) * 1_000
        at = Instant(anchor.unix_ns + since_ns, anchor.boot_ns + since_ns)
        if not 0 <= now.boot_ns - at.boot_ns <= _STALE_NS:
            self._anchor = self._anchored(now)
            at = self._anchor[0]
            flags.add("reseeded")
        self.at = at
        self.window = Window(at.boot_ns, span, frozenset(flags))

    def _anchored(self, now: Instant) -> tuple[Instant, int]:
        """An instant and the driver's time then: NVML's times are Unix time, or else only their differences count."""
        age_ns = now.unix_ns - self._newest_us * 1_000
        if not 0 <= age_ns <= _STALE_NS:
            age_ns = 0
        return Instant(now.unix_ns - age_ns, now.boot_ns - age_ns), self._newest_us

    def _add(self, percent: int, observed_ns: int) -> None:
        self.counters[BOOTTIME_NS] += observed_ns
        self.counters[BUSY_NS] += -(-observed_ns * min(percent + 1, 100) // 100)

    def _samples(self) -> list[tuple[int, int]] | None:
        """(time in µs, percent) since the last call; None where the driver keeps none."""
        samples = ring(self._nvml, self._handle, self._nvml.NVML_GPU_UTILIZATION_SAMPLES, self._newest_us)
        if samples:
            self._newest_us = samples[-1][0]
        return samples
