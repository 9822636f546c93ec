from __future__ import annotations

import hashlib
import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient

from agent.shipping.kafka import KafkaTransport
from collector.errors import Fatal, Retry
from collector.sources.interface import Lag
from collector.sources.kafka import KafkaSource
from tests.collector.sources.contract import PATIENCE_S, GroupContract, Member, SourceContract, bodies, take, wait_until
from tests.services.kafka.broker import PASSWORD, USER
from tests.services.kafka.tokens import unsigned_token
from wire.kafka import KafkaConnection
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collector.sources.interface import Message
    from tests.services.kafka.broker import KafkaBroker
    from tests.services.kafka.fixtures import Kafka

TOPIC_NUMBERS = itertools.count()
PARTITIONS = 3
CONNECT_TIMEOUT_S = 5.0


class KafkaRig:
    """A topic of its own, and sources of one group on it."""

    most_agents = 1000

    def __init__(self, bootstrap: str, partitions: int = PARTITIONS) -> None:
        self.topic = f"source-{time.time_ns()}-{next(TOPIC_NUMBERS)}"
        self.connection = KafkaConnection(bootstrap, topic=self.topic, connect_timeout_s=CONNECT_TIMEOUT_S)
        self._transport = KafkaTransport(self.connection)
        self._numbers: dict[int, int] = {}
        self._opened: list[KafkaSource] = []
        admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        configs = {"message.timestamp.type": "LogAppendTime"}
        admin.create_topics(
            {self.topic: {"num_partitions": partitions, "replication_factor": 1, "configs": configs}},
            wait_for_metadata=True,
        )
        admin.close()

    def send(self, agent: int, count: int) -> list[bytes]:
        first = self._numbers.get(agent, 0)
        self._numbers[agent] = first + count
        made = [f"{agent} {first + i}".encode() for i in range(count)]
        batches = [Sealed(b, hashlib.sha256(b).digest(), f"agent-{agent}", b"signature") for b in made]
        assert self._transport.send(batches) == count
        return made

    def open(self, instance: str | None = None, *, max_poll_interval_s: float = 60.0) -> KafkaSource:
        source = KafkaSource(
            self.connection,
            group=f"group-{self.topic}",
            instance=instance,
            max_poll_interval_s=max_poll_interval_s,
            # The shortest that a broker takes by default.
            session_timeout_s=6.0,
            heartbeat_s=0.3,
        )
        self._opened.append(source)
        return source

    def close(self) -> None:
        for source in self._opened:
            source.close()
        self._transport.close()


@pytest.fixture
def rig(kafka: Kafka) -> Iterator[KafkaRig]:
    rig = KafkaRig(kafka.plaintext)
    yield rig
    rig.close()


class TestKafkaSource(SourceContract, GroupContract):
    pass


def test_a_restart_under_the_same_instance_id_gets_the_same_partitions_and_disturbs_nobody(rig: KafkaRig) -> None:
    one, two = rig.open("one"), rig.open("two")
    with Member(two):
        with Member(one):
            wait_until(lambda: bool(one.owned() and two.owned()) and len(one.owned() | two.owned()) == PARTITIONS)
            mine, others = one.owned(), two.owned()
        one.close()
        again = rig.open("one")
        with Member(again):
            wait_until(lambda: again.owned() == mine)
        assert two.owned() == others


def test_a_second_collector_under_one_instance_id_stops_the_first(rig: KafkaRig) -> None:
    rig.send(0, 1)
    first = rig.open("twin")
    held = take(first, 1)
    second = rig.open("twin")
    take(second, 1)
    with pytest.raises(Fatal, match="instance id"):
        first.commit(held)


def test_while_paused_it_hands_out_nothing_and_keeps_its_partitions(rig: KafkaRig) -> None:
    source = rig.open(max_poll_interval_s=1.0)
    sent = rig.send(0, 10)
    source.commit(take(source, 10)[:3])
    source.pause()
    sent += rig.send(0, 10)
    until = time.monotonic() + 1.5
    while time.monotonic() < until:
        assert not source.poll(100, 0.2)
    assert len(source.owned()) == PARTITIONS
    source.resume()
    assert bodies(take(source, 10)) == sent[10:]


def test_one_that_records_for_too_long_loses_its_partitions_and_commits_nothing(rig: KafkaRig) -> None:
    sent = rig.send(0, 4)
    slow = rig.open(max_poll_interval_s=0.5)
    held = take(slow, 4)
    quick = rig.open()
    # The group waits for the slow one as long as it was promised, and then goes on without it.
    taken_over = take(quick, 4)
    slow.commit(held)
    assert bodies(taken_over) == sent
    quick.close()
    assert bodies(take(rig.open(), 4)) == sent


def test_lag_counts_what_is_not_recorded(rig: KafkaRig) -> None:
    source = rig.open()
    rig.send(0, 20)
    messages: list[Message] = []
    while source.lag().messages is None:
        messages += source.poll(5, 1.0)
    lag = source.lag()
    assert lag.messages == 20
    assert lag.seconds is not None
    assert 0 < lag.seconds < 30
    source.commit(messages + take(source, 20 - len(messages)))
    source.poll(1, 0.1)
    assert source.lag() == Lag(0, 0.0)


def test_a_missing_topic_is_fatal_and_says_how_to_make_it(kafka: Kafka) -> None:
    source = KafkaSource(KafkaConnection(kafka.plaintext, topic="nowhere", connect_timeout_s=CONNECT_TIMEOUT_S))
    with pytest.raises(Fatal, match=r"topic nowhere does not exist.*flopledger collector topics --create"):
        source.poll(1, 1.0)
    source.close()


def test_nobody_at_the_address_is_worth_a_retry() -> None:
    source = KafkaSource(KafkaConnection("127.0.0.1:9", connect_timeout_s=0.5))
    with pytest.raises(Retry, match=r"127\.0\.0\.1:9 cannot be reached"):
        source.poll(1, 0.1)
    source.close()


def test_wrong_credentials_are_fatal(kafka_broker: KafkaBroker, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD[:-1])
    source = KafkaSource(
        KafkaConnection(
            kafka_broker.sasl,
            security_protocol="SASL_SSL",
            ca_file=kafka_broker.ca,
            sasl_mechanism="SCRAM-SHA-512",
            username=USER,
            password_file=password,
            connect_timeout_s=2.0,
        )
    )
    with pytest.raises(Fatal, match=f"refuses our credentials.*{USER}"):
        poll_until_told(source)
    source.close()


def poll_for_long(source: KafkaSource) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        source.poll(10, 0.2)


def poll_until_told(source: KafkaSource, tries: int = 5) -> None:
    """A broker that refuses hangs up so quickly that the client may see only that."""
    for _ in range(tries):
        try:
            source.poll(1, 0.1)
        except Retry:
            continue


def test_a_broker_that_was_killed_loses_nothing_that_was_not_committed(kafka_broker: KafkaBroker) -> None:
    rig = KafkaRig(kafka_broker.plaintext)
    source = rig.open()
    sent = rig.send(0, 10)
    held = take(source, 10)
    source.commit(held[:5])
    kafka_broker.kill()
    try:
        with pytest.raises(Retry):
            poll_for_long(source)
    finally:
        kafka_broker.start()
    sent += rig.send(0, 5)
    deadline = time.monotonic() + 60
    later: list[bytes] = []
    while sent[-1] not in later and time.monotonic() < deadline:
        try:
            later += bodies(source.poll(10, 0.5))
            source.commit(held)
        except Retry:
            continue
    assert later[-5:] == sent[10:]
    source.close()
    assert bodies(take(rig.open(), 5)) == sent[10:]
    rig.close()


def test_a_damaged_record_is_fetched_again_and_then_stops_the_collector_by_name(kafka_broker: KafkaBroker) -> None:
    rig = KafkaRig(kafka_broker.plaintext, partitions=1)
    sent = rig.send(0, 3)
    rig.send(0, 1)
    (log,) = kafka_broker.directory.glob(f"data/{rig.topic}-0/*.log")
    content = bytearray(log.read_bytes())
    content[-1] ^= 0xFF
    log.write_bytes(content)
    source = rig.open()
    assert bodies(take(source, 3)) == sent
    for _ in range(2):
        with pytest.raises(Retry, match="crc"):
            poll_for_long(source)
    with pytest.raises(Fatal, match=r"offset 3.*damaged"):
        poll_for_long(source)
    rig.close()


def test_messages_that_retention_took_are_missed_aloud(rig: KafkaRig, caplog: pytest.LogCaptureFixture) -> None:
    one_partition = KafkaRig(rig.connection.bootstrap, partitions=1)
    source = one_partition.open()
    one_partition.send(0, 10)
    source.commit(take(source, 10)[:2])
    source.close()
    admin = KafkaAdminClient(bootstrap_servers=rig.connection.bootstrap)
    admin.delete_records({_partition(one_partition.topic): 7})
    admin.close()
    take(one_partition.open(), 3)
    assert "5 messages of partition 0" in caplog.text
    one_partition.close()


def _partition(topic: str) -> object:
    from kafka import TopicPartition

    return TopicPartition(topic, 0)


def test_a_message_without_our_headers_or_body_is_handed_out_as_it_is(rig: KafkaRig) -> None:
    producer = KafkaProducer(bootstrap_servers=rig.connection.bootstrap)
    producer.send(rig.topic, key=b"stranger", value=None)
    producer.send(rig.topic, key=b"stranger", value=b"not json", headers=[("x", b"y")])
    producer.close()
    first, second = take(rig.open(), 2)
    assert (first.body, first.headers) == (b"", ())
    assert (second.body, second.headers) == (b"not json", (("x", b"y"),))


def test_an_expired_certificate_of_the_broker_is_fatal_and_named(kafka_broker: KafkaBroker) -> None:
    connection = KafkaConnection(
        kafka_broker.expired, security_protocol="SSL", ca_file=kafka_broker.ca, connect_timeout_s=2.0
    )
    source = KafkaSource(connection)
    with pytest.raises(Fatal, match=r"certificate of .* has expired: renew it there"):
        poll_until_told(source)
    source.close()


def test_a_bearer_token_opens_the_door(kafka_broker: KafkaBroker, rig: KafkaRig, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(unsigned_token("collector"))
    sent = rig.send(0, 2)
    connection = replace(
        rig.connection,
        bootstrap=kafka_broker.sasl,
        security_protocol="SASL_SSL",
        ca_file=kafka_broker.ca,
        sasl_mechanism="OAUTHBEARER",
        token_file=token,
    )
    source = KafkaSource(connection, group=rig.topic)
    assert bodies(take(source, 2)) == sent
    source.close()
