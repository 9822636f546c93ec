"""How fast the demo's second part goes: simulated device-hours per second of wall time, agents to durable rows."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from agent.devices.simulated.scenario_file import load_shipped
from standalone.fleet_process import FleetProcess
from standalone.simulate import simulate


def measure() -> dict[str, Any]:
    """The shipped Llama 3.1 405B scenario, fleet and collector each in a process."""
    scenario = load_shipped("llama-3.1-405b")
    with tempfile.TemporaryDirectory() as directory:
        began = time.monotonic()
        with FleetProcess(scenario) as fleet:
            outcome = simulate(scenario, fleet, Path(directory), lambda *_: None, lambda _: None)
        took_s = time.monotonic() - began
    devices = len(scenario.all_nodes) * scenario.gpus_per_node
    hours = (scenario.end_ns - scenario.start_ns) / 3_600e9
    return {
        "devices": devices,
        "simulated_hours": hours,
        "wall_s": round(took_s, 1),
        "device_hours_per_s": round(devices * hours / took_s),
        "exact": outcome.exact,
    }
