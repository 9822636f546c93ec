"""`flopledger up`, killed again and again at random moments, ends with the exact total."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agent.devices.simulated.truth import truth
from tests import fleet_scenario

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 20
SEED = 20261123
YOUNG_S = (0.1, 2.5)
"""Half of the lives end so long after their start: before or while the engine opens."""
GROWN_S = (0.0, 1.0)
"""The other half end so long after they answer: at work."""


@pytest.mark.timeout(420)
def test_up_killed_twenty_times_at_random_ends_with_the_exact_total(tmp_path: Path) -> None:
    moments = random.Random(SEED)
    # It starts a little later, so that the first sample is taken before the work begins.
    scenario = fleet_scenario.write(tmp_path / "scenario.toml", time.time() + 25, KILLS * 3)
    environ = _environ(tmp_path)
    for life in range(KILLS):
        process = _up(environ)
        if life % 2 == 0:
            _until_it_answers(tmp_path / "data" / "ledger.sock", process)
        # Killing at a random moment is what is tested: there is nothing to wait for.
        time.sleep(moments.uniform(*(YOUNG_S if life % 2 else GROWN_S)))
        if life == 0:
            assert time.time_ns() < scenario.start_ns, "the first life must see the start"
        process.send_signal(signal.SIGKILL)
        process.wait()

    process = _up(environ)
    _until_it_answers(tmp_path / "data" / "ledger.sock", process)
    # On a busy machine the killed lives may have outlasted the scenario.
    counted_until_ns = max(scenario.end_ns, time.time_ns()) + 2_000_000_000
    while time.time_ns() < counted_until_ns:
        assert process.poll() is None, "the last life ended by itself"
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0

    counted = {row["run_id"]: row for row in _ask(environ, "ledger", "totals")["totals"]}
    assert int(counted["survivor"]["flop"]) == truth(scenario)["survivor"]
    incarnations = _ask(environ, "ledger", "sql", "SELECT uniqExact(incarnation) AS n FROM batches")["rows"][0]["n"]
    assert int(incarnations) > KILLS // 4, "the total must come from many lives"
    assert _ask(environ, "ledger", "verify")["findings"] == []


def _environ(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "HOME": str(tmp_path),
        "FLOPLEDGER_DATA_DIR": str(tmp_path / "data"),
        "FLOPLEDGER_BACKENDS": '["simulated"]',
        "FLOPLEDGER_SCENARIO": str(tmp_path / "scenario.toml"),
        "FLOPLEDGER_SAMPLE_EVERY_S": "0.05",
        "FLOPLEDGER_SEAL_EVERY_S": "0.1",
        "FLOPLEDGER_OTLP_PORT": "0",
        "FLOPLEDGER_GATEWAY_PORT": "0",
        "FLOPLEDGER_WEB_PORT": "0",
    }


def _until_it_answers(path: Path, process: subprocess.Popen[bytes]) -> None:
    while True:
        assert process.poll() is None, "it ended by itself"
        with socket.socket(socket.AF_UNIX) as probe:
            if path.exists() and probe.connect_ex(str(path)) == 0:
                return
        time.sleep(0.05)


def _up(environ: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "flopledger", "up"], env=environ)


def _ask(environ: dict[str, str], *arguments: str) -> dict[str, list[dict[str, str]]]:
    command = [sys.executable, "-m", "flopledger", *arguments, "--format", "json"]
    answer = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
    found: dict[str, list[dict[str, str]]] = json.loads(answer.stdout)
    return found
