"""From an agent's seal to rows in the ledger, with a thousand agents that each seal once in 40 seconds.

The agents are one process that ships each batch when its time has come; the collector is another, on a core of its own.
A batch is in the ledger when the insert of its evidence has returned, which is what `received_at` cannot say.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from agent.shipping.kafka import KafkaTransport
from bench.kafka_rig import CORE, PARTITIONS, ROOT, broker
from bench.stream import Agent
from collector.topics import admin, create, plans
from wire.kafka import KafkaConnection

if TYPE_CHECKING:
    from wire.seal import Sealed

AGENTS = 1_000
EVERY_S = 40
ROUNDS = 2
SHIPPERS = 4
TARGET_P99_S = 5


def measure() -> dict[str, Any]:
    batches = [[agent.batch() for _ in range(ROUNDS)] for agent in map(Agent, range(AGENTS))]
    with broker() as bootstrap, tempfile.TemporaryDirectory() as directory:
        connection = KafkaConnection(bootstrap, topic="latency")
        with admin(connection) as client:
            create(client, plans("latency", partitions=PARTITIONS)[:1])
        command = [sys.executable, "-m", "bench.collect_timed", bootstrap, "latency", AGENTS * ROUNDS, directory]
        collector = subprocess.Popen(
            ["taskset", "-c", str(CORE), *map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert collector.stdout is not None
        # It has joined the group, or its start would be measured.
        collector.stdout.readline()
        sealed_s = _ship(connection, batches)
        recorded_s: dict[str, float] = json.loads(collector.stdout.readline())
        collector.wait()
    waits = sorted(recorded_s[name] - at_s for name, at_s in sealed_s.items())
    return {
        "agents": AGENTS,
        "batches": len(waits),
        "p50_s": round(waits[len(waits) // 2], 3),
        "p99_s": round(waits[len(waits) * 99 // 100], 3),
        "most_s": round(waits[-1], 3),
        "target": {"p99_s": TARGET_P99_S},
        "reached": waits[len(waits) * 99 // 100] <= TARGET_P99_S,
    }


def _ship(connection: KafkaConnection, batches: list[list[Sealed]]) -> dict[str, float]:
    """Each agent's batches at its own moment of the period; returns when each one, by its hash, was due."""
    begin_s = time.monotonic() + 1
    due: SimpleQueue[tuple[float, Sealed]] = SimpleQueue()
    sealed_s: dict[str, float] = {}
    for turn in range(ROUNDS):
        for n, sealed in enumerate(batches):
            at_s = begin_s + EVERY_S * (turn + n / AGENTS)
            due.put((at_s, sealed[turn]))
            sealed_s[sealed[turn].sha256.hex()] = at_s

    def ship() -> None:
        transport = KafkaTransport(connection)
        while not due.empty():
            at_s, sealed = due.get()
            time.sleep(max(0.0, at_s - time.monotonic()))
            transport.send([sealed])
        transport.close()

    shippers = [threading.Thread(target=ship) for _ in range(SHIPPERS)]
    for shipper in shippers:
        shipper.start()
    for shipper in shippers:
        shipper.join()
    return sealed_s
