"""What a reading costs with more agents' keys, and with a second collector beside the first.

Each collector keeps a ledger of its own here, as shards do. CPU time per reading, once every key is known: with one
partition each, the first batches of all agents come first.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from bench.kafka_rig import CORE, broker, fill, on_one_core
from bench.stream import READINGS

if TYPE_CHECKING:
    from bench.kafka_rig import Filled

KEYS = tuple(int(keys) for keys in os.environ.get("FLOPLEDGER_BENCH_KEYS", "1000,10000").split(","))
"""A third size, FLOPLEDGER_BENCH_KEYS=1000,10000,100000, takes five minutes to sign."""
BATCHES = 3_072
TARGET_SPREAD = 0.2


def measure() -> dict[str, Any]:
    with broker() as bootstrap:
        by_keys = {}
        for keys in KEYS:
            by_keys[f"{keys} keys"] = _collect(
                fill(bootstrap, f"keys-{keys}", keys, keys + BATCHES, partitions=1), keys
            )
        half = KEYS[0] // 2
        two = [fill(bootstrap, f"half-{n}", half, half + BATCHES, partitions=1) for n in range(2)]
        with ThreadPoolExecutor(2) as pool:
            halves = list(pool.map(_collect, two, (half, half), sorted(os.sched_getaffinity(0) | {CORE})[-2:]))
    one = by_keys[f"{KEYS[0]} keys"]
    costs = [cost["us_per_reading"] for cost in by_keys.values()]
    by_collectors = max(cost["us_per_reading"] for cost in halves) / one["us_per_reading"] - 1
    by_number = max(costs) / min(costs) - 1
    return {
        "us_per_reading": {name: cost["us_per_reading"] for name, cost in by_keys.items()},
        "two_collectors_us_per_reading": [cost["us_per_reading"] for cost in halves],
        "spread_by_keys": round(by_number, 3),
        "spread_by_collectors": round(by_collectors, 3),
        "exact": all(cost["exact"] for cost in (*by_keys.values(), *halves)),
        "target": {"spread": TARGET_SPREAD},
        "reached": {"keys": by_number <= TARGET_SPREAD, "collectors": by_collectors <= TARGET_SPREAD},
    }


def _collect(filled: Filled, keys: int, core: int = CORE) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as directory:
        found = on_one_core("bench.collect", filled.bootstrap, filled.topic, filled.batches, directory, keys, core=core)
    return {
        "us_per_reading": round(found["cpu_s"] / found["batches"] / READINGS * 1e6, 2),
        "exact": found["flop"] == str(filled.flop),
    }
