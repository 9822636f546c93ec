"""Collectors are replaced one after the other while agents send: nothing is lost and nothing doubled."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.collector.rolling import BATCHES_PER_S, Collectors, Load
from wire.kafka import KafkaConnection

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.kafka.fixtures import Kafka

NO_GRACE_S = 0.02
"""Too short for any collector to end by itself."""


@pytest.mark.timeout(240)
def test_two_rolling_upgrades_one_of_them_without_grace_lose_and_double_nothing(
    kafka: Kafka, clickhouse_url: str, tmp_path: Path
) -> None:
    connection = KafkaConnection(kafka.plaintext, topic=f"rolling-{time.time_ns()}")
    with Collectors(tmp_path, connection, clickhouse_url, replicas=2) as collectors:
        load = Load(connection)
        try:
            collectors.upgrade()
            collectors.upgrade(NO_GRACE_S)
        finally:
            account = collectors.settle(load)
    assert account.sent_batches > BATCHES_PER_S, "the load must run beside the upgrades"
    assert account.exact, account
    assert account.lost_readings == account.doubled_readings == 0
    assert set(account.ended) == {0}, "who has its grace period ends in good order"
    assert account.killed == 2
