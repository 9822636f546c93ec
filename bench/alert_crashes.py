"""A thousand random crashes of assessor and channels over real ledgers: what was lost, raised twice, or repeated.

The crashes are of lives within a process, so that they fall between any two steps: before and after each call to the
engine, and before and after a channel's yes. Then a few of a real `flopledger up`, killed with SIGKILL while its
webhook accepts, fails and waits. `FLOPLEDGER_BENCH_CRASHES` and `FLOPLEDGER_BENCH_KILLS` ask for other numbers.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.access import SOCKET, Remote
from ledger.migrate import migrate
from ledger.store import Store
from tests.collector.notify.crashing import Outcome, World
from tests.collector.notify.receiver import Receiver, status
from tests.ledger.holder import environ

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

CRASHES = int(os.environ.get("FLOPLEDGER_BENCH_CRASHES", "1000"))
KILLS = int(os.environ.get("FLOPLEDGER_BENCH_KILLS", "10"))
WORLDS = 8
SEED = 20_261_124
PATIENCE_S = 180


def measure() -> dict[str, Any]:
    shares = [CRASHES // WORLDS + (n < CRASHES % WORLDS) for n in range(WORLDS)]
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        outcomes = list(pool.map(_world, range(SEED, SEED + WORLDS), shares))
    return {
        "crashes": sum(found.crashes for found in outcomes),
        "alerts": sum(found.alerts for found in outcomes),
        "messages_per_channel": sum(found.messages for found in outcomes),
        "channels": 2,
        "repeated_under_the_same_id": sum(found.repeated for found in outcomes),
        "lost": sum(len(found.lost) for found in outcomes),
        "alerts_raised_twice": sum(len(found.raised_twice) for found in outcomes),
        "repeated_under_another_id": sum(len(found.other_ids) for found in outcomes),
        "out_of_order": sum(len(found.out_of_order) for found in outcomes),
        "examples": [text for found in outcomes for text in (*found.lost, *found.raised_twice, *found.out_of_order)][
            :5
        ],
        "killed": _killed(),
        "target": {"lost": 0, "alerts_raised_twice": 0, "repeated_under_another_id": 0},
    }


def _world(seed: int, crashes: int) -> Outcome:
    logging.disable()
    with tempfile.TemporaryDirectory() as directory:
        store = Store.embedded(Path(directory) / "ledger")
        migrate(store)
        world = World(store, seed)
        world.live(crashes)
        found = world.outcome()
        store.close()
    return found


def _killed() -> dict[str, Any]:
    """`flopledger up` with a webhook, killed at random moments; one life at the end finishes."""
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as name, Receiver() as receiver:
        directory = Path(name)
        receiver.behave = lambda handler: _moody(rng, handler)
        (directory / "key").write_text("a signing key for a benchmark")
        (directory / "key").chmod(0o600)
        (directory / "channels.toml").write_text(
            f'[channels.hook]\ntype = "webhook"\nurl = "{receiver.url}"\nsecret_file = "{directory}/key"\n'
        )
        environment = environ(directory, FLOPLEDGER_CHANNELS=str(directory / "channels.toml"))
        for n in range(KILLS):
            process = _up(environment)
            _answers(directory / "data", process)
            _declare(environment, n)
            time.sleep(rng.uniform(0.0, 3.0))
            process.kill()
            process.wait()
        process = _up(environment)
        try:
            remote = _answers(directory / "data", process)
            receiver.behave = status(204)
            raised, accepted = _settled(remote)
            remote.close()
        finally:
            process.kill()
            process.wait()
        ids = [json.loads(got.body)["id"] for got in receiver.received]
    return {
        "kills": KILLS,
        "alerts": raised,
        "accepted": accepted,
        "requests": len(ids),
        "different_ids": len(set(ids)),
    }


def _moody(rng: random.Random, handler: BaseHTTPRequestHandler) -> None:
    time.sleep(rng.uniform(0.0, 0.2))
    status(204 if rng.random() < 0.7 else 500)(handler)


def _up(environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "flopledger", "up"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _answers(data_dir: Path, process: subprocess.Popen[bytes]) -> Remote:
    deadline = time.monotonic() + PATIENCE_S
    remote = Remote(data_dir / SOCKET)
    while not remote.answers():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it does not answer"
        time.sleep(0.05)
    return remote


def _declare(environment: dict[str, str], n: int) -> None:
    """A budget beyond several lines: alerts for the life that is about to end."""
    command = [sys.executable, "-m", "flopledger", "ledger", "runs", "set", f"declared-{n}", "--planned-flop", "2e26"]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def _settled(remote: Remote) -> tuple[int, int]:
    """Alerts on record, and how many of them the webhook has accepted, once nothing more comes."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ((raised,),) = remote.query("SELECT count() FROM alert_history").rows
        ((accepted,),) = remote.query(
            "SELECT count() FROM alert_deliveries WHERE change = 'raised' AND outcome = 'accepted'"
        ).rows
        ((runs,),) = remote.query("SELECT uniqExact(subject) FROM alert_history WHERE kind = 'planned'").rows
        if (raised == accepted and runs >= KILLS) or time.monotonic() > deadline:
            return int(raised), int(accepted)
        time.sleep(0.5)
