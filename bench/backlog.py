"""A collector that comes back to a backlog: how fast it catches up, against what 100 000 GPUs go on sending.

Ten million readings are the case in mind: FLOPLEDGER_BENCH_READINGS=10000000. Fewer are measured by default, because
what is sent must first be signed; every round of 2 048 batches is the same work.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

from bench.kafka_rig import broker, fill, on_one_core
from bench.stream import READINGS

READINGS_WAITING = int(os.environ.get("FLOPLEDGER_BENCH_READINGS", "400000"))
AGENTS = 1_024
ARRIVING_READINGS_PER_S = 100_000 / 10
TARGET_TIMES = 5


def measure() -> dict[str, Any]:
    with broker() as bootstrap, tempfile.TemporaryDirectory() as directory:
        filled = fill(bootstrap, "backlog", AGENTS, READINGS_WAITING // READINGS)
        found = on_one_core("bench.collect", bootstrap, filled.topic, filled.batches, directory)
    rate = found["batches"] * READINGS / found["wall_s"]
    return {
        "readings": filled.readings,
        "readings_per_s": round(rate),
        "readings_per_cpu_s": round(found["batches"] * READINGS / found["cpu_s"]),
        "times_the_arrival_rate": round(rate / ARRIVING_READINGS_PER_S, 2),
        "exact": found["flop"] == str(filled.flop),
        "target": {"times_the_arrival_rate": TARGET_TIMES},
        "reached": rate >= TARGET_TIMES * ARRIVING_READINGS_PER_S,
    }
