"""The demo's first part: a small transformer trained here, counted by the agent and reporting its own FLOP.

It trains on an NVIDIA GPU where PyTorch can use one, else on the processor.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compute.architecture import Transformer
from standalone.up import up

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.assembly import AgentService
    from cli.settings import Settings

RUN_ID = "demo-transformer"


@dataclass(frozen=True, slots=True)
class Trained:
    """What the training loop said when it ended; `analytic_flop` follows from its shape and its steps alone."""

    steps: int
    tokens: int
    flop: int
    loss_first: float
    loss_last: float
    seconds: float
    analytic_flop: int


def trains_on_gpu() -> bool:
    """Whether there is an NVIDIA GPU that PyTorch can use here, found by using it."""
    if importlib.util.find_spec("torch") is None:
        return False
    probe = [sys.executable, "-m", "standalone.gpu_training_loop", "--probe"]
    return subprocess.run(probe, check=False, capture_output=True).returncode == 0


def train_and_count(
    settings: Settings, seconds: int, advanced: Callable[[float], None], *, on_gpu: bool = False
) -> Trained:
    """Train for about `seconds` while agent, collector and ledger run in this process; returns when all is recorded."""
    stop = threading.Event()
    process: list[subprocess.Popen[str]] = []

    def ready(service: AgentService) -> None:
        process.append(_start(service.otlp_port, seconds, on_gpu=on_gpu))
        threading.Thread(target=_watch, args=(process[0], seconds, advanced, stop), daemon=True).start()

    try:
        up(settings, stop, ready)
    finally:
        if process and process[0].poll() is None:
            process[0].kill()
    said, complaint = process[0].communicate()
    if process[0].returncode:
        raise RuntimeError(f"the training loop ended with code {process[0].returncode}: {complaint.strip()}")
    return _trained(json.loads(said))


def _start(otlp_port: int, seconds: int, *, on_gpu: bool) -> subprocess.Popen[str]:
    environ = {
        **os.environ,
        "FLOPLEDGER_RUN_ID": RUN_ID,
        "FLOPLEDGER_MODEL_ID": RUN_ID,
        "FLOPLEDGER_PURPOSE": "pre-training",
        "FLOPLEDGER_DTYPE": "bf16" if on_gpu else "fp32",
        # One thread leaves the other core to the fleet; at this size more threads are no faster.
        "OPENBLAS_NUM_THREADS": "1",
        "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"http://127.0.0.1:{otlp_port}/v1/metrics",
    }
    loop = "standalone.gpu_training_loop" if on_gpu else "standalone.training_loop"
    command = [sys.executable, "-m", loop, "--seconds", str(seconds)]
    return subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _watch(
    process: subprocess.Popen[str], seconds: int, advanced: Callable[[float], None], stop: threading.Event
) -> None:
    for tenth in range(seconds * 10 + 600):
        advanced(min(tenth / (seconds * 10), 1.0))
        try:
            process.wait(timeout=0.1)
            break
        except subprocess.TimeoutExpired:
            continue
    stop.set()


def _trained(said: dict[str, Any]) -> Trained:
    shape = Transformer(said["layers"], said["width"], said["feed_forward"], said["vocabulary"], said["context"])
    return Trained(
        steps=said["steps"],
        tokens=said["tokens"],
        flop=said["flop"],
        loss_first=said["loss_first"],
        loss_last=said["loss_last"],
        seconds=said["seconds"],
        analytic_flop=shape.training_flop(said["sequences"]) * said["steps"],
    )
