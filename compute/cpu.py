"""What a CPU core can do at most.

CPU time says that a core was running, not what it ran: the only honest number is an upper bound, CPU time × the
core's peak. The peak is the widest fused multiply-add that the core's instruction set offers, on every port, every
cycle, at the highest clock: FLOP per cycle comes from the feature flags (table below, vendor optimisation manuals and
Wikichip's per-core figures), the clock from the kernel's `cpuinfo_max_freq`. A virtual machine hides the clock; then
`CLOCK_CEILING_MHZ`, above every processor sold, takes its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Set

CLOCK_CEILING_MHZ = 6_200
"""The highest turbo clock of any server or desktop part so far (Intel Core i9-14900KS, 6.2 GHz)."""

_PER_CYCLE: tuple[tuple[str, Dtype, int], ...] = (
    # flag, format, FLOP per cycle per core: lanes × 2 (fused multiply-add) × ports
    ("amx_bf16", Dtype.BF16, 1_024),  # one 16×16×32 tile product each 16 cycles
    ("amx_fp16", Dtype.FP16, 1_024),
    ("avx512_fp16", Dtype.FP16, 128),
    ("avx512_bf16", Dtype.BF16, 128),
    ("avx512f", Dtype.FP32, 64),
    ("avx512f", Dtype.FP64, 32),
    ("fma", Dtype.FP32, 32),  # AVX2: 8 lanes × 2 × 2 ports
    ("fma", Dtype.FP64, 16),
    ("avx", Dtype.FP32, 16),
    ("avx", Dtype.FP64, 8),
    ("sve", Dtype.BF16, 256),
    ("sve", Dtype.FP32, 64),
    ("asimd", Dtype.FP32, 32),  # Arm NEON: 4 lanes × 2 × 4 ports
    ("asimd", Dtype.FP64, 16),
)
_UNKNOWN_PER_CYCLE = 1_024


def flop_per_cycle(flags: Set[str], dtype: Dtype = Dtype.UNDECLARED) -> int:
    """The most FLOP one core can do per cycle in `dtype`, given its feature flags; over all formats if undeclared.

    A format without a row of its own runs on a wider format's units, so it is bounded by the core's best. A core with
    no known flag is bounded by the widest known unit.
    """
    rates = {kind: rate for flag, kind, rate in reversed(_PER_CYCLE) if flag in flags}
    if not rates:
        return _UNKNOWN_PER_CYCLE
    return rates.get(dtype, max(rates.values()))


def upper_bound_flop(cpu_time_ns: int, per_cycle: int, clock_mhz: int) -> int:
    """The most FLOP that `cpu_time_ns` of core time can hold: time × clock × FLOP per cycle, rounded up."""
    return -(-cpu_time_ns * clock_mhz * per_cycle // 1_000)
