"""What the counters of a device read: exact integers, the same whenever and however often they are asked.

A counter is the sum over ended phases of floor(rate × duration), and floor(rate × time) of the phase it is in. Devices
that share a timeline and a jitter level share one table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.devices.counters import BOOTTIME_NS, BUSY_NS, ENERGY_MJ
from agent.devices.interface import Method
from compute.cycles import PPM
from compute.precision import Dtype

if TYPE_CHECKING:
    from agent.devices.simulated.scenario import Scenario
    from agent.devices.simulated.timeline import Phase, Timeline

Rates = dict[str, tuple[int, int]]
"""Counter → growth per nanosecond as numerator and denominator."""

Row = tuple[str, int, int, int]
"""Counter, its value when the phase starts, and its growth per nanosecond as numerator and denominator."""

Table = tuple[tuple[Row, ...], ...]
"""One tuple of rows per phase."""

_CYCLES_PER_MHZ_NS = 1_000
_MJ_PER_WATT_NS = 1_000_000


def table(scenario: Scenario, timeline: Timeline, level: int) -> Table:
    """The counters of a device with jitter level `level`, ready to be read at any time."""
    rows: list[tuple[Row, ...]] = []
    values: dict[str, int] = {}
    epoch = None
    for phase in timeline.phases:
        rates = _rates(scenario, phase, level)
        if phase.epoch != epoch:
            epoch = phase.epoch
            values = dict.fromkeys(rates, 0)
        values[BOOTTIME_NS] = phase.start_ns - phase.boot_ns
        rows.append(tuple((name, values[name], *rate) for name, rate in rates.items()))
        for name, (numerator, denominator) in rates.items():
            values[name] += (phase.end_ns - phase.start_ns) * numerator // denominator
    return tuple(rows)


def read(rows: tuple[Row, ...], elapsed_ns: int) -> dict[str, int]:
    """The counters `elapsed_ns` after the start of the phase that `rows` stand for."""
    return {name: base + elapsed_ns * grows // per for name, base, grows, per in rows}


def _rates(scenario: Scenario, phase: Phase, level: int) -> Rates:
    run = phase.run
    watts = scenario.idle_watts if run is None else run.watts
    rates = {BOOTTIME_NS: (1, 1), BUSY_NS: (0 if run is None else 1, 1), ENERGY_MJ: (watts, _MJ_PER_WATT_NS)}
    if scenario.method is Method.BUSY:
        return rates
    clock_mhz = scenario.idle_clock_mhz if run is None else run.clock_mhz
    elapsed = clock_mhz * scenario.accelerator.sm_count
    tensor = (0 if run is None else elapsed * run.tensor_share(level), _CYCLES_PER_MHZ_NS * PPM * PPM)
    double = run is not None and run.dtype is Dtype.FP64
    rates["sm"] = (elapsed, _CYCLES_PER_MHZ_NS)
    rates["tensor"] = tensor
    rates["hmma"] = (0, 1) if double else tensor
    if any(other.dtype is Dtype.FP64 for other in scenario.runs):
        rates["dmma"] = tensor if double else (0, 1)
    if any(other.fp32_ppm is not None for other in scenario.runs):
        share_ppm = 0 if run is None or run.fp32_ppm is None else run.fp32_ppm
        rates["fp32"] = (elapsed * share_ppm, _CYCLES_PER_MHZ_NS * PPM)
    return rates
