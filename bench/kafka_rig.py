"""A real Kafka with a fleet's batches in it, and a process on one core that takes them out again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.shipping.kafka import KafkaTransport
from bench.stream import READINGS, SAMPLES, fleet
from collector.topics import admin, create, plans
from tests.services.kafka.broker import KafkaBroker
from wire.kafka import KafkaConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PARTITIONS = 4
CORE = max(os.sched_getaffinity(0))
TIMEOUT_S = 500
SHIPPERS = 4
"""While one waits for the broker's word, the others seal."""


@dataclass(frozen=True, slots=True)
class Filled:
    """A topic with `batches` in it; `flop` is what all meters of all agents stand at in the end."""

    bootstrap: str
    topic: str
    batches: int
    flop: int

    @property
    def readings(self) -> int:
        return self.batches * READINGS


@contextmanager
def broker() -> Iterator[str]:
    """A broker on every core but ours, if there is another; its address."""
    jars = next(iter(sorted((ROOT / ".cache").glob("kafka-*"))), None)
    if jars is None:
        sys.exit("no Kafka here: sh scripts/services.sh kafka")
    ours = os.sched_getaffinity(0)
    os.sched_setaffinity(0, ours - {CORE} or ours)
    try:
        with tempfile.TemporaryDirectory() as directory, KafkaBroker(jars, Path(directory)) as running:
            yield running.plaintext
    finally:
        os.sched_setaffinity(0, ours)


def fill(
    bootstrap: str, topic: str, agents: int, batches: int, partitions: int = PARTITIONS, samples: int = SAMPLES
) -> Filled:
    """Make the topic and ship so many batches into it, each as a record batch of its own, as agents do."""
    connection = KafkaConnection(bootstrap, topic=topic)
    with admin(connection) as client:
        create(client, plans(topic, partitions=partitions)[:1])

    def ship(part: int) -> tuple[int, int]:
        transport = KafkaTransport(connection)
        totals: dict[str, int] = {}
        sent = 0
        for agent, sealed in fleet(agents, batches, part, SHIPPERS, samples):
            sent += transport.send([sealed])
            totals[agent.name] = agent.flop
        transport.close()
        return sent, sum(totals.values())

    with ThreadPoolExecutor(SHIPPERS) as pool:
        done = list(pool.map(ship, range(SHIPPERS)))
    assert sum(sent for sent, _ in done) == batches
    return Filled(bootstrap, topic, batches, sum(flop for _, flop in done))


def on_one_core(module: str, *arguments: object, python: str = sys.executable, core: int = CORE) -> dict[str, Any]:
    """Run a module of ours pinned to one core; what it printed as JSON in its last line."""
    done = subprocess.run(
        ["taskset", "-c", str(core), python, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result
