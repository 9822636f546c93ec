"""The FLOP table: every formula row reproduces what was published."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from compute.accelerators import flop_per_s_ceiling, table
from compute.precision import Dtype

PEAKS = {
    Dtype.TF32: "peak_tflop_tf32",
    Dtype.FP16: "peak_tflop_fp16",
    Dtype.BF16: "peak_tflop_bf16",
    Dtype.FP8: "peak_tflop_fp8",
    Dtype.INT8: "peak_tflop_int8",
    Dtype.FP4: "peak_tflop_fp4",
}
VECTOR_PEAKS = {Dtype.FP64: "peak_tflop_fp64", Dtype.FP32: "peak_tflop_fp32"}
TOLERANCE = 0.013
"""Published peaks are rounded, and made from clocks that are rounded."""


def rows() -> list[dict[str, str]]:
    text = (files("compute") / "data" / "accelerators.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def published() -> list[tuple[str, Dtype, float]]:
    return [
        (row["name"], dtype, float(row[column]))
        for row in rows()
        if row["name"] in table()
        for dtype, column in PEAKS.items()
        if row[column] and dtype in table()[row["name"]].tensor
    ]


@pytest.mark.parametrize(("name", "dtype", "peak_tflop"), published(), ids=str)
def test_sms_times_rate_times_tensor_clock_is_the_published_dense_peak(
    name: str, dtype: Dtype, peak_tflop: float
) -> None:
    row = table()[name]
    flop_per_s = row.tensor[dtype] * row.sm_count * row.clock_tensor_mhz * 10**6
    assert flop_per_s / 1e12 == pytest.approx(peak_tflop, rel=TOLERANCE)


@pytest.mark.parametrize("row", [row for row in rows() if row["name"] in table()], ids=lambda row: row["name"])
def test_vector_peaks_are_reached_at_the_highest_clock(row: dict[str, str]) -> None:
    known = table()[row["name"]]
    for dtype, column in VECTOR_PEAKS.items():
        if row[column] and dtype in known.vector:
            flop_per_s = known.vector[dtype] * known.sm_count * known.clock_max_mhz * 10**6
            assert flop_per_s / 1e12 == pytest.approx(float(row[column]), rel=TOLERANCE)


def test_most_rows_have_a_published_peak_to_be_held_against() -> None:
    assert {name for name, _, _ in published()} == set(table())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["name"])
def test_every_row_names_its_source_and_evidence(row: dict[str, str]) -> None:
    assert row["source"]
    assert row["evidence"]


@pytest.mark.parametrize("name", list(table()))
def test_no_published_peak_is_above_what_the_silicon_is_bounded_by(name: str) -> None:
    known = table()[name]
    for row_name, dtype, peak_tflop in published():
        if row_name == name and dtype is not Dtype.INT8:
            assert peak_tflop * 1e12 <= known.flop_per_s_max * (1 + TOLERANCE)


def test_a_board_without_a_rate_per_cycle_is_not_in_the_table() -> None:
    """H20 is throttled by product, B300's formats do not double: a formula would be wrong without a sign of it."""
    assert not {name for name in table() if name.startswith(("H20 ", "H20,", "B300", "GB300")) or name == "H20"}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("V100 SXM2 16/32GB", Dtype.FP16), ("T4", Dtype.FP16), ("A100 PCIe", Dtype.BF16), ("H200 SXM 141GB", Dtype.BF16)],
)
def test_training_is_in_bf16_where_the_architecture_has_it(name: str, dtype: Dtype) -> None:
    assert table()[name].training_dtype is dtype


def test_the_ceiling_of_a_whole_board_is_its_own() -> None:
    for known in table().values():
        assert flop_per_s_ceiling(known, known.sm_count, known.clock_max_mhz) == known.flop_per_s_max
        assert flop_per_s_ceiling(known, None, None) == known.flop_per_s_max


def test_a_part_of_a_board_is_bounded_by_its_own_sms() -> None:
    h100 = table()["H100 SXM5 80GB"]
    assert flop_per_s_ceiling(h100, 33, 1_980) == h100.flop_per_s_max // 4


def test_a_driver_that_understates_the_clock_does_not_lower_the_bound() -> None:
    h100 = table()["H100 SXM5 80GB"]
    assert flop_per_s_ceiling(h100, 132, 1_200) == h100.flop_per_s_max
    assert flop_per_s_ceiling(h100, 132, 3_960) == 2 * h100.flop_per_s_max


def test_an_unknown_device_is_bounded_by_the_fastest_sm_of_the_table() -> None:
    fastest = max(known.flop_per_cycle_max for known in table().values())
    assert flop_per_s_ceiling(None, 10, 1_000) == fastest * 10 * 1_000 * 10**6
    assert flop_per_s_ceiling(None, None, 1_000) is None
    assert flop_per_s_ceiling(None, 10, None) is None
