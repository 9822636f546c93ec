"""Agent, broker and collector as three processes, each killed at random moments: the total is exact."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from agent.devices.simulated.truth import truth
from ledger.access import SOCKET, Remote
from tests import fleet_scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.services.kafka.broker import KafkaBroker

KILLS = 12
SEED = 20261124
BROKER_AFTER = 5
"""The broker goes after so many kills of the others."""
LIVES_S = (0.2, 4.0)
"""Some end before or while they start, others at work."""
START_DELAY_S = 15
LENGTH_S = 34
PATIENCE_S = 60


@pytest.mark.timeout(240)
def test_agent_collector_and_broker_killed_at_random_end_with_the_exact_total(
    kafka_broker: KafkaBroker, tmp_path: Path
) -> None:
    moments = random.Random(SEED)
    environ = _environ(tmp_path, kafka_broker.plaintext)
    assert _run(environ["collector"], "collector", "topics", "--create", "--partitions", "3").returncode == 0
    # It starts a little later, so that the first sample is taken before the work begins.
    scenario = fleet_scenario.write(tmp_path / "scenario.toml", time.time() + START_DELAY_S, LENGTH_S)
    alive = {name: _start(name, environ) for name in environ}
    try:
        _until(lambda: _next_seq(tmp_path) > 0, alive["agent"])
        assert time.time_ns() < scenario.start_ns, "the first agent must see the start"
        for kill in range(KILLS):
            if kill == BROKER_AFTER:
                kafka_broker.kill()
                kafka_broker.start()
            # Killing at a random moment is what is tested: there is nothing to wait for.
            time.sleep(moments.uniform(*LIVES_S))
            name = ("agent", "collector")[kill % 2]
            alive[name].send_signal(signal.SIGKILL)
            alive[name].wait()
            alive[name] = _start(name, environ)

        sealed = _next_seq(tmp_path)
        _until(lambda: _next_seq(tmp_path) > sealed, *alive.values())
        _until(lambda: time.time_ns() > scenario.end_ns + 1_000_000_000, *alive.values())
        alive["agent"].send_signal(signal.SIGTERM)
        assert alive["agent"].wait(timeout=30) == 0
        assert _stored(tmp_path) == 0, "the last agent ships all it has"
        _until(lambda: _newest_recorded(tmp_path) == _next_seq(tmp_path) - 1, alive["collector"])
        alive["collector"].send_signal(signal.SIGTERM)
        assert alive["collector"].wait(timeout=30) == 0
    finally:
        for process in alive.values():
            process.kill()
            process.wait()

    counted = {row["run_id"]: row for row in _ask(environ["collector"], "ledger", "totals")["totals"]}
    assert int(counted["survivor"]["flop"]) == truth(scenario)["survivor"]
    asked = "SELECT uniqExact(incarnation) AS agents, uniqExact(seq) AS seqs, max(seq) AS newest FROM batches"
    (lives,) = _ask(environ["collector"], "ledger", "sql", asked)["rows"]
    assert int(lives["agents"]) > 1, "the total must come from many lives"
    assert int(lives["seqs"]) == int(lives["newest"]) + 1, "no batch is missing"


def _environ(tmp_path: Path, bootstrap: str) -> dict[str, dict[str, str]]:
    both = {
        **os.environ,
        "HOME": str(tmp_path),
        "FLOPLEDGER_KAFKA_BOOTSTRAP": bootstrap,
        "FLOPLEDGER_KAFKA_TOPIC": f"killed-{time.time_ns()}",
    }
    agent = {
        "FLOPLEDGER_DATA_DIR": str(tmp_path / "agent"),
        "FLOPLEDGER_BACKENDS": '["simulated"]',
        "FLOPLEDGER_SCENARIO": str(tmp_path / "scenario.toml"),
        "FLOPLEDGER_SAMPLE_EVERY_S": "0.05",
        "FLOPLEDGER_SEAL_EVERY_S": "0.1",
        "FLOPLEDGER_OTLP_PORT": "0",
        "FLOPLEDGER_GATEWAY_PORT": "0",
        "FLOPLEDGER_WEB_PORT": "0",
    }
    # Without a name of its own a killed collector's partitions would rest for the whole session timeout.
    collector = {
        "FLOPLEDGER_DATA_DIR": str(tmp_path / "ledger"),
        "FLOPLEDGER_KAFKA_GROUP": both["FLOPLEDGER_KAFKA_TOPIC"],
        "FLOPLEDGER_KAFKA_INSTANCE": "collector-0",
    }
    return {"agent": {**both, **agent}, "collector": {**both, **collector}}


def _start(name: str, environ: dict[str, dict[str, str]]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "flopledger", name, "run"], env=environ[name])


def _until(reached: Callable[[], bool], *alive: subprocess.Popen[bytes]) -> None:
    patience_ends = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < patience_ends
        assert all(process.poll() is None for process in alive), "one ended by itself"
        time.sleep(0.1)


def _next_seq(tmp_path: Path) -> int:
    head = _outbox(tmp_path, "SELECT value FROM state WHERE name = 'head'")
    return 0 if head is None else int(json.loads(head)["next_seq"])


def _stored(tmp_path: Path) -> int:
    return int(_outbox(tmp_path, "SELECT count(*) FROM batches") or 0)


def _outbox(tmp_path: Path, sql: str) -> bytes | None:
    path = tmp_path / "agent" / "outbox.db"
    if not path.exists():
        return None
    outbox = sqlite3.connect(path, timeout=10)
    try:
        row = outbox.execute(sql).fetchone()
        return None if row is None else row[0]
    except sqlite3.OperationalError:
        return None
    finally:
        outbox.close()


def _newest_recorded(tmp_path: Path) -> int:
    path = tmp_path / "ledger" / SOCKET
    with socket.socket(socket.AF_UNIX) as probe:
        if not path.exists() or probe.connect_ex(str(path)):
            return -1
    ledger = Remote(path)
    try:
        return int(ledger.query("SELECT max(seq) FROM batches").rows[0][0])
    finally:
        ledger.close()


def _run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flopledger", *arguments, "--format", "json"]
    return subprocess.run(command, env=environ, check=False, capture_output=True, text=True)


def _ask(environ: dict[str, str], *arguments: str) -> dict[str, list[dict[str, str]]]:
    answer = _run(environ, *arguments)
    assert answer.returncode == 0, answer.stderr
    found: dict[str, list[dict[str, str]]] = json.loads(answer.stdout)
    return found
