"""From what a device did to FLOP with bounds, by the method that measured it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.devices.interface import Method
from compute.accelerators import table
from compute.cycles import Executed, clock_margin_ppm, executed
from compute.estimate import Estimate

if TYPE_CHECKING:
    from agent.devices.interface import Device
    from compute.cycles import Cycles
    from compute.precision import Dtype

MARGIN_PPM = {Method.GPM_CYCLES: 20_000, Method.GPM: 30_000, Method.DCGM: 100_000}
"""Design allowance on either side for executed dense tensor FLOP at a known dtype, parts per million. Cycle counters
need no clock; `gpm` samples the clock; `dcgm` before Hopper is multiplexed and sampled."""

_SECOND_NS = 1_000_000_000


def price(
    device: Device,
    method: Method,
    cycles: Cycles,
    busy_ns: int | None,
    time_ns: int,
    dtype: Dtype,
    clock_mhz: tuple[int, int, int] | None = None,
) -> Executed:
    """FLOP that `device` executed in `time_ns`, of which it was busy `busy_ns` (None: not measured).

    Methods that count tensor cycles give a point; the others give bounds only, from nothing to all that the silicon can
    do. A device that the FLOP table does not know is bounded by the fastest one it does know.
    """
    accelerator = table().get(device.accelerator) if device.accelerator else None
    if accelerator is not None and cycles.tensor is not None and method in MARGIN_PPM:
        # Cycle counters need no clock; the other methods made their cycles from one.
        clock_ppm = 0 if method is Method.GPM_CYCLES else clock_margin_ppm(clock_mhz)
        return executed(accelerator, cycles, dtype, MARGIN_PPM[method] + clock_ppm)
    rate = device.flop_per_s_max
    if rate is None:
        rate = max(known.flop_per_s_max for known in table().values())
    bounded_ns = time_ns
    if busy_ns is not None and method in {Method.CPU_TIME, Method.BUSY}:
        bounded_ns = busy_ns
        if method is Method.CPU_TIME:
            # Busy time of a package is CPU time, summed over its cores.
            rate = -(-rate // (device.units or 1))
    return Executed(Estimate.at_most(-(-bounded_ns * rate // _SECOND_NS)), None)
