from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from collector import topics
from collector.errors import Fatal, Retry
from wire.kafka import MAX_MESSAGE_BYTES, KafkaConnection

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.kafka.fixtures import Kafka


@pytest.fixture
def connection(kafka: Kafka) -> KafkaConnection:
    return KafkaConnection(kafka.plaintext, connect_timeout_s=5.0)


@pytest.fixture
def plan() -> topics.TopicPlan:
    return topics.TopicPlan(f"topics-{time.time_ns()}", partitions=3, retention_days=7)


def test_what_is_missing_is_named_made_and_then_as_it_should_be(
    connection: KafkaConnection, plan: topics.TopicPlan
) -> None:
    with topics.admin(connection) as client:
        assert topics.check(client, [plan]) == [
            f"topic {plan.name} does not exist: flopledger collector topics --create"
        ]
        assert topics.create(client, [plan]) == [plan.name]
        assert topics.check(client, [plan]) == []
        assert topics.create(client, [plan]) == []


def test_every_setting_that_could_lose_a_batch_is_a_problem(
    connection: KafkaConnection, plan: topics.TopicPlan
) -> None:
    with topics.admin(connection) as client:
        topics.create(client, [plan])
        client.alter_configs(
            [
                ConfigResource(
                    ConfigResourceType.TOPIC,
                    plan.name,
                    {
                        "message.timestamp.type": "CreateTime",
                        "retention.ms": "1000",
                        "retention.bytes": "5000",
                        "max.message.bytes": "1000",
                        "cleanup.policy": "compact",
                        "unclean.leader.election.enable": "true",
                    },
                )
            ]
        )
        wider = topics.TopicPlan(plan.name, partitions=5, retention_days=7, replication=3)
        problems = topics.check(client, [wider])
    assert [problem.removeprefix(f"topic {plan.name}: ") for problem in problems] == [
        "3 partitions, fewer than 5",
        "1 replicas, not 3",
        "cleanup.policy is compact, not delete",
        "message.timestamp.type is CreateTime, not LogAppendTime",
        "unclean.leader.election.enable is true, not false",
        f"max.message.bytes is 1000, less than {MAX_MESSAGE_BYTES}",
        "min.insync.replicas is 1, less than 2",
        "retention.ms is 1000, less than 604800000",
        "retention.bytes is 5000, less than -1",
    ]


def test_replicas_follow_the_cluster_up_to_three_and_one_may_always_be_away() -> None:
    plan = topics.TopicPlan("batches", partitions=1, retention_days=1)
    assert [plan.replicas(brokers) for brokers in (1, 2, 3, 9)] == [1, 2, 3, 3]
    assert [plan.configs(replicas)["min.insync.replicas"] for replicas in (1, 2, 3)] == ["1", "1", "2"]
    assert topics.TopicPlan("batches", 1, 1, replication=5).replicas(3) == 5


def test_a_ledger_has_one_topic_for_batches_and_one_for_quarantine() -> None:
    batches, quarantine = topics.plans()
    assert (batches.name, quarantine.name) == ("flopledger.batches", "flopledger.quarantine")
    assert batches.partitions > 1


def test_nobody_at_the_address_is_worth_a_retry() -> None:
    nobody = KafkaConnection("127.0.0.1:9", connect_timeout_s=0.5)
    with pytest.raises(Retry, match=r"127\.0\.0\.1:9 cannot be reached"), topics.admin(nobody):
        pass


def test_more_replicas_than_brokers_is_refused_in_a_sentence(connection: KafkaConnection) -> None:
    with pytest.raises((Fatal, Retry), match="replica"), topics.admin(connection) as client:
        topics.create(client, [topics.TopicPlan(f"topics-{time.time_ns()}", 1, 1, replication=3)])


def test_a_file_that_cannot_be_read_is_fatal(connection: KafkaConnection, tmp_path: Path) -> None:
    missing = KafkaConnection(connection.bootstrap, security_protocol="SSL", ca_file=tmp_path / "ca.pem")
    with pytest.raises(Fatal, match=r"ca\.pem cannot be read"), topics.admin(missing):
        pass
