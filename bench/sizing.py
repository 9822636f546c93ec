"""What a fleet needs, by what a batch costs: one of eight readings, as a node with eight GPUs seals every ten seconds.

docs/operations.md holds the table and the arithmetic.
"""

from __future__ import annotations

import tempfile
from statistics import mean
from typing import Any

from bench.bytes import _record_batch, _tables
from bench.kafka_rig import broker, fill, on_one_core
from bench.stream import DEVICES, READINGS, Agent

FLEETS_GPUS = (100, 10_000, 1_000_000)
SEAL_EVERY_S = 10
AGENTS = 64
BATCHES_EACH = 24
COLLECTED_BATCHES = 6_000
COLLECTED_AGENTS = 512
RETENTION_S = 7 * 86_400
REPLICAS = 3
HEADROOM = 2
"""A core is planned at half of what it can do."""


def measure() -> dict[str, Any]:
    agents = [Agent(number, samples=1) for number in range(AGENTS)]
    rounds = [[agent.batch() for agent in agents] for _ in range(BATCHES_EACH)]
    wire_bytes = mean(_record_batch([sealed]) for batches in rounds for sealed in batches)
    # `bench.bytes` divides by the readings of its own, longer batches.
    tables_bytes = {table: size * READINGS for table, size in _tables(rounds).items()}
    with broker() as bootstrap, tempfile.TemporaryDirectory() as directory:
        filled = fill(bootstrap, "sizing", COLLECTED_AGENTS, COLLECTED_BATCHES, samples=1)
        found = on_one_core("bench.collect", bootstrap, filled.topic, filled.batches, directory, 2 * COLLECTED_AGENTS)
    cpu_s = found["cpu_s"] / found["batches"]
    return {
        "readings_per_batch": DEVICES,
        "wire_bytes_per_batch": round(wire_bytes),
        "table_bytes_per_batch": {table: round(size) for table, size in tables_bytes.items()},
        "collector_cpu_us_per_batch": round(cpu_s * 1e6),
        "fleets": {
            f"{gpus} GPUs": _fleet(gpus / DEVICES / SEAL_EVERY_S, wire_bytes, tables_bytes["batches"], cpu_s)
            for gpus in FLEETS_GPUS
        },
    }


def _fleet(batches_per_s: float, wire_bytes: float, evidence_bytes: float, cpu_s: float) -> dict[str, float]:
    return {
        "batches_per_s": batches_per_s,
        "kafka_kb_per_s": round(batches_per_s * wire_bytes / 1e3, 1),
        "topic_gb": round(batches_per_s * wire_bytes * RETENTION_S * REPLICAS / 1e9, 1),
        "evidence_gb_per_day": round(batches_per_s * evidence_bytes * 86_400 / 1e9, 2),
        "collector_cores": round(batches_per_s * cpu_s * HEADROOM, 3),
    }
