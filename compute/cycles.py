"""From active cycles to FLOP: FLOP = active cycles of a pipe × FLOP per cycle of that pipe at that precision.

The pipe counters don't know the number format: the same HMMA cycles do 2 048 FLOP per SM in TF32 and 8 192 in FP8 on
Hopper. So the run's declared format gives the point, and without one the bounds span what the pipe could have done.
Non-tensor pipes enter the upper bound only: an active cycle there need not be a fused multiply-add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from compute.estimate import Estimate
from compute.precision import Dtype

if TYPE_CHECKING:
    from compute.accelerators import Accelerator

PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Cycles:
    """Active cycles per pipe, summed over SMs, and `sm` elapsed ones. None is not measured."""

    sm: int | None = None
    tensor: int | None = None
    hmma: int | None = None
    imma: int | None = None
    dmma: int | None = None
    dfma: int | None = None
    fp64: int | None = None
    fp32: int | None = None
    fp16: int | None = None
    integer: int | None = None


@dataclass(frozen=True, slots=True)
class Executed:
    """What the cycles amount to: floating-point operations, and integer ones apart (None: not measured)."""

    flop: Estimate
    int_op: int | None


def executed(accelerator: Accelerator, cycles: Cycles, dtype: Dtype, margin_ppm: int) -> Executed:
    """FLOP behind `cycles` on `accelerator`.

    `margin_ppm` is the design allowance of the method on either side, in parts per million (methodology: 2 % for cycle
    counters, 3 % for sampled clocks). Raises ValueError when the tensor pipe was not measured.
    """
    if cycles.tensor is None:
        raise ValueError("tensor cycles were not measured")
    integer = min(cycles.imma or 0, cycles.tensor)
    # Two counters for double precision that together pass the pipe's own count are counting the same cycles.
    double = min((cycles.dmma or 0) + (cycles.dfma or 0), cycles.tensor - integer)
    matrix = cycles.tensor - integer - double
    double_flop = double * accelerator.tensor.get(Dtype.FP64, 0)
    slow, point, fast = _rates(accelerator, dtype)
    vector = 0
    for active, vector_dtype in ((cycles.fp64, Dtype.FP64), (cycles.fp32, Dtype.FP32), (cycles.fp16, Dtype.FP16)):
        if active:
            vector += active * accelerator.vector.get(vector_dtype, 0)
    flop = Estimate(
        flop=matrix * point + double_flop,
        low=(matrix * slow + double_flop) * max(PPM - margin_ppm, 0) // PPM,
        high=-(-(matrix * fast + double_flop + vector) * (PPM + margin_ppm) // PPM),
    )
    int_op = None if cycles.imma is None else cycles.imma * accelerator.tensor.get(Dtype.INT8, 0)
    return Executed(flop, int_op)


def clock_margin_ppm(clock_mhz: tuple[int, int, int] | None) -> int:
    """How far cycles made from a sampled clock can be off because it moved, parts per million on either side.

    `clock_mhz` is (lowest, mean, highest) as sampled. The true mean lies between the extremes, so this is added to the
    allowance of a method that samples the clock; cycle counters need none of it.
    """
    if clock_mhz is None:
        return 0
    lowest, mean, highest = clock_mhz
    return -(-max(highest - mean, mean - lowest) * PPM // max(mean, 1))


def _rates(accelerator: Accelerator, dtype: Dtype) -> tuple[int, int, int]:
    """(lowest, assumed, highest) FLOP per cycle per SM of the matrix pipe."""
    tensor = accelerator.tensor
    if dtype in tensor and dtype is not Dtype.INT8:
        return (tensor[dtype],) * 3
    if dtype is Dtype.FP32 and Dtype.TF32 in tensor:
        # Single precision reaches the matrix pipe as TF32, or emulated in several products of BF16.
        return tensor[Dtype.TF32], tensor[Dtype.TF32], tensor.get(Dtype.BF16, tensor[Dtype.TF32])
    floating = [rate for kind, rate in tensor.items() if kind not in {Dtype.INT8, Dtype.FP64}]
    return min(floating), tensor[accelerator.training_dtype], max(floating)
