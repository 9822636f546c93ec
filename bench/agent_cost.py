"""What an agent costs a node: memory and CPU of the real process, 8 simulated devices at 1 Hz, exporters on.

Devices are simulated, so the cost of asking NVML is not in it; sampling, attribution, counting, sealing every 10 s, the
outbox on disk, the OTLP receiver and the Prometheus exporter are.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

WARM_UP_S = 15
MEASURED_S = 120

SCENARIO = """
start = {start}
length = "1h"
seed = 8
cluster = "bench"

[fleet]
nodes = 1
gpus_per_node = 8
accelerator = "H100 SXM5 80GB"
method = "gpm-cycles"
idle_clock_mhz = 345
idle_watts = 75

[[runs]]
run_id = "bench"
model_id = "bench"
purpose = "pre-training"
dtype = "bf16"
activity_ppm = 410_000
jitter_ppm = 20_000
clock_mhz = 1_755
watts = 620

[reporting]
sample_every = "1s"
schedule = [{{ every = "10s" }}]
"""


def measure() -> dict[str, Any]:
    """CPU seconds over wall seconds after a warm-up, and resident memory at the end."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        scenario = place / "scenario.toml"
        start = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        scenario.write_text(SCENARIO.format(start=start), encoding="utf-8")
        metrics_port = free_port()
        environ = {
            **os.environ,
            "FLOPLEDGER_DATA_DIR": str(place / "data"),
            "FLOPLEDGER_BACKENDS": json.dumps(["simulated"]),
            "FLOPLEDGER_SCENARIO": str(scenario),
            "FLOPLEDGER_OTLP_PORT": "0",
            "FLOPLEDGER_METRICS_PORT": str(metrics_port),
        }
        process = subprocess.Popen([sys.executable, "-m", "flopledger", "agent", "run"], env=environ)
        try:
            agent = psutil.Process(process.pid)
            time.sleep(WARM_UP_S)
            before, began = agent.cpu_times(), time.monotonic()
            for _ in range(MEASURED_S // 15):
                time.sleep(15)
                # A scrape each 15 s, as Prometheus does.
                urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=5).read()
            after, ended = agent.cpu_times(), time.monotonic()
            resident = agent.memory_info().rss
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=30)
    cpu_s = (after.user + after.system) - (before.user + before.system)
    return {
        "devices": 8,
        "hertz": 1,
        "exporters": ["prometheus"],
        "measured_s": round(ended - began, 1),
        "cpu_percent_of_one_core": round(100 * cpu_s / (ended - began), 3),
        "resident_mb": round(resident / 1e6, 1),
        "targets": {"cpu_percent_of_one_core": 0.3, "resident_mb": 90},
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
