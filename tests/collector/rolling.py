"""A rolling upgrade of collectors as Kubernetes does it to a StatefulSet, with processes for pods.

Highest ordinal first: SIGTERM, SIGKILL if the grace period ends before the process does, a new process under the same
name, and on to the next one when that is ready. All the while agents go on sending.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from agent.shipping.kafka import KafkaTransport
from bench.stream import READINGS, Agent
from collector import topics
from ledger.migrate import migrate
from ledger.place import server
from ledger.store import Store
from tests.services.ports import free_ports
from wire.keys import load_or_create_key

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from wire.kafka import KafkaConnection

PARTITIONS = 4
AGENTS = 8
BATCHES_PER_S = 10
GRACE_S = 30.0
PIECE = 200
"""Batches of each chain whose readings are counted by one statement."""
PATIENCE_S = 90.0


@dataclass(frozen=True, slots=True)
class Account:
    """What was sent and what the ledger says, in batches, readings and FLOP; `ended`: exit codes of pods not killed."""

    sent_batches: int
    sent_flop: int
    batches: int
    readings: int
    flop: int
    excluded: int
    ended: tuple[int, ...]
    killed: int

    @property
    def lost_readings(self) -> int:
        return max(0, self.sent_batches * READINGS - self.readings)

    @property
    def doubled_readings(self) -> int:
        return max(0, self.readings - self.sent_batches * READINGS)

    @property
    def exact(self) -> bool:
        return self.batches == self.sent_batches and self.flop == self.sent_flop and self.excluded == 0


class Load:
    """Agents that seal and ship in turn, until told to stop."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._transport = KafkaTransport(connection)
        self._agents = [Agent(number) for number in range(AGENTS)]
        self._stop = threading.Event()
        self.batches = 0
        self._thread = threading.Thread(target=self._ship)
        self._thread.start()

    def _ship(self) -> None:
        while not self._stop.wait(1 / BATCHES_PER_S):
            agent = self._agents[self.batches % AGENTS]
            self.batches += self._transport.send([agent.batch()])

    def stop(self) -> int:
        """End it; the FLOP of all that was sent."""
        self._stop.set()
        self._thread.join()
        self._transport.close()
        return sum(agent.flop for agent in self._agents[: self.batches])


class Collectors:
    """So many pods named collector-0, collector-1, … on one server and one topic."""

    def __init__(self, directory: Path, connection: KafkaConnection, database_url: str, replicas: int) -> None:
        self._directory = directory
        self._connection = connection
        self._place = server(database_url, directory / "ledger.key")
        self._ports = free_ports(replicas)
        self._pods: dict[int, subprocess.Popen[bytes]] = {}
        self._ended: list[int] = []
        self._killed = 0

    def __enter__(self) -> Self:
        load_or_create_key(self._place.key_file)
        with closing(Store.server(self._place)) as store:
            migrate(store)
        with topics.admin(self._connection) as client:
            topics.create(client, topics.plans(self._connection.topic, PARTITIONS)[:1])
        for ordinal in range(len(self._ports)):
            self._start(ordinal)
        for ordinal in self._pods:
            self._until_ready(ordinal)
        return self

    def __exit__(self, *error: object) -> None:
        for pod in self._pods.values():
            pod.kill()
            pod.wait()

    def upgrade(self, grace_s: float = GRACE_S) -> None:
        """Replace every pod."""
        for ordinal in sorted(self._pods, reverse=True):
            self._stop(ordinal, grace_s)
            self._start(ordinal)
            self._until_ready(ordinal)

    def settle(self, load: Load) -> Account:
        """End the load, let the collectors record all of it, end them, and read the ledger."""
        flop = load.stop()
        patience_ends = time.monotonic() + PATIENCE_S
        with closing(Store.server(self._place)) as store:
            recorded = "SELECT uniqExact(agent, chain, seq) FROM batches"
            while int(store.query(recorded).rows[0][0]) < load.batches and time.monotonic() < patience_ends:
                time.sleep(0.1)
            for ordinal in list(self._pods):
                self._stop(ordinal, GRACE_S)
            self._pods.clear()
            (row,) = store.query("SELECT count(), countIf(excluded_reason != '') FROM batches FINAL").rows
            # Taken apart in pieces: all of a long load's evidence would outlast what one statement may take.
            (last,) = store.query("SELECT max(seq) FROM batches").rows[0]
            pieces = [
                store.query(
                    "SELECT count() FROM readings WHERE seq BETWEEN {a:UInt64} AND {b:UInt64}", {"a": a, "b": b}
                )
                for a, b in ((first, first + PIECE - 1) for first in range(0, last + 1, PIECE))
            ]
            readings = sum(int(piece.rows[0][0]) for piece in pieces)
            (total,) = store.query("SELECT sum(toUInt256(flop)) FROM meter_totals").rows[0]
        return Account(
            load.batches, flop, int(row[0]), readings, int(total), int(row[1]), tuple(self._ended), self._killed
        )

    def _start(self, ordinal: int) -> None:
        environ = {
            **os.environ,
            "FLOPLEDGER_DATA_DIR": str(self._directory / f"collector-{ordinal}"),
            "FLOPLEDGER_KAFKA_BOOTSTRAP": self._connection.bootstrap,
            "FLOPLEDGER_KAFKA_TOPIC": self._connection.topic,
            "FLOPLEDGER_KAFKA_GROUP": self._connection.topic,
            "FLOPLEDGER_KAFKA_INSTANCE": f"collector-{ordinal}",
            "FLOPLEDGER_CLICKHOUSE_URL": str(self._place),
            "FLOPLEDGER_LEDGER_KEY_FILE": str(self._place.key_file),
            "FLOPLEDGER_COLLECTOR_PORT": str(self._ports[ordinal]),
            "FLOPLEDGER_ASSESS_EVERY_S": "5",
        }
        with (self._directory / f"collector-{ordinal}.log").open("ab") as log:
            command = [sys.executable, "-m", "flopledger", "collector", "run"]
            self._pods[ordinal] = subprocess.Popen(command, env=environ, stdout=log, stderr=log)

    def _stop(self, ordinal: int, grace_s: float) -> None:
        pod = self._pods[ordinal]
        pod.send_signal(signal.SIGTERM)
        try:
            self._ended.append(pod.wait(timeout=grace_s))
        except subprocess.TimeoutExpired:
            pod.kill()
            pod.wait()
            self._killed += 1

    def _until_ready(self, ordinal: int) -> None:
        patience_ends = time.monotonic() + PATIENCE_S
        while not self._ready(ordinal):
            if self._pods[ordinal].poll() is not None or time.monotonic() > patience_ends:
                log = (self._directory / f"collector-{ordinal}.log").read_text()
                raise RuntimeError(f"collector-{ordinal} does not become ready:\n{log[-2_000:]}")
            time.sleep(0.1)

    def _ready(self, ordinal: int) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._ports[ordinal]}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
