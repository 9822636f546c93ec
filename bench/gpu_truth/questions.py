"""What nobody could say without a GPU: each question with the evidence that answers it, or why none is here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

from bench.gpu_truth.counting import ratio
from bench.gpu_truth.raw import grown, mean
from compute.accelerators import table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.devices.interface import Device
    from bench.gpu_truth.raw import RawSampler, Row

EXPORTER = "http://127.0.0.1:9400/metrics"


def counter_units(rows: list[Row], units: int | None, driver: str, notes: Mapping[str, str]) -> dict[str, Any]:
    """1. What ids 248 to 260 count, and which driver answers them."""
    if not any(row.get("sm_elapsed_cycles") for row in rows):
        return {"answer": f"driver {driver} does not answer the cycle counters", "notes": dict(notes)}
    intervals = []
    for before, after in pairwise(rows):
        elapsed, tensor = _step(before, after, "sm_elapsed_cycles"), _step(before, after, "mma_cycles")
        mhz_before, mhz_after = before.get("sm_mhz"), after.get("sm_mhz")
        span_ns = _step(before, after, "at_ns")
        if not elapsed or not span_ns or mhz_before is None or mhz_after is None:
            continue
        one_sm = (mhz_before + mhz_after) / 2 * span_ns / 1_000
        intervals.append(
            {
                "elapsed_over_one_sm": ratio(elapsed, one_sm),
                "active_over_elapsed": ratio(_step(before, after, "sm_active_cycles"), elapsed),
                "tensor_over_elapsed_percent": None if tensor is None else 100 * tensor / elapsed,
                "any_percent": after.get("any_percent"),
                "gr_percent": after.get("gr_percent"),
            }
        )
    seen = sorted(one["elapsed_over_one_sm"] for one in intervals if one["elapsed_over_one_sm"] is not None)
    middle = seen[len(seen) // 2] if seen else None
    return {
        "answer": _unit(middle, units),
        "driver": driver,
        "elapsed_over_one_sm_median": middle,
        "sm_count": units,
        "idle": [one for one in intervals if (one["gr_percent"] or 0) < 1][:10],
        "busy": [one for one in intervals if (one["gr_percent"] or 0) > 90][:20],
    }


def _unit(middle: float | None, units: int | None) -> str:
    if middle is None or not units:
        return "no interval could be compared"
    if 0.8 <= middle <= 1.25:
        return "elapsed cycles are per SM"
    if 0.8 <= middle / units <= 1.25:
        return "elapsed cycles are summed over SMs"
    return f"elapsed cycles are {middle:.3f} times one SM's: neither one SM's nor all {units}'s"


def fp8_pipe(stretch: Mapping[str, Any] | None) -> dict[str, Any]:
    """2. Which counter sees FP8."""
    percent = ((stretch or {}).get("gpm") or {}).get("percent") or {}
    seen = {name: percent.get(f"{name}_percent") for name in ("any", "hmma", "imma", "dmma", "dfma")}
    if not seen["any"]:
        return {"answer": "no FP8 work was measured here", "evidence": seen}
    inside = [name for name in ("hmma", "imma") if (seen[name] or 0) > seen["any"] / 2]
    where = f"counted as {' and '.join(inside)}" if inside else "in the total alone, under no pipe of its own"
    return {"answer": f"FP8 is {where}", "evidence": seen}


def tensor_clock(stretch: Mapping[str, Any] | None, device: Device) -> dict[str, Any]:
    """3. Whether the tensor pipe runs above the published tensor clock."""
    row = table().get(device.accelerator or "")
    clocks = [mhz for mhz in ((stretch or {}).get("gpm") or {}).get("sm_mhz") or () if mhz]
    per_cycle = ((stretch or {}).get("agent") or {}).get("flop_per_tensor_cycle")
    if row is None or not clocks:
        return {"answer": "the device is not in the FLOP table, or no clock was read"}
    above = max(clocks) > row.clock_tensor_mhz
    return {
        "answer": "the SM clock under load "
        + ("went above" if above else "stayed at or below")
        + f" the tensor clock of {row.clock_tensor_mhz} MHz",
        "sm_mhz_highest": max(clocks),
        "sm_mhz_mean": sum(clocks) / len(clocks),
        "flop_per_tensor_cycle_bf16": per_cycle,
        "table_says": {str(dtype): rate for dtype, rate in row.tensor.items()},
    }


_UNPRIVILEGED = """
import ctypes, json, os, sys
import pynvml as n
ctypes.CDLL("libnvidia-ml.so.1")  # nobody may not be able to read where these lie; devices are opened later
if os.getuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
said = {"uid": os.getuid()}
try:
    n.nvmlInit()
    h = n.nvmlDeviceGetHandleByIndex(int(sys.argv[1]))
    said["supported"] = n.nvmlGpmQueryDeviceSupport(h).isSupportedDevice
    n.nvmlGpmSampleGet(h, n.nvmlGpmSampleAlloc())
    said["sampled"] = True
except n.NVMLError as error:
    said["error"] = str(error)
print(json.dumps(said))
"""


def without_privilege(index: int) -> dict[str, Any]:
    """4. Whether GPM answers a process that is nobody."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", _UNPRIVILEGED, str(index)]
    process = subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=60)
    said = json.loads(process.stdout) if process.stdout.startswith("{") else {"error": process.stderr[-600:]}
    module = Path("/proc/driver/nvidia/params")
    restricted = [line for line in _lines(module) if "Restrict" in line or "Admin" in line]
    answer = "GPM answers without privilege" if said.get("sampled") else "GPM did not answer without privilege"
    return {"answer": answer, "evidence": said, "module_parameters": restricted}


def beside_dcgm() -> dict[str, Any]:
    """5. Whether GPM and dcgm-exporter disturb each other: answerable only where one runs."""
    try:
        with urlopen(EXPORTER, timeout=2) as answer:
            text = answer.read(200_000).decode("utf-8", "replace")
    except (URLError, OSError) as error:
        return {"answer": "not answered: no dcgm-exporter here", "evidence": str(error)}
    lines = [line for line in text.splitlines() if "TENSOR" in line or "GR_ENGINE" in line]
    return {"answer": "dcgm-exporter was running throughout: compare with the stretches", "evidence": lines[:40]}


def partitioned(nvml: Any, index: int) -> dict[str, Any]:
    """6. How GPM is normalised on MIG: answerable only where MIG is on, and this bench turns nothing on."""
    try:
        current = nvml.nvmlDeviceGetMigMode(nvml.nvmlDeviceGetHandleByIndex(index))[0]
    except nvml.NVMLError as error:
        return {"answer": "not answered: MIG is not there", "evidence": str(error)}
    return {"answer": "MIG is on: the stretches are an instance's" if current else "not answered: MIG is off"}


def longest_window(raw: RawSampler, held: list[tuple[int, Any]]) -> dict[str, Any]:
    """7. Whether percentages over a long window are the mean of the short ones in it. `held` are older samples."""
    newest = raw.keep()
    found: list[dict[str, Any]] = []
    for at_ns, older in held:
        rows = [row for row in raw.rows if (row["at_ns"] or 0) > at_ns]
        weighted = [
            (row.get("any_percent"), row.get("sm_mhz"), row.get("at_ns"))
            for row in rows
            if row.get("any_percent") is not None and row.get("sm_mhz")
        ]
        area = total = 0.0
        before_ns: float = at_ns
        for percent, mhz, now_ns in weighted:
            cycles = (mhz or 0) * ((now_ns or 0) - before_ns)
            area, total, before_ns = area + (percent or 0) * cycles, total + cycles, now_ns or 0
        found.append(
            {
                "window_s": (rows[-1]["at_ns"] or 0) / 1e9 - at_ns / 1e9 if rows else 0.0,
                "long_any_percent": raw.between(older, newest).get("any"),
                "short_any_percent_by_cycles": area / total if total else None,
            }
        )
    agreeing = [one["window_s"] for one in found if _close(one["long_any_percent"], one["short_any_percent_by_cycles"])]
    longest = f"{max(agreeing):.0f} s" if agreeing else "none"
    return {"answer": f"longest window that agrees within one point: {longest}", "evidence": found}


def idle(rows: list[Row]) -> dict[str, Any]:
    """What everything reads while nothing runs."""
    return {
        "any_percent": mean(rows, "any_percent"),
        "gr_percent": mean(rows, "gr_percent"),
        "sm_mhz": mean(rows, "sm_mhz"),
        "watts": (mean(rows, "milliwatt") or 0) / 1e3,
        "elapsed_cycles": grown(rows, "sm_elapsed_cycles"),
    }


def _step(before: Row, after: Row, name: str) -> float | None:
    old, new = before.get(name), after.get(name)
    return None if old is None or new is None else new - old


def _close(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= 1.0


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
