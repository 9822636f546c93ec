"""From a reading that crosses a line to the first attempt to deliver the alert, among ten thousand agents.

The agents' batches come through the broker in memory, each agent once a minute and spread over it, into a collector
with a real ledger; twice a second one batch is that of a run that crosses a line. The clock starts when that batch is
sent, and stops when the first alert about the run arrives at a webhook on loopback.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.kafka_rig import ROOT
from bench.stream import Agent
from cli.settings import Settings
from collector.service import collecting
from collector.sources.memory import MemoryBroker
from tests.collector.notify.receiver import Receiver, status
from tests.ledger.chains import Chain, meter

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.server import BaseHTTPRequestHandler

    from wire.seal import Sealed

AGENTS = int(os.environ.get("FLOPLEDGER_BENCH_AGENTS", "10000"))
EVERY_S = 60.0
"""How often an agent seals."""
CROSSINGS = 120
TARGET_P99_S = 5
CROSSED_FLOP = 11 * 10**24
PATIENCE_S = 60.0


def measure() -> dict[str, Any]:
    """In a process of its own: one engine holds one directory."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.alert_latency"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    logging.disable()
    agents = [Agent(number) for number in range(AGENTS)]
    first, second = ([agent.batch() for agent in agents] for _ in range(2))
    with tempfile.TemporaryDirectory() as name, Receiver() as receiver:
        waits, cpu_s = _crossings(Path(name), receiver, first, second)
    waits.sort()
    found = {
        "agents": AGENTS,
        "through": "the broker in memory",
        "crossings": len(waits),
        "not_told": CROSSINGS - len(waits),
        "p50_s": round(waits[len(waits) // 2], 3),
        "p99_s": round(waits[len(waits) * 99 // 100], 3),
        "most_s": round(waits[-1], 3),
        "cpu_s": round(cpu_s, 1),
        "target": {"p99_s": TARGET_P99_S},
    }
    sys.stdout.write(json.dumps(found))


def _crossings(
    directory: Path, receiver: Receiver, first: list[Sealed], second: list[Sealed]
) -> tuple[list[float], float]:
    """Seconds from each crossing to its alert, and what all of it cost in CPU time."""
    sent: dict[str, float] = {}
    arrived: dict[str, float] = {}

    def note(handler: BaseHTTPRequestHandler) -> None:
        subject = json.loads(receiver.received[-1].body)["data"]["subject"]
        arrived.setdefault(subject, time.monotonic())
        status(204)(handler)

    broker, stop = MemoryBroker(), threading.Event()
    given = Settings(data_dir=directory / "data", channels=_channels(directory, receiver.url))
    source = broker.source()
    with collecting(source, given.data_dir, lambda _: None, time.time_ns, settings=given) as (collector, _):
        work = threading.Thread(target=collector.run, args=(stop.wait, given.assess_every_s))
        work.start()
        # All agents are known, and their run is assessed, before the clock starts.
        broker.send(first)
        _until(lambda: source.lag().messages == 0, 300)
        _until(lambda: bool(receiver.received), 60)
        receiver.behave = note
        began_cpu_s, begin_s = time.process_time(), time.monotonic()
        for n in range(CROSSINGS):
            _spread(broker, second, n, begin_s)
            sent[f"crossing-{n}"] = time.monotonic()
            broker.send([Chain(n).seal(meter(CROSSED_FLOP, at_ns=time.time_ns(), run=f"crossing-{n}"))])
        _until(lambda: sent.keys() <= arrived.keys(), PATIENCE_S)
        cpu_s = time.process_time() - began_cpu_s
        stop.set()
        work.join()
    return [arrived[name] - at_s for name, at_s in sent.items() if name in arrived], cpu_s


def _spread(broker: MemoryBroker, batches: list[Sealed], n: int, begin_s: float) -> None:
    """The agents' batches that are due up to the `n`th crossing, each at its moment."""
    for number in range(len(batches) * n // CROSSINGS, len(batches) * (n + 1) // CROSSINGS):
        time.sleep(max(0.0, begin_s + EVERY_S * number / len(batches) - time.monotonic()))
        broker.send([batches[number]])


def _channels(directory: Path, url: str) -> Path:
    key, path = directory / "key", directory / "channels.toml"
    key.write_text("a signing key for a benchmark")
    key.chmod(0o600)
    path.write_text(f'[channels.hook]\ntype = "webhook"\nurl = "{url}"\nsecret_file = "{key}"\n')
    return path


def _until(true: Callable[[], bool], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    main()
