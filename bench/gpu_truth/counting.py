"""The agent's own count of a stretch of work, and what other ways of counting make of the same stretch."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from agent.pricing import price
from bench.gpu_truth.raw import grown, mean
from compute.accelerators import table
from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.interface import Backend, Device, Snapshot
    from bench.gpu_truth.raw import RawSampler, Row

EDGE_S = 0.35
"""Idle before and after a stretch: GPM refreshes every tenth of a second, and nothing of the work may lie outside."""
PERIOD_S = 1.0


@dataclass
class Counted:
    """What the agent made of a stretch."""

    flop: int | None = 0
    flop_low: int = 0
    flop_high: int = 0
    observed_ns: int = 0
    length_ns: int = 0
    methods: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)
    cycles: dict[str, int] = field(default_factory=dict)
    busy_ns: int = 0
    energy_mj: int = 0
    clock_mhz: tuple[int, int] | None = None


class Counting:
    """Samples one device through the agent's backend and beside it in the raw, in step, from one thread."""

    def __init__(
        self,
        backend: Backend,
        device: Device,
        raw: RawSampler,
        wait: Callable[[float], None] = time.sleep,
        *,
        threaded: bool = True,
    ) -> None:
        self.device = device
        self.raw = raw
        self._backend = backend
        self._wait = wait
        self._lock = threading.Lock()
        self._dtype = Dtype.UNDECLARED
        self._counted = Counted()
        self._before: Snapshot | None = None
        self._stop = threading.Event()
        self._threaded = threaded
        self.failures: list[str] = []
        if threaded:
            threading.Thread(target=self._run, name="counting", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(PERIOD_S):
            self.sample()

    def sample(self) -> None:
        """Count up to now."""
        with self._lock:
            try:
                self._sample()
            except Exception as error:
                if len(self.failures) < 100:
                    self.failures.append(f"{type(error).__name__}: {error}")

    def _sample(self) -> None:
        self.raw.sample()
        after, before = self._backend.snapshot(self.device), self._before
        if before is None:
            self._before = after
            return
        delta = None if before.epoch != after.epoch else self._backend.delta(before, after)
        if delta is None:
            if before.epoch != after.epoch:
                self._counted.flags.append("epoch-changed")
                self._before = after
            return
        self._before = after
        done = price(
            self.device, delta.method, delta.cycles, delta.busy_ns, delta.observed_ns, self._dtype, delta.clock_mhz
        ).flop
        counted = self._counted
        counted.flop = None if counted.flop is None or done.flop is None else counted.flop + done.flop
        counted.flop_low += done.low
        counted.flop_high += done.high
        counted.observed_ns += delta.observed_ns
        counted.length_ns += delta.to_ns - delta.from_ns
        counted.methods = sorted({*counted.methods, delta.method.value})
        counted.flags = sorted({*counted.flags, *delta.flags})
        counted.busy_ns += delta.busy_ns or 0
        counted.energy_mj += delta.energy_mj or 0
        for name, value in asdict(delta.cycles).items():
            if value is not None:
                counted.cycles[name] = counted.cycles.get(name, 0) + value
        if delta.clock_mhz is not None:
            low, high = counted.clock_mhz or (delta.clock_mhz[0], delta.clock_mhz[2])
            counted.clock_mhz = min(low, delta.clock_mhz[0]), max(high, delta.clock_mhz[2])

    def stretch(self, dtype: Dtype, work: Callable[[], int]) -> dict[str, Any]:
        """Count `work`, which returns the FLOP that it executed, and everything else that could be said of them."""
        self._wait(EDGE_S)
        self.sample()
        with self._lock:
            self._dtype, self._counted = dtype, Counted()
            first = len(self.raw.rows) - 1
        began_s = time.monotonic()
        true_flop = work()
        took_s = time.monotonic() - began_s
        self._wait(EDGE_S)
        self.sample()
        with self._lock:
            counted, rows = self._counted, self.raw.rows[first:]
            self._dtype = Dtype.UNDECLARED
        return {
            "dtype": dtype.value,
            "true_flop": str(true_flop),
            "seconds": round(took_s, 3),
            "achieved_tflop_per_s": round(true_flop / took_s / 1e12, 2) if took_s else None,
            "agent": agent_says(counted, true_flop),
            "others": others_say(self.device, dtype, rows, true_flop),
            "gpm": gpm_says(rows),
        }

    def close(self) -> None:
        """End the sampling thread."""
        self._stop.set()
        with self._lock:
            self._backend.close()


def agent_says(counted: Counted, true_flop: int) -> dict[str, Any]:
    """The agent's figures beside the truth."""
    return {
        **{name: str(value) for name, value in (("flop_low", counted.flop_low), ("flop_high", counted.flop_high))},
        "flop": None if counted.flop is None else str(counted.flop),
        "over_truth": ratio(counted.flop, true_flop),
        "truth_within_bounds": counted.flop_low <= true_flop <= counted.flop_high,
        "methods": counted.methods,
        "flags": counted.flags,
        "observed_share": ratio(counted.observed_ns, counted.length_ns),
        "cycles": {name: str(value) for name, value in counted.cycles.items()},
        "flop_per_tensor_cycle": ratio(true_flop, counted.cycles.get("tensor")),
        "flop_per_fp32_cycle": ratio(true_flop, counted.cycles.get("fp32")),
        "flop_per_fp64_cycle": ratio(true_flop, counted.cycles.get("fp64")),
        "busy_s": counted.busy_ns / 1e9,
        "energy_j": counted.energy_mj / 1e3,
        "clock_mhz_lowest_highest": counted.clock_mhz,
    }


def others_say(device: Device, dtype: Dtype, rows: list[Row], true_flop: int) -> dict[str, Any]:
    """What is commonly done instead: utilisation × peak × time, and energy over what the board may draw × peak."""
    accelerator = table().get(device.accelerator or "")
    if accelerator is None or len(rows) < 2:
        return {"not_available": "the device is not in the FLOP table, or nothing was sampled"}
    per_cycle = accelerator.tensor.get(dtype) or accelerator.vector.get(dtype, 0)
    peak = per_cycle * accelerator.sm_count * accelerator.clock_tensor_mhz * 1_000_000
    length_s = ((rows[-1]["at_ns"] or 0) - (rows[0]["at_ns"] or 0)) / 1e9
    utilisation, energy_mj = mean(rows[1:], "utilisation_percent"), grown(rows, "energy_mj")
    by_utilisation = None if utilisation is None else utilisation / 100 * length_s * peak
    watts = None if energy_mj is None or not length_s else energy_mj / 1e3 / length_s
    by_power = None if watts is None else min(watts / BOARD_W.get(accelerator.name, 700), 1.0) * length_s * peak
    return {
        "peak_tflop_per_s": peak / 1e12,
        "nvidia_smi_utilisation_percent": utilisation,
        "utilisation_times_peak_over_truth": ratio(by_utilisation, true_flop),
        "mean_watts": watts,
        "power_share_times_peak_over_truth": ratio(by_power, true_flop),
    }


BOARD_W = {"H100 SXM5 80GB": 700, "H200 SXM 141GB": 700, "H100 PCIe 80GB": 350, "H100 NVL 94GB": 400}
"""What the board may draw, where it is known; 700 W otherwise."""


def gpm_says(rows: list[Row]) -> dict[str, Any]:
    """GPM's own percentages, averaged, and cycle counters, differenced, as the raw sampler saw them."""
    if len(rows) < 2:
        return {}
    named = sorted({name for row in rows for name in row})
    percent = {name: mean(rows[1:], name) for name in named if name.endswith("_percent")}
    cycles = {name: grown(rows, name) for name in named if name.endswith("_cycles")}
    return {"percent": percent, "cycles": cycles, "sm_mhz": [row.get("sm_mhz") for row in rows]}


def ratio(part: float | None, whole: float | None) -> float | None:
    """None where it makes no sense."""
    return None if part is None or not whole else part / whole
