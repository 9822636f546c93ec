"""What an agent costs a node: memory and CPU of the real process, 8 GPUs at 1 Hz, shipping to Kafka, exporter on.

The driver is the scripted library, which answers at once: what a real one adds is its own. Sampling, attribution,
counting, sealing every 10 s, the outbox on disk, the OTLP receiver, the Prometheus exporter, a kubelet that is asked
every 10 s and the shipping to a real broker on this machine are all in it; kubelet and broker are not. The agent runs
from its image's own content, by a Python that sees no other package.
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
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil

from bench.peers import GPUS, scripted_driver
from tests.agent.attribution.kubelet_service import FakeKubelet
from tests.services.kafka.broker import KafkaBroker
from tests.services.kafka.fixtures import kafka_jars

ROOT = Path(__file__).parent.parent
WARM_UP_S = 15
MEASURED_S = 120


def measure() -> dict[str, Any]:
    """CPU seconds over wall seconds after a warm-up, and resident memory at the end."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "kafka").mkdir()
        kubelet = FakeKubelet(place / "kubelet.sock")
        kubelet.pods["team", "train-0"] = {"nvidia.com/gpu": [f"GPU-{index}" for index in range(GPUS)]}
        with closing(kubelet), KafkaBroker(kafka_jars(), place / "kafka") as broker:
            return _agent(place, broker.plaintext)


def _installed(place: Path) -> tuple[Path, Path]:
    """A Python of its own, and the folder of packages that the agent's image has."""
    content, bare = place / "content", place / "bare"
    environ = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(["sh", "images/install.sh", "agent", str(content)], cwd=ROOT, env=environ, check=True)
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(content / "lib")], check=True)
    subprocess.run([sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, str(bare)], check=True)
    return bare / "bin" / "python", content / "lib"


def _agent(place: Path, bootstrap: str) -> dict[str, Any]:
    metrics_port = free_port()
    python, packages = _installed(place)
    environ = {
        **os.environ,
        **scripted_driver(place),
        "FLOPLEDGER_DATA_DIR": str(place / "data"),
        "FLOPLEDGER_NODE_LOCK": str(place / "lock"),
        "FLOPLEDGER_BACKENDS": json.dumps(["nvml"]),
        "FLOPLEDGER_KAFKA_BOOTSTRAP": bootstrap,
        "FLOPLEDGER_KUBELET_SOCKET": str(place / "kubelet.sock"),
        "FLOPLEDGER_OTLP_PORT": "0",
        "FLOPLEDGER_METRICS_PORT": str(metrics_port),
    }
    subprocess.run([sys.executable, "-m", "flopledger", "collector", "topics", "--create"], env=environ, check=True)
    # Not from the checkout: what is measured is the wheel.
    process = subprocess.Popen(
        [python, "-m", "flopledger", "agent", "run"], env={**environ, "PYTHONPATH": str(packages)}, cwd=place
    )
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
        "devices": GPUS,
        "hertz": 1,
        "driver": "scripted",
        "exporters": ["prometheus", "kafka"],
        "kubelet": "asked every 10 s",
        "measured_s": round(ended - began, 1),
        "cpu_percent_of_one_core": round(100 * cpu_s / (ended - began), 3),
        "resident_mb": round(resident / 1e6, 1),
        "targets": {"cpu_percent_of_one_core": 0.25, "resident_mb": 90},
    }


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
