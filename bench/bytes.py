"""Bytes per reading: in a topic, as the shipper sends them, and in each table of a ledger."""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from kafka.record import MemoryRecordsBuilder

from bench.stream import READINGS, START_NS, Agent
from ledger.evidence import Evidence
from ledger.ledger import Ledger
from wire.opening import open_batch

if TYPE_CHECKING:
    from wire.seal import Sealed

AGENTS = 64
BATCHES_EACH = 24
ZSTD = 4
TARGETS = {"wire": 60, "evidence": 60}


def measure() -> dict[str, Any]:
    usual, every = _one(everything=False), _one(everything=True)
    return {
        "readings_per_batch": READINGS,
        "bytes_per_reading": {"gpm_cycles": usual, "every_column": every},
        "target": TARGETS,
        "reached": {
            "wire": usual["wire_a_batch_at_a_time"] <= TARGETS["wire"],
            "wire_after_an_outage": usual["wire_after_an_outage"] <= TARGETS["wire"],
            "evidence": usual["tables"]["batches"] <= TARGETS["evidence"],
        },
    }


def _one(*, everything: bool) -> dict[str, Any]:
    agents = [Agent(number, everything=everything) for number in range(AGENTS)]
    rounds = [[agent.batch() for agent in agents] for _ in range(BATCHES_EACH)]
    batches = [sealed for batches in rounds for sealed in batches]
    return {
        "body": round(mean(len(sealed.body) for sealed in batches) / READINGS, 1),
        "wire_a_batch_at_a_time": round(mean(_record_batch([sealed]) for sealed in batches) / READINGS, 1),
        "wire_after_an_outage": round(
            mean(_record_batch([sealed[n] for sealed in rounds]) / len(rounds) for n in range(AGENTS)) / READINGS, 1
        ),
        "tables": _tables(rounds),
    }


def _record_batch(batches: list[Sealed]) -> int:
    """What goes to a broker: records with keys and headers, compressed together, in their frame."""
    builder = MemoryRecordsBuilder(
        magic=2, compression_type=ZSTD, batch_size=1 << 24, producer_id=1, producer_epoch=0, base_sequence=0
    )
    for sealed in batches:
        builder.append(
            timestamp=START_NS // 10**6, key=sealed.key_id.encode(), value=sealed.body, headers=sealed.headers()
        )
    builder.close()
    return int(builder.size_in_bytes())


def _tables(rounds: list[list[Sealed]]) -> dict[str, float]:
    """On disk, once the engine has merged what was inserted round by round."""
    with tempfile.TemporaryDirectory() as directory:
        ledger = Ledger.open(Path(directory), lambda: START_NS)
        for number, batches in enumerate(rounds):
            evidence = [
                Evidence(sealed, open_batch(sealed), START_NS, "flopledger.batches", n % 12, number * len(batches) + n)
                for n, sealed in enumerate(batches)
            ]
            ledger.collisions(evidence)
            ledger.record(evidence)
        for table in ("batches", "meters", "curve"):
            ledger._store.command(f"OPTIMIZE TABLE {table} FINAL")
        sizes = ledger.query(
            "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() "
            "AND table IN ('batches', 'meters', 'curve') GROUP BY table ORDER BY table"
        ).rows
        ledger.close()
    readings = sum(map(len, rounds)) * READINGS
    return {table: round(size / readings, 2) for table, size in sizes}
