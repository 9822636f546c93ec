from __future__ import annotations

import pytest

from compute.accelerators import table
from compute.boards import UnknownDevice, board, boards, precision
from compute.precision import Dtype


def test_every_row_is_a_board_with_a_peak_and_a_source() -> None:
    assert len(boards()) == 37
    for found in boards():
        assert found.peak_flop_per_s
        assert found.source
        assert found.evidence
    assert set(table()) < {found.name for found in boards()}


def test_every_name_and_alias_leads_to_one_board() -> None:
    names = [(name.casefold(), found.name) for found in boards() for name in (found.name, *found.aliases)]
    assert len({name for name, _ in names}) == len(names)
    assert all(board(name).name == row for name, row in names)


@pytest.mark.parametrize(
    ("name", "dtype", "flop_per_s"),
    [
        ("H100 SXM5 80GB", "bf16", 989_400_000_000_000),
        ("  nvidia h100 80gb hbm3 ", "FP8", 1_978_900_000_000_000),
        ("NVIDIA-A100-SXM4-80GB", "bf16", 312 * 10**12),
        ("H20", "bf16", 148 * 10**12),
        ("tpu v4", "bf16", 275 * 10**12),
    ],
)
def test_dense_peaks(name: str, dtype: str, flop_per_s: int) -> None:
    assert board(name).peak(precision(dtype)) == flop_per_s


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("H100", "near it: H100 SXM5 80GB, H100 NVL 94GB, H100 PCIe 80GB"),
        ("A100 SMX4 80GB", "near it: A100 SXM4 40/80GB"),
        ("MI300", "near it: AMD MI300X"),
        ("abacus", "name one that is, or give the peak itself"),
        ("", "'' is in no row"),
    ],
)
def test_an_unknown_device_is_refused_with_near_names(name: str, near: str) -> None:
    with pytest.raises(UnknownDevice) as caught:
        board(name)
    assert near in str(caught.value)


def test_a_peak_that_nobody_published_is_not_invented() -> None:
    with pytest.raises(
        ValueError, match="no peak of A100 PCIe in fp8 is known; known are: fp64, fp32, tf32, fp16, bf16"
    ):
        board("A100 PCIe").peak(Dtype.FP8)
    with pytest.raises(ValueError, match="integer operations"):
        board("H100 PCIe").peak(Dtype.INT8)


@pytest.mark.parametrize("text", ["", "int8", "bfloat16", "undeclared"])
def test_what_is_no_floating_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is none of: fp64, fp32, tf32, fp16, bf16, fp8, fp4"):
        precision(text)
