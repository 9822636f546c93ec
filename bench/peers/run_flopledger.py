"""This project: sampling and counting alone, and the agent as it runs on a node."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import psutil

from agent.attribution.environment import Environment
from agent.attribution.process_facts import ProcessFacts
from agent.attribution.share import shares
from agent.attribution.sources import Attribution
from agent.booking import book_delta
from agent.counters import Counters
from agent.devices.nvml.backend import NvmlBackend
from bench.agent_cost import free_port
from bench.peers import timing

mode, seconds, directory = sys.argv[1:]


class Tick:
    """Snapshot, difference, attribution and FLOP of every device."""

    def __init__(self):
        self._backend = NvmlBackend()
        self._devices = list(self._backend.devices())
        self._attribution = Attribution([Environment(ProcessFacts().environ)], time.monotonic_ns)
        self._counters = Counters()
        self._before = {device.id: self._backend.snapshot(device) for device in self._devices}

    def __call__(self):
        """One tick."""
        for device in self._devices:
            before, after = self._before[device.id], self._backend.snapshot(device)
            delta = self._backend.delta(before, after)
            if delta is not None:
                self._before[device.id] = after
                identify = partial(self._attribution.identify, device=device)
                split = shares(delta, before.processes, after.processes, identify)
                book_delta(self._counters, device, delta, split, after.at_ns)


def whole():
    """The real agent in a process of its own, scraped every 15 s."""
    port = free_port()
    environ = {
        **os.environ,
        "FLOPLEDGER_DATA_DIR": str(Path(directory) / "data"),
        "FLOPLEDGER_NODE_LOCK": str(Path(directory) / "lock"),
        "FLOPLEDGER_OTLP_PORT": "0",
        "FLOPLEDGER_METRICS_PORT": str(port),
        "FLOPLEDGER_BACKENDS": json.dumps(["nvml"]),
    }
    with subprocess.Popen([sys.executable, "-m", "flopledger", "agent", "run"], env=environ) as process:
        agent = psutil.Process(process.pid)
        time.sleep(8)
        before, began = agent.cpu_times(), time.monotonic()
        for _ in range(int(seconds) // 15):
            time.sleep(15)
            urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read()
        after, took_s = agent.cpu_times(), time.monotonic() - began
        resident = timing.resident_mb(process.pid)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)
    share = 100 * (after.user + after.system - before.user - before.system) / took_s
    timing.say({"cpu_percent_of_one_core": round(share, 3), "resident_mb": resident})


if mode == "whole":
    whole()
else:
    timing.sampling(Tick(), int(seconds))
