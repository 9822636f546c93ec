"""A real process that holds a ledger: `flopledger up` on a simulated node."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from ledger.access import SOCKET, Remote

PATIENCE_S = 60


def environ(directory: Path, **changes: str) -> dict[str, str]:
    """What `flopledger up` needs to play a scenario, which begins now, into `directory`/data."""
    shipped = files("agent.devices.simulated") / "scenarios" / "small.toml"
    scenario = directory / "scenario.toml"
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    scenario.write_text(re.sub(r"(?m)^start = .*$", f"start = {now}", shipped.read_text()))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("FLOPLEDGER_")},
        "HOME": str(directory),
        "FLOPLEDGER_DATA_DIR": str(directory / "data"),
        "FLOPLEDGER_BACKENDS": '["simulated"]',
        "FLOPLEDGER_SCENARIO": str(scenario),
        "FLOPLEDGER_SAMPLE_EVERY_S": "0.2",
        "FLOPLEDGER_SEAL_EVERY_S": "0.5",
        "FLOPLEDGER_OTLP_PORT": "0",
        **changes,
    }


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flopledger", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)


def start(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """`flopledger up`, once it answers on its socket."""
    command = [sys.executable, "-m", "flopledger", "up"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S
    remote = Remote(Path(environment["FLOPLEDGER_DATA_DIR"]) / SOCKET)
    try:
        while not remote.answers():
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.05)
    finally:
        remote.close()
    return process
