"""What an agent at 1 Hz costs the work beside it: step times with and without it, in turn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCKS = 10
BLOCK_S = 5.0
SETTLE_S = 2.0


@contextmanager
def agent() -> Iterator[None]:
    """The real agent in a process of its own, with its own directory."""
    with tempfile.TemporaryDirectory() as directory:
        environ = {
            **os.environ,
            "FLOPLEDGER_DATA_DIR": directory,
            "FLOPLEDGER_NODE_LOCK": f"{directory}/lock",
            "FLOPLEDGER_OTLP_PORT": "0",
            "FLOPLEDGER_BACKENDS": json.dumps(["nvml"]),
        }
        command = [sys.executable, "-m", "flopledger", "agent", "run"]
        with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(SETTLE_S)
            try:
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(timeout=15)
                except subprocess.TimeoutExpired:
                    process.kill()


def measured(step: Callable[[], object], wait: Callable[[], None]) -> dict[str, Any]:
    """Blocks without and with the agent, alternating, so that a drift of clocks falls on both alike."""
    without: list[float] = []
    beside: list[float] = []
    block(step, wait, SETTLE_S)
    for number in range(BLOCKS):
        if number % 2:
            with agent():
                beside.append(block(step, wait, BLOCK_S))
        else:
            without.append(block(step, wait, BLOCK_S))
    return compared(without, beside)


def block(step: Callable[[], object], wait: Callable[[], None], seconds: float) -> float:
    """Median time of a step over so many seconds."""
    took = []
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        began_s = time.perf_counter()
        step()
        wait()
        took.append(time.perf_counter() - began_s)
    return median(took)


def compared(without: list[float], beside: list[float]) -> dict[str, Any]:
    """The difference in percent, and the noise: the standard error of a difference between two such means."""
    base = mean(without)
    slow_down = 100 * (mean(beside) / base - 1)
    error = (stdev(without) ** 2 / len(without) + stdev(beside) ** 2 / len(beside)) ** 0.5
    noise = 100 * error / base
    return {
        "median_step_s_without": without,
        "median_step_s_with": beside,
        "slow_down_percent": slow_down,
        "standard_error_percent": noise,
        "distinguishable_from_noise": abs(slow_down) > 2 * noise,
        "met": slow_down < 0.1 or slow_down <= 2 * noise,
    }
