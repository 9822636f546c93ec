"""Run benchmarks and write each result to `bench/results`, with the machine and the command.

`gpu_truth` is not among them: it needs an NVIDIA GPU, and is run by itself as `python -m bench.gpu_truth`.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

BENCHMARKS = (
    "bytes",
    "collector_throughput",
    "collector_scale",
    "backlog",
    "latency",
    "rolling_upgrade",
    "sizing",
    "agent_cost",
    "nvml_tick",
    "peers",
    "simulation_speed",
    "demo_time",
    "verify_speed",
    "rebuild_speed",
    "tampering",
    "alert_crashes",
    "alert_latency",
    "ledger_queries",
    "assessment",
    "forecast",
    "page",
)
RESULTS = Path(__file__).parent / "results"


def main(names: list[str]) -> None:
    """Run these, or all."""
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        sys.exit(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    RESULTS.mkdir(exist_ok=True)
    for name in names or BENCHMARKS:
        measured = importlib.import_module(f"bench.{name}").measure()
        result = {
            "benchmark": name,
            "command": f"make bench  (or: python -m bench {name})",
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "machine": _machine(),
            **measured,
        }
        text = json.dumps(result, indent=2) + "\n"
        (RESULTS / f"{name}.json").write_text(text, encoding="utf-8")
        sys.stdout.write(text)


def _machine() -> dict[str, object]:
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
