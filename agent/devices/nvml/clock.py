"""The SM clock over an interval.

GPM's percentages are shares of cycles, so what they are multiplied by is the mean clock of the whole interval: neither
the highest clock nor the clock while busy. The clock is polled at every tick; where the driver keeps clock samples of
its own, those see what happens between two ticks.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, NamedTuple

from agent.devices.nvml.calls import number
from agent.devices.nvml.ring import ring

if TYPE_CHECKING:
    from agent.devices.nvml.host import Instant

_DRIVER_COVERS = 0.8
"""Driver samples stand for an interval when they cover at least this part of it."""


class Span(NamedTuple):
    """The clock over an interval: extremes in MHz, and `double_area` = 2 × ∫ f dt in MHz·ns, an integer."""

    lowest_mhz: int
    highest_mhz: int
    double_area: int
    time_ns: int


class SmClock:
    """The SM clock of one device, from instant to instant. `handle` is asked, a MIG instance's parent if need be."""

    def __init__(self, nvml: Any, handle: Any, now: Instant) -> None:
        self._nvml = nvml
        self._handle = handle
        self._poll = number(nvml, "nvmlDeviceGetClockInfo", ctypes.c_uint, handle, nvml.NVML_CLOCK_SM)
        self._at_ns = now.boot_ns
        self._mhz = self._poll()
        self._newest_us = 0
        self._buffered = self._driver_samples() is not None
        self._read_up_to_ns = now.boot_ns

    def span(self, now: Instant, *, buffered: bool = False) -> Span:
        """The clock since the last call. `buffered` asks the driver for its own samples too, where it keeps any."""
        mhz, before = self._poll(), self._mhz
        from_ns, self._at_ns, self._mhz = self._at_ns, now.boot_ns, mhz
        span_ns = now.boot_ns - from_ns
        lowest, highest = (before, mhz) if before < mhz else (mhz, before)
        double_area = (before + mhz) * span_ns
        if buffered and self._buffered:
            read_up_to_ns, self._read_up_to_ns = self._read_up_to_ns, now.boot_ns
            previous_us = self._newest_us
            samples = self._driver_samples()
            # Samples since an earlier instant than the interval began at are of another interval too.
            if samples and read_up_to_ns == from_ns:
                lowest = min(lowest, *[value for _, value in samples])
                highest = max(highest, *[value for _, value in samples])
                covered_us = samples[-1][0] - previous_us
                if covered_us * 1_000 >= _DRIVER_COVERS * span_ns:
                    double_area = 2 * _area(samples, previous_us) * span_ns // covered_us
        return Span(lowest, highest, double_area, span_ns)

    def _driver_samples(self) -> list[tuple[int, int]] | None:
        """(time in µs, MHz) since the last call, oldest first; None where the driver keeps none."""
        samples = ring(self._nvml, self._handle, self._nvml.NVML_PROCESSOR_CLK_SAMPLES, self._newest_us)
        if samples:
            self._newest_us = samples[-1][0]
        return samples


def _area(samples: list[tuple[int, int]], from_us: int) -> int:
    """∫ f dt in MHz·µs, each sample standing for the time since the one before."""
    area = 0
    for at_us, mhz in samples:
        area += mhz * (at_us - from_us)
        from_us = at_us
    return area
