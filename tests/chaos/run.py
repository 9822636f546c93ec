"""`make chaos SECONDS=180 SEED=1`: everything that can fail does, and the total is the truth to the last digit.

A simulated fleet with a known truth is counted by real agents, shipped through a real broker, recorded by two real
collectors into one ledger behind ClickHouse's HTTP interface. The faults and their moments follow from the seed alone;
how far the parts have come when they strike does not, and need not.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from agent.devices.simulated.truth import truth
from ledger.access import AtServer
from ledger.errors import LedgerError
from ledger.journal import Statement
from ledger.proof.journal import entries
from ledger.requests import Requests
from ledger.store import Store
from tests.chaos.faults import inject
from tests.chaos.schedule import schedule
from tests.chaos.world import World
from tests.services.kafka.fixtures import jars_directory

if TYPE_CHECKING:
    from tests.chaos.schedule import Fault

ASK_EVERY_S = 1.0
EX_TERMINATED = 128 + signal.SIGTERM


@dataclass(frozen=True)
class Outcome:
    """What came of it; FLOP are exact."""

    seed: int
    seconds: int
    faults: dict[str, int]
    readings: int
    truth_flop: int
    ledger_flop: int
    wrong: tuple[str, ...]
    """What else does not hold."""

    @property
    def good(self) -> bool:
        return self.truth_flop == self.ledger_flop and not self.wrong

    def json(self) -> str:
        return json.dumps(
            {
                "seed": self.seed,
                "seconds": self.seconds,
                "faults": self.faults,
                "readings": self.readings,
                "difference_flop": str(self.ledger_flop - self.truth_flop),
            }
        )


def chaos(seed: int, seconds: int, jars: Path, directory: Path) -> Outcome:
    """Raises RuntimeError when a part gives up, or when what was counted does not arrive."""
    planned = schedule(seed, seconds)
    world = World(directory, jars, seed, seconds)
    try:
        world.start()
        asked = _spoil(world, planned)
        world.finish()
        return _outcome(world, seed, seconds, planned, asked)
    finally:
        world.close()


def _spoil(world: World, planned: tuple[Fault, ...]) -> list[str]:
    """Inject every fault in its turn, while somebody keeps asking for journal entries; returns what was asked."""
    asked: list[str] = []
    over = threading.Event()
    asking = threading.Thread(target=_ask, args=(world, asked, over), name="asking")
    time.sleep(max(0.0, world.scenario.start_ns / 1e9 - time.time()))
    began_s = time.monotonic()
    asking.start()
    try:
        for number, fault in enumerate(planned, 1):
            time.sleep(max(0.0, began_s + fault.at_s - time.monotonic()))
            sys.stderr.write(f"{time.monotonic() - began_s:7.1f} s  {number:3}/{len(planned)}  {fault.kind}\n")
            world.supervise()
            inject(world, fault)
    finally:
        over.set()
        asking.join()
    return asked


def _ask(world: World, asked: list[str], over: threading.Event) -> None:
    while not over.wait(ASK_EVERY_S):
        name = f"note {len(asked)}"
        try:
            with closing(Store.server(world.place)) as store:
                Requests(store).put([Statement("note", "chaos", {"n": len(asked)}, request=name)])
        except LedgerError:
            continue  # the server is down: asked again under the same name
        asked.append(name)


def _outcome(world: World, seed: int, seconds: int, planned: tuple[Fault, ...], asked: list[str]) -> Outcome:
    with closing(AtServer(Store.server(world.place))) as ledger:
        world.until(lambda: _signed(ledger) >= set(asked), "requests are not in the journal")
        rows = ledger.query("SELECT run_id, flop FROM run_totals WHERE basis = 'hardware'").rows
        counted: dict[str, int] = {row[0]: row[1] for row in rows}
        readings = int(ledger.query("SELECT count() FROM readings").rows[0][0])
        wrong = _wrong(ledger, asked)
    # What the agents of a beginning that was given up have counted belongs to another run.
    expected = truth(world.scenario)
    sys.stderr.write(f"runs in the ledger: {sorted(counted)}\n")
    return Outcome(
        seed,
        seconds,
        dict(sorted(Counter(fault.kind.value for fault in planned).items())),
        readings,
        sum(expected.values()),
        sum(counted.get(run, 0) for run in expected),
        wrong,
    )


def _signed(ledger: AtServer) -> set[str]:
    return {row[0] for row in ledger.query("SELECT request FROM journal WHERE kind = 'note'").rows}


def _wrong(ledger: AtServer, asked: list[str]) -> tuple[str, ...]:
    """What does not hold of the journal and the evidence."""
    wrong: list[str] = []
    head: bytes | None = None
    for number, entry in enumerate(entries(ledger)):
        prev = entry.said.get("prev")
        if entry.fault or entry.index != number or prev != (head.hex() if head else None):
            wrong.append(f"journal entry {entry.index}: {entry.fault or 'it does not follow the one before'}")
        head = entry.sha256
    twice = ledger.query("SELECT request FROM journal WHERE request != '' GROUP BY request HAVING count() > 1").rows
    wrong += [f"request {request} was signed twice" for (request,) in twice]
    agents = ledger.query("SELECT count(), uniqExact(agent) FROM agents").rows[0]
    if agents[0] != agents[1]:
        wrong.append(f"{agents[0]} enrolments of {agents[1]} agents")
    excluded = ledger.query("SELECT seq, excluded_reason FROM batches WHERE excluded_reason != ''").rows
    wrong += [f"an honest batch {seq} was not counted: {reason}" for seq, reason in excluded]
    return tuple(wrong)


def main() -> None:
    """Exit 1 when the total is not the truth."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seconds", type=int, default=180)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    # Whoever ends us must not leave brokers and agents behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EX_TERMINATED))
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as directory:
        outcome = chaos(given.seed, given.seconds, jars_directory(), Path(directory))
    for kind, count in outcome.faults.items():
        sys.stdout.write(f"{count:4}  {kind}\n")
    for text in outcome.wrong:
        sys.stdout.write(f"WRONG {text}\n")
    sys.stdout.write(f"truth       {outcome.truth_flop:>40,} FLOP\n")
    sys.stdout.write(f"ledger      {outcome.ledger_flop:>40,} FLOP\n")
    sys.stdout.write(f"difference  {outcome.ledger_flop - outcome.truth_flop:>40,} FLOP\n")
    sys.stdout.write(outcome.json() + "\n")
    sys.exit(0 if outcome.good else 1)


if __name__ == "__main__":
    main()
