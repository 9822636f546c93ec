"""Which row of the FLOP table a device is, and how many SMs it has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from compute.accelerators import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from compute.accelerators import Accelerator

_CORES_PER_SM: Mapping[int, int] = {5: 128, 7: 64, 9: 128, 10: 128, 12: 128}
"""FP32 cores per SM by major compute capability, where all its minor ones agree."""
_CORES_PER_SM_MINOR: Mapping[str, int] = {
    "6.0": 64,
    "6.1": 128,
    "6.2": 128,
    "8.0": 64,
    "8.6": 128,
    "8.7": 128,
    "8.9": 128,
}

_NAMES: tuple[tuple[str, str], ...] = (
    # what NVML calls it, the row
    (r"V100-SXM2", "V100 SXM2 16/32GB"),
    (r"V100-PCIE", "V100 PCIe"),
    (r"\bT4$", "T4"),
    (r"\bA100-SXM4", "A100 SXM4 40/80GB"),
    (r"\bA100.*PCIE", "A100 PCIe"),
    (r"\bA800-SXM4", "A800 SXM4"),
    (r"\bA30$", "A30"),
    (r"\bA10$", "A10"),
    (r"\bA40$", "A40"),
    (r"\bRTX 3090$", "RTX 3090"),
    (r"\bRTX 4090$", "RTX 4090"),
    (r"\bL4$", "L4"),
    (r"\bL40$", "L40"),
    (r"\bL40S$", "L40S"),
    (r"\bH100.*HBM3$", "H100 SXM5 80GB"),
    (r"\bH100 PCIE$", "H100 PCIe 80GB"),
    (r"\bH100 NVL$", "H100 NVL 94GB"),
    (r"\bH800$", "H800 SXM5"),
    (r"\bGH200\b", "GH200"),
    (r"\bH200$", "H200 SXM 141GB"),
    (r"\bB100$", "B100"),
    (r"\bGB200$", "GB200 (per GPU)"),
    (r"\bB200$", "B200 SXM 180/192GB"),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), row) for pattern, row in _NAMES)


def sm_count(cores: int, compute_capability: str) -> int | None:
    """SMs behind a number of FP32 cores; None for an architecture whose cores per SM are not known here."""
    major = int(compute_capability.partition(".")[0])
    per_sm = _CORES_PER_SM_MINOR.get(compute_capability) or _CORES_PER_SM.get(major)
    return cores // per_sm if per_sm else None


def row(name: str, compute_capability: str | None, sms: int | None) -> tuple[Accelerator | None, str]:
    """The accelerator that NVML's name, compute capability and SM count agree on, or None and why.

    All three must fit: boards share a name with cut-down variants, and a rate per SM that is not this board's would be
    a wrong number without any sign of it. `sms` is the whole GPU's count; None is what nobody tells.
    """
    for pattern, row_name in _PATTERNS:
        if pattern.search(name):
            found = table()[row_name]
            if compute_capability is not None and found.compute_capability != compute_capability:
                return (
                    None,
                    f"{name} has compute capability {compute_capability}, the table says {row_name} has another",
                )
            if sms is not None and found.sm_count != sms:
                return None, f"{name} has {sms} SMs, the table says {row_name} has {found.sm_count}"
            return found, ""
    return None, f"{name} (compute capability {compute_capability}) is not in the FLOP table: upper bounds only"
