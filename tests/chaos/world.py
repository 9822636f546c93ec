"""All the parts as real processes: agents of a simulated fleet, a broker, collectors, and a server for the ledger."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cli.exits import UNREACHABLE
from collector import topics
from ledger.migrate import migrate
from ledger.place import server
from ledger.store import Store
from tests import fleet_scenario
from tests.chaos.process import new_clock
from tests.chaos.proxy import Proxy
from tests.services.clickhouse.service import ClickHouseService
from tests.services.kafka.broker import KafkaBroker
from wire.kafka import KafkaConnection
from wire.keys import load_or_create_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.devices.simulated.scenario import Scenario

ROOT = Path(__file__).resolve().parents[2]
AGENTS = 2
COLLECTORS = 2
PARTITIONS = 3
TOPIC = "chaos"
GETTING_READY_S = (8, 20, 60)
"""The first agents must be there before the fleet begins to work: longer each time that a machine is too slow."""
PATIENCE_S = 120


class World:
    """Everything that runs. `start` begins it, `finish` waits until what was counted is in the ledger."""

    def __init__(self, directory: Path, jars: Path, seed: int, seconds: int) -> None:
        self.directory = directory
        self._seed, self._seconds = seed, seconds
        (directory / "kafka").mkdir()
        self.agents_wire, self.collectors_wire, self.server_wire = Proxy(), Proxy(), Proxy()
        behind = {"AGENTS": self.agents_wire.address, "COLLECTORS": self.collectors_wire.address}
        self.broker = KafkaBroker(jars, directory / "kafka", behind)
        self.agents_wire.target = self.broker.listens("AGENTS")
        self.collectors_wire.target = self.broker.listens("COLLECTORS")
        self.clickhouse = ClickHouseService(directory / "engine")
        self.server_wire.target = self.clickhouse.url.removeprefix("http://")
        self.place = server(f"{self.clickhouse.url}/chaos", directory / "ledger.key")
        self.alive: dict[str, subprocess.Popen[bytes]] = {}
        self.scenario: Scenario

    @property
    def connection(self) -> KafkaConnection:
        """To the broker, past all wires."""
        return KafkaConnection(bootstrap=self.broker.plaintext, topic=TOPIC)

    def start(self) -> None:
        """Services, then collectors and agents; the fleet begins to work when its agents are there."""
        self.broker.start()
        self.clickhouse.start()
        self.clickhouse.make_database(self.place.database)
        load_or_create_key(self.place.key_file)
        with closing(Store.server(self.place)) as store:
            migrate(store)
        with topics.admin(self.connection) as client:
            topics.create(client, topics.plans(TOPIC, PARTITIONS))
        if not any(self._begin(ready_s) for ready_s in GETTING_READY_S):
            raise RuntimeError("this machine is too slow: the fleet begins to work before its agents are there")
        for number in range(COLLECTORS):
            self.run(f"collector-{number}")

    def run(self, name: str) -> None:
        """Start this agent or collector."""
        role, _, number = name.partition("-")
        module = "tests.chaos.process" if role == "collector" else "flopledger"
        with (self.directory / f"{name}.log").open("ab") as log:
            self.alive[name] = subprocess.Popen(
                [sys.executable, "-m", module, role, "run"],
                env=self._environ(role, int(number)),
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """kill -9, and start it again."""
        self.alive[name].kill()
        self.alive[name].wait()
        self.run(name)

    def supervise(self) -> None:
        """Start again who has ended because something did not answer at the start, as whoever supervises them does."""
        for name, process in list(self.alive.items()):
            if process.poll() == UNREACHABLE:
                self.run(name)

    def stop(self, name: str, patience_s: float = 60) -> int:
        """End it in good order; returns how it ended."""
        process = self.alive.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise

    def finish(self) -> None:
        """Let the fleet come to its end, the agents seal and ship what they have, the collectors record it."""
        end_s = self.scenario.end_ns / 1e9 + 1
        self.until(lambda: time.time() > end_s, "the scenario does not end", self._seconds + PATIENCE_S)
        for number in range(AGENTS):
            # What was sampled last is sealed before the agent is asked to end.
            self.until(partial(self._emptied, number), f"agent {number} does not get rid of its outbox")
            self.stop(f"agent-{number}")
            while self.stored(number):
                # It had not the time to ship its last batch: another life does.
                self.run(f"agent-{number}")
                self.until(partial(self._emptied, number), f"agent {number} does not get rid of its outbox")
                self.stop(f"agent-{number}")
        with closing(Store.server(self.place)) as store:
            wanted = sorted(self.next_seq(n) for n in range(AGENTS))

            def arrived() -> list[int]:
                rows = store.query(
                    "SELECT uniqExact(seq) FROM batches WHERE cluster = {cluster:String} GROUP BY agent",
                    {"cluster": self.scenario.cluster},
                ).rows
                return sorted(int(count) for (count,) in rows)

            self.until(lambda: arrived() == wanted, "batches are missing in the ledger")

    def close(self) -> None:
        """Kill whatever is left."""
        for process in self.alive.values():
            process.kill()
            process.wait()
        self.broker.kill()
        self.clickhouse.kill()
        for wire in (self.agents_wire, self.collectors_wire, self.server_wire):
            wire.close()

    def clock(self, name: str) -> Path:
        """The file that sets the clock of this collector."""
        return self.directory / f"{name}.clock"

    def until(self, reached: Callable[[], bool], otherwise: str, patience_s: float = PATIENCE_S) -> None:
        """Wait for it; raises RuntimeError when it does not come, or when a part has ended by itself."""
        deadline = time.monotonic() + patience_s
        while not reached():
            self.supervise()
            ended = [name for name, process in self.alive.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{otherwise}; ended by themselves: {', '.join(ended) or 'none'}{self._logs(ended)}")
            time.sleep(0.1)

    def next_seq(self, agent: int) -> int:
        """How many batches this agent has sealed."""
        head = self._outbox(agent, "SELECT value FROM state WHERE name = 'head'")
        return 0 if head is None else int(json.loads(head)["next_seq"])

    def stored(self, agent: int) -> int:
        """How many batches it has not shipped."""
        return int(self._outbox(agent, "SELECT count(*) FROM batches") or 0)

    def _begin(self, ready_s: int) -> bool:
        """Start the agents of a fleet that begins to work in so many seconds; False when that was too soon."""
        begins = int(time.time()) + ready_s
        self.scenario = fleet_scenario.write(
            self.directory / "scenario.toml",
            begins,
            self._seconds,
            seed=self._seed,
            nodes=AGENTS,
            cluster=f"chaos-{ready_s}",
            run_id=f"everywhere-{ready_s}",
            model_id="chaos",
        )
        for number in range(AGENTS):
            self.run(f"agent-{number}")
        self.until(lambda: all(self.next_seq(n) > 0 for n in range(AGENTS)), "the agents do not begin")
        if time.time() < begins:
            return True
        for number in range(AGENTS):
            self.alive[f"agent-{number}"].kill()
            self.alive.pop(f"agent-{number}").wait()
            shutil.rmtree(self.directory / f"agent-{number}")
        return False

    def _emptied(self, agent: int) -> bool:
        return self.stored(agent) == 0

    def _outbox(self, agent: int, sql: str) -> bytes | None:
        path = self.directory / f"agent-{agent}" / "outbox.db"
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

    def _environ(self, role: str, number: int) -> dict[str, str]:
        name = f"{role}-{number}"
        of_all = {
            "HOME": str(self.directory),
            "FLOPLEDGER_DATA_DIR": str(self.directory / name),
            "FLOPLEDGER_KAFKA_TOPIC": TOPIC,
        }
        if role == "agent":
            of_all |= {
                "FLOPLEDGER_KAFKA_BOOTSTRAP": self.agents_wire.address,
                "FLOPLEDGER_CLUSTER": self.scenario.cluster,
                "FLOPLEDGER_NODE": f"node-{number}",
                "FLOPLEDGER_BACKENDS": '["simulated"]',
                "FLOPLEDGER_SCENARIO": str(self.directory / "scenario.toml"),
                "FLOPLEDGER_SCENARIO_NODE": str(number),
                "FLOPLEDGER_SAMPLE_EVERY_S": "0.1",
                "FLOPLEDGER_SEAL_EVERY_S": "0.25",
                "FLOPLEDGER_OTLP_PORT": "0",
                "FLOPLEDGER_NODE_LOCK": str(self.directory / f"{name}.lock"),
            }
        else:
            if not self.clock(name).exists():
                new_clock(self.clock(name))
            of_all |= {
                "FLOPLEDGER_KAFKA_BOOTSTRAP": self.collectors_wire.address,
                # With a name of its own a killed collector's partitions come back to it at once.
                "FLOPLEDGER_KAFKA_INSTANCE": name,
                "FLOPLEDGER_KAFKA_GROUP": TOPIC,
                "FLOPLEDGER_CLICKHOUSE_URL": f"http://{self.server_wire.address}/{self.place.database}",
                "FLOPLEDGER_LEDGER_KEY_FILE": str(self.place.key_file),
                "FLOPLEDGER_ASSESS_EVERY_S": "1",
                "CHAOS_CLOCK": str(self.clock(name)),
            }
        rest = {name: value for name, value in os.environ.items() if not name.startswith("FLOPLEDGER_")}
        return rest | of_all

    def _logs(self, names: Sequence[str]) -> str:
        return "".join(
            f"\n--- {name}\n{(self.directory / f'{name}.log').read_text(errors='replace')[-2000:]}" for name in names
        )
