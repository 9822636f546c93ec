"""The FLOP table: what each accelerator does per cycle, from `data/accelerators.csv`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "2026-11-24"
"""Named by every batch as `rates`."""

_VECTOR_COLUMNS = {Dtype.FP64: "fp64", Dtype.FP32: "fp32", Dtype.FP16: "fp16"}
_TENSOR_COLUMNS = {
    dtype: f"tensor_{dtype.value}"
    for dtype in (Dtype.FP64, Dtype.TF32, Dtype.FP16, Dtype.BF16, Dtype.FP8, Dtype.INT8, Dtype.FP4)
}


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One row: operations per cycle per SM, dense, by number format, for vector and tensor pipes."""

    name: str
    compute_capability: str
    sm_count: int
    clock_max_mhz: int
    clock_tensor_mhz: int
    vector: Mapping[Dtype, int]
    tensor: Mapping[Dtype, int]
    source: str

    @property
    def flop_per_cycle_max(self) -> int:
        """The most one SM can do in one cycle: the fastest format, both pipes."""
        floating = [rate for dtype, rate in self.tensor.items() if dtype is not Dtype.INT8]
        return max(floating) + max(self.vector.values())

    @property
    def flop_per_s_max(self) -> int:
        """The most the silicon can do per second: all SMs at the highest clock, the fastest format, both pipes."""
        return self.flop_per_cycle_max * self.sm_count * self.clock_max_mhz * 1_000_000

    @property
    def training_dtype(self) -> Dtype:
        """What training on this architecture commonly multiplies in, where the run does not say."""
        return Dtype.BF16 if Dtype.BF16 in self.tensor else Dtype.FP16


@cache
def table() -> Mapping[str, Accelerator]:
    """Every accelerator whose rate per cycle is known, by name."""
    text = (files("compute") / "data" / "accelerators.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines())
    return {row["name"]: _accelerator(row) for row in rows if row["sm_count"] and row["clock_tensor_mhz"]}


def flop_per_s_ceiling(accelerator: Accelerator | None, units: int | None, clock_mhz: int | None) -> int | None:
    """The most that `units` SMs can do per second, for a whole GPU, a part of one, or one that no row describes.

    `clock_mhz` is the highest clock that the driver states; it can be below what the silicon reaches, so the table's
    counts when it is higher. A device without a row is taken for the fastest SM of the table: a bound, never a guess.
    None when that leaves anything open.
    """
    if accelerator is not None:
        sm_count = units or accelerator.sm_count
        clock = max(accelerator.clock_max_mhz, clock_mhz or 0)
        return accelerator.flop_per_cycle_max * sm_count * clock * 1_000_000
    if units is None or clock_mhz is None:
        return None
    return max(known.flop_per_cycle_max for known in table().values()) * units * clock_mhz * 1_000_000


def _accelerator(row: Mapping[str, str]) -> Accelerator:
    return Accelerator(
        name=row["name"],
        compute_capability=row["compute_capability"],
        sm_count=int(row["sm_count"]),
        clock_max_mhz=int(row["clock_max_mhz"]),
        clock_tensor_mhz=int(row["clock_tensor_mhz"]),
        vector={dtype: int(row[column]) for dtype, column in _VECTOR_COLUMNS.items() if row[column]},
        tensor={dtype: int(row[column]) for dtype, column in _TENSOR_COLUMNS.items() if row[column]},
        source=row["source"],
    )
