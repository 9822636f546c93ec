"""GPM's samples and metrics: buffers and structures made once, used at every tick."""

from __future__ import annotations

import ctypes
from math import isfinite
from struct import Struct
from typing import TYPE_CHECKING, Any

from agent.devices.nvml.calls import bound
from agent.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.devices.nvml.clock import Span

_METRIC = Struct("4xId24x")
"""nvmlGpmMetric_t: id, return code, value, and three names that nobody needs."""

SHORTEST_NS = 100_000_000
"""NVML refreshes its counters every 100 ms: what is differenced over less is invalid."""
LONGEST_NS = 60_000_000_000
"""Nobody states how long an interval may be; percentages over more than this are not trusted."""

UTILISATION: Mapping[str, int] = {
    "tensor": 5,
    "hmma": 7,
    "imma": 9,
    "dmma": 8,
    "dfma": 6,
    "fp64": 11,
    "fp32": 12,
    "fp16": 13,
    "integer": 4,
    "busy_ns": 1,
}
"""Percentages of cycles, and of time for `busy_ns`, by the counter that they feed."""

CYCLE_COUNTERS: Mapping[str, int] = {
    "sm": 248,
    "tensor": 250,
    "hmma": 252,
    "imma": 253,
    "dmma": 251,
    "dfma": 254,
    "fp64": 258,
    "fp32": 259,
    "fp16": 260,
    "integer": 257,
}
"""Cycles since reset. Always asked for in a request of their own: a driver that does not know an id refuses the whole
request."""


class Pair:
    """Two sample buffers, used in turn, so that one newer sample is the next baseline and intervals join.

    `taken` numbers the intervals.
    """

    def __init__(self, nvml: Any, take: Callable[[Any], object]) -> None:
        self.older = nvml.nvmlGpmSampleAlloc()
        self.newer = nvml.nvmlGpmSampleAlloc()
        self.taken = 0
        self._nvml = nvml
        self._take = take
        take(self.newer)

    def advance(self) -> None:
        """Sample now; what was the newer sample becomes the older one."""
        self._take(self.older)
        self.older, self.newer = self.newer, self.older
        self.taken += 1

    def free(self) -> None:
        """Give the buffers back; never while a call that hangs may still write into them."""
        for sample in (self.older, self.newer):
            self._nvml.nvmlGpmSampleFree(sample)


class Metrics:
    """A request for a fixed list of metrics, named by the counters that they feed."""

    def __init__(self, nvml: Any, metrics: Mapping[str, int]) -> None:
        self.names = tuple(metrics)
        self._get = bound(nvml, "nvmlGpmMetricsGet")
        self._error = nvml.NVMLError
        kind = nvml.c_nvmlGpmMetricsGet_t
        self._request = kind()
        self._reference = ctypes.byref(self._request)
        self._request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        # Only this many entries are looked at; the array behind them grows with every release.
        self._request.numMetrics = len(self.names)
        for place, metric in enumerate(metrics.values()):
            self._request.metrics[place].metricId = metric
        # pynvml's structures look every attribute up in Python. At every tick that is most of the cost, so the answers
        # are unpacked straight from the structure's memory, and its two pointers set past it.
        self._older, self._newer = kind.sample1.__set__, kind.sample2.__set__
        size = len(self.names) * _METRIC.size
        if ctypes.sizeof(nvml.c_nvmlGpmMetric_t) != _METRIC.size:
            raise Fatal("nvidia-ml-py lays GPM metrics out in a way that this version does not know: update flopledger")
        self._answers = memoryview((ctypes.c_char * size).from_buffer(self._request, kind.metrics.offset))

    def read(self, pair: Pair) -> list[float | None]:
        """A value per name, None where the driver gives no number. Raises NVMLError when it refuses the request."""
        self._older(self._request, pair.older)
        self._newer(self._request, pair.newer)
        code = self._get(self._reference)
        if code:
            raise self._error(code)
        codes, values = zip(*_METRIC.iter_unpack(self._answers), strict=True)
        if not any(codes) and isfinite(sum(values)):
            return list(values)
        return [value if code == 0 and isfinite(value) else None for code, value in zip(codes, values, strict=True)]


def active_cycles(percent: float, units: int, span: Span) -> int:
    """Percentage × SMs × ∫ f dt, in whole cycles: exact in the percentage's every bit, and rounded once."""
    numerator, denominator = percent.as_integer_ratio()
    # MHz·ns are thousandths of a cycle; the area is doubled, and a percentage a hundredfold.
    denominator *= 200_000
    return (2 * numerator * units * span.double_area + denominator) // (2 * denominator)
