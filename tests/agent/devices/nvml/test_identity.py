from __future__ import annotations

import pytest

from agent.devices.nvml import identity
from compute.accelerators import table


@pytest.mark.parametrize(
    ("name", "capability", "sms", "row"),
    [
        ("NVIDIA H100 80GB HBM3", "9.0", 132, "H100 SXM5 80GB"),
        ("NVIDIA H100 PCIe", "9.0", 114, "H100 PCIe 80GB"),
        ("NVIDIA H100 NVL", "9.0", 132, "H100 NVL 94GB"),
        ("NVIDIA H200", "9.0", 132, "H200 SXM 141GB"),
        ("NVIDIA GH200 480GB", "9.0", 132, "GH200"),
        ("NVIDIA B200", "10.0", 148, "B200 SXM 180/192GB"),
        ("NVIDIA GB200", "10.0", 148, "GB200 (per GPU)"),
        ("NVIDIA A100-SXM4-40GB", "8.0", 108, "A100 SXM4 40/80GB"),
        ("NVIDIA A100 80GB PCIe", "8.0", 108, "A100 PCIe"),
        ("A100-PCIE-40GB", "8.0", 108, "A100 PCIe"),
        ("NVIDIA A10", "8.6", 72, "A10"),
        ("NVIDIA L40S", "8.9", 142, "L40S"),
        ("NVIDIA L40", "8.9", 142, "L40"),
        ("NVIDIA L4", "8.9", 58, "L4"),
        ("Tesla T4", "7.5", 40, "T4"),
        ("Tesla V100-SXM2-32GB", "7.0", 80, "V100 SXM2 16/32GB"),
        ("NVIDIA GeForce RTX 4090", "8.9", 128, "RTX 4090"),
    ],
)
def test_a_known_board_is_its_row(name: str, capability: str, sms: int, row: str) -> None:
    found, warning = identity.row(name, capability, sms)
    assert found is table()[row]
    assert warning == ""


@pytest.mark.parametrize(
    ("name", "capability", "sms"),
    [
        ("NVIDIA H20", "9.0", 78),
        ("NVIDIA H200 NVL", "9.0", 132),
        ("NVIDIA A10G", "8.6", 80),
        ("NVIDIA A100X", "8.0", 108),
        ("NVIDIA GeForce RTX 4090 D", "8.9", 114),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "8.9", 76),
        ("NVIDIA GeForce RTX 3090 Ti", "8.6", 84),
        ("NVIDIA B300 SXM6", "10.3", 148),
        ("NVIDIA Rubin", "12.5", 200),
    ],
)
def test_a_board_that_only_resembles_a_row_is_unknown(name: str, capability: str, sms: int) -> None:
    found, warning = identity.row(name, capability, sms)
    assert found is None
    assert name in warning


def test_a_name_alone_is_not_believed() -> None:
    for capability, sms in (("9.0", 114), ("8.0", 132)):
        found, warning = identity.row("NVIDIA H100 80GB HBM3", capability, sms)
        assert found is None
        assert "H100 SXM5 80GB" in warning


def test_without_an_sm_count_name_and_capability_have_to_do() -> None:
    assert identity.row("NVIDIA H100 80GB HBM3", "9.0", None)[0] is table()["H100 SXM5 80GB"]


def test_every_nvidia_row_of_the_table_can_be_found_by_some_name() -> None:
    assert set(table()) == {row for _, row in identity._NAMES}


@pytest.mark.parametrize(
    ("cores", "capability", "sms"),
    [
        (16896, "9.0", 132),
        (6912, "8.0", 108),
        (10752, "8.6", 84),
        (5120, "7.0", 80),
        (2560, "7.5", 40),
        (99, "42.0", None),
    ],
)
def test_sms_follow_from_cores(cores: int, capability: str, sms: int | None) -> None:
    assert identity.sm_count(cores, capability) == sms
