"""GEMMs, training, bursts, slow-down and the open questions, each measured by the agent and beside what is known."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.devices.nvml.backend import NvmlBackend
from agent.devices.replay import Recorder, ReplayBackend
from bench.gpu_truth import questions, slowdown, work
from bench.gpu_truth.counting import Counting
from bench.gpu_truth.raw import RawSampler
from bench.gpu_truth.report import Report, file_stem
from cli.exits import UNREACHABLE
from compute.precision import Dtype
from standalone.gpu_training import synchronise

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.interface import Device

RESULTS = Path(__file__).parent.parent / "results"
BUDGET_S = 510.0
PRODUCT_S = 6.0
TRAINING_S = 25.0
BURSTS_S = 35.0
IDLE_S = 8.0


def main() -> None:
    """Everything, in the order of its worth: what takes longest and says least comes last."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=RESULTS, help="directory of the result and the trace")
    options.add_argument("--index", type=int, default=0, help="which GPU")
    options.add_argument("--budget", type=float, default=BUDGET_S, help="seconds that it may take")
    chosen = options.parse_args()
    torch = _torch()
    began = datetime.now(UTC)
    backend = NvmlBackend()
    device = _device(backend, chosen.index)
    chosen.out.mkdir(parents=True, exist_ok=True)
    stem = file_stem(device.name, device.driver or "unknown", began)
    trace = chosen.out / f"{stem}.trace.jsonl"
    trace.unlink(missing_ok=True)
    head = _head(torch, backend, device, began)
    report = Report(chosen.out / f"{stem}.json", head, chosen.budget)
    nvml = importlib.import_module("pynvml")
    raw = RawSampler(nvml, chosen.index)
    counting = Counting(Recorder(backend, trace, time.time_ns), device, raw)
    try:
        measure(torch, "cuda", counting, report, chosen.index)
    finally:
        counting.close()
        report.content["raw"] = {"rows": raw.rows, "notes": raw.notes, "sampling_failures": counting.failures}
        report.part("replay", 0, partial(replayed, trace))
        report.write()
    print(report.path)


def measure(torch: Any, torch_device: str, counting: Counting, report: Report, index: int) -> None:
    """All parts. Whatever one of them raises is in the report, and the next goes on."""
    raw, device = counting.raw, counting.device
    held: list[tuple[int, Any]] = []

    def hold() -> None:
        try:
            held.append((time.time_ns(), raw.keep()))
        except raw.nvml.NVMLError as error:
            raw.notes["held"] = str(error)

    hold()
    report.part("idle", IDLE_S, lambda: _idle(counting))
    hold()
    done: dict[str, Any] = {}
    for name, (dtype, product) in work.products(torch, torch_device).items():
        part = partial(_stretch, counting, dtype, product, PRODUCT_S)
        done[name] = report.part(f"product-{name}", PRODUCT_S + 10, part)
    hold()
    report.part("training", TRAINING_S + 20, lambda: _training(torch, torch_device, counting))
    report.part("bursts", BURSTS_S + 10, lambda: _bursts(torch, torch_device, counting))
    asked: dict[str, Callable[[], Any]] = {
        "1 units of the cycle counters": partial(
            questions.counter_units, raw.rows, device.units, device.driver or "?", raw.notes
        ),
        "2 where FP8 is counted": partial(questions.fp8_pipe, done.get("fp8")),
        "3 tensor clock": partial(questions.tensor_clock, done.get("bf16"), device),
        "4 GPM without privilege": partial(questions.without_privilege, index),
        "5 beside dcgm-exporter": questions.beside_dcgm,
        "6 MIG": partial(questions.partitioned, raw.nvml, index),
        "7 longest window": partial(questions.longest_window, raw, held),
    }
    for name, question in asked.items():
        report.part(f"question {name}", 0, question)
    report.part("slow-down", 2 * slowdown.BLOCKS * slowdown.BLOCK_S, lambda: _slow_down(torch, torch_device))


def replayed(trace: Path) -> dict[str, Any]:
    """The recorded trace, played: the sum of its deltas by method, to be compared with the stretches."""
    now = {"ns": 0}
    backend = ReplayBackend(trace, lambda: now["ns"])
    now["ns"] = 2**62
    [device] = [one for one in backend.devices() if one.kind != "cpu"][:1]
    snapshots = [take.snapshot for take in backend._takes[device.id] if take.snapshot is not None]
    first = next(one for one in snapshots if one.epoch == snapshots[-1].epoch)
    delta = backend.delta(first, snapshots[-1])
    return {
        "file": trace.name,
        "snapshots": len(snapshots),
        "method": delta.method.value if delta else None,
        "tensor_cycles": str(delta.cycles.tensor) if delta else None,
    }


def _stretch(counting: Counting, dtype: Dtype, product: Any, seconds: float) -> dict[str, Any]:
    product(0.5)  # the first calls choose kernels and make their workspace
    return counting.stretch(dtype, lambda: int(product(seconds)))


def _training(torch: Any, device: str, counting: Counting) -> dict[str, Any]:
    loop = work.training(torch, device)
    loop.run(1.0)
    found = counting.stretch(Dtype.BF16, lambda: loop.run(TRAINING_S))
    return found | {"loss": float(loop.loss), "parameters": loop.shape.parameters}


def _bursts(torch: Any, device: str, counting: Counting) -> dict[str, Any]:
    return counting.stretch(Dtype.BF16, lambda: work.bursts(torch, device, BURSTS_S))


def _idle(counting: Counting) -> dict[str, Any]:
    first = len(counting.raw.rows)
    time.sleep(IDLE_S)
    return questions.idle(counting.raw.rows[first:])


def _slow_down(torch: Any, device: str) -> dict[str, Any]:
    loop = work.training(torch, device)
    return slowdown.measured(loop.step, lambda: synchronise(torch, device))


def _torch() -> Any:
    try:
        torch = importlib.import_module("torch")
    except ImportError as error:
        _unreachable(f"PyTorch is not installed ({error}): this bench needs it, and an NVIDIA GPU")
    if not torch.cuda.is_available():
        _unreachable("PyTorch sees no NVIDIA GPU here: nothing to measure")
    return torch


def _device(backend: NvmlBackend, index: int) -> Device:
    found = [device for device in backend.devices() if (device.place or "").split(".")[0] == str(index)]
    if not found:
        _unreachable("; ".join(backend.notices) or f"NVML shows no GPU {index}")
    return found[0]


def _unreachable(reason: str) -> Any:
    sys.stderr.write(f"gpu_truth: {reason}\n")
    sys.exit(UNREACHABLE)


def _head(torch: Any, backend: NvmlBackend, device: Device, began: datetime) -> dict[str, Any]:
    return {
        "benchmark": "gpu_truth",
        "command": "python -m bench.gpu_truth",
        "at": began.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "device": {
            "name": device.name,
            "accelerator": device.accelerator,
            "units": device.units,
            "clock_max_mhz": device.clock_max_mhz,
            "driver": device.driver,
        },
        "torch": str(torch.__version__),
        "cuda": str(torch.version.cuda),
        "methods": [
            {"method": way.method.value, "available": way.available, "reason": way.reason}
            for way in backend.capabilities(device)
        ],
        "notices": list(backend.notices),
        "targets": {
            "product_over_truth": "0.98 to 1.02",
            "training_over_truth": "0.95 to 1.05",
            "truth_within_bounds": True,
            "slow_down_percent": 0.1,
        },
    }


if __name__ == "__main__":
    main()
