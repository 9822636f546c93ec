"""Everything that NVML says of one GPU at one instant, as plain numbers, so that the analysis can be repeated later.

Written without the agent's own code: where the two disagree, one of them is wrong.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

PERCENTAGES = {
    "gr": 1, "sm": 2, "occupancy": 3, "integer": 4, "any": 5, "dfma": 6, "hmma": 7, "dmma": 8, "imma": 9,
    "dram": 10, "fp64": 11, "fp32": 12, "fp16": 13,
}  # fmt: skip
COUNTERS = {
    "sm_elapsed": 248, "sm_active": 249, "mma": 250, "dmma": 251, "hmma": 252, "imma": 253, "dfma": 254,
    "integer": 257, "fp64": 258, "fp32": 259, "fp16": 260,
}  # fmt: skip

Row = dict[str, float | None]


class RawSampler:
    """Samples one device. Each row has the percentages since the row before, and whatever else can be read now."""

    def __init__(self, nvml: Any, index: int, clock: Callable[[], int] = time.time_ns) -> None:
        self.nvml = nvml
        self.handle = nvml.nvmlDeviceGetHandleByIndex(index)
        self.rows: list[Row] = []
        self.notes: dict[str, str] = {}
        self._clock = clock
        self._older: Any = None
        self._newer: Any = None
        try:
            self._older, self._newer = nvml.nvmlGpmSampleAlloc(), nvml.nvmlGpmSampleAlloc()
            nvml.nvmlGpmSampleGet(self.handle, self._newer)
        except nvml.NVMLError as error:
            self.notes["gpm"] = str(error)
            self._newer = None

    def sample(self) -> Row:
        """One more row."""
        nvml, handle = self.nvml, self.handle
        row: Row = {"at_ns": self._clock()}
        if self._newer is not None:
            self._older, self._newer = self._newer, self._older
            if self._try("gpm", lambda: nvml.nvmlGpmSampleGet(handle, self._newer)) is not None:
                row |= {f"{name}_percent": value for name, value in self.between(self._older, self._newer).items()}
                row |= {f"{name}_cycles": value for name, value in self.counters(self._older, self._newer).items()}
        row["sm_mhz"] = self._try("sm_mhz", lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM))
        row["energy_mj"] = self._try("energy", lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle))
        row["milliwatt"] = self._try("power", lambda: nvml.nvmlDeviceGetPowerUsage(handle))
        row["utilisation_percent"] = self._try("utilisation", lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        row["throttle"] = self._try("throttle", lambda: nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
        self.rows.append(row)
        return row

    def between(self, older: Any, newer: Any) -> Row:
        """Percentages between two samples."""
        return self._metrics("percentages", PERCENTAGES, older, newer)

    def counters(self, older: Any, newer: Any) -> Row:
        """Cycle counters at the newer sample; all None where the driver knows none."""
        return self._metrics("counters", COUNTERS, older, newer)

    def keep(self) -> Any:
        """A sample of its own, to be compared with a much later one."""
        held = self.nvml.nvmlGpmSampleAlloc()
        self.nvml.nvmlGpmSampleGet(self.handle, held)
        return held

    def _metrics(self, what: str, ids: Mapping[str, int], older: Any, newer: Any) -> Row:
        nvml = self.nvml
        request = nvml.c_nvmlGpmMetricsGet_t()
        request.version = nvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics, request.sample1, request.sample2 = len(ids), older, newer
        for place, number in enumerate(ids.values()):
            request.metrics[place].metricId = number
        if self._try(what, lambda: nvml.nvmlGpmMetricsGet(request)) is None:
            return dict.fromkeys(ids)
        row: Row = {}
        for place, name in enumerate(ids):
            metric = request.metrics[place]
            good = metric.nvmlReturn == nvml.NVML_SUCCESS and math.isfinite(metric.value)
            row[name] = metric.value if good else None
            if metric.nvmlReturn != nvml.NVML_SUCCESS:
                self.notes[f"{what}:{name}"] = f"NVML {metric.nvmlReturn}"
        return row

    def _try(self, what: str, ask: Callable[[], Any]) -> Any:
        try:
            answer = ask()
        except self.nvml.NVMLError as error:
            self.notes[what] = str(error)
            return None
        return True if answer is None else answer


def mean(rows: Sequence[Row], name: str) -> float | None:
    """Over the rows that have it."""
    values = [value for row in rows if (value := row.get(name)) is not None]
    return sum(values) / len(values) if values else None


def grown(rows: Sequence[Row], name: str) -> float | None:
    """From the first row to the last."""
    values = [value for row in rows if (value := row.get(name)) is not None]
    return values[-1] - values[0] if len(values) > 1 else None
