"""Twenty rolling upgrades of two collectors under load, on a real Kafka: what is lost, and what is counted twice.

Every fourth upgrade has no grace period worth the name, so that its collectors are killed at work. The ledger is on the
embedded engine behind HTTP, as a server is.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from bench.kafka_rig import broker
from tests.collector.rolling import BATCHES_PER_S, GRACE_S, Collectors, Load
from tests.services.clickhouse.service import ClickHouseService
from wire.kafka import KafkaConnection

UPGRADES = 20
REPLICAS = 2
NO_GRACE_S = 0.02
NO_GRACE_EVERY = 4


def measure() -> dict[str, Any]:
    with (
        broker() as bootstrap,
        tempfile.TemporaryDirectory() as directory,
        ClickHouseService(Path(directory) / "engine") as clickhouse,
    ):
        connection = KafkaConnection(bootstrap, topic="rolling")
        url = clickhouse.make_database("rolling")
        began_s = time.monotonic()
        with Collectors(Path(directory), connection, url, REPLICAS) as collectors:
            load = Load(connection)
            try:
                for number in range(UPGRADES):
                    collectors.upgrade(NO_GRACE_S if number % NO_GRACE_EVERY == NO_GRACE_EVERY - 1 else GRACE_S)
            finally:
                account = collectors.settle(load)
        took_s = time.monotonic() - began_s
    return {
        "upgrades": UPGRADES,
        "collectors": REPLICAS,
        "pods_ended_by_sigterm": len(account.ended),
        "of_these_with_exit_code_0": account.ended.count(0),
        "pods_killed": account.killed,
        "sent_batches_per_s": BATCHES_PER_S,
        "sent_batches": account.sent_batches,
        "readings_lost": account.lost_readings,
        "readings_doubled": account.doubled_readings,
        "total_exact": account.exact,
        "took_s": round(took_s, 1),
        "targets": {"readings_lost": 0, "readings_doubled": 0},
    }
