"""What nobody can open, sent straight into a real topic, ends in the quarantine topic; honest batches go on."""

from __future__ import annotations

import itertools
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kafka import KafkaProducer

from agent.shipping.kafka import KafkaTransport
from collector import topics
from collector.errors import Fatal, Retry
from collector.kafka_quarantine import KafkaQuarantine, _record
from collector.main import Collector
from collector.sources.interface import Message
from collector.sources.kafka import KafkaSource
from tests.ledger.chains import Chain, meter
from tests.wire.batches import AGENT, SEALED_AT_NS, batch, spoilt
from wire.kafka import MAX_MESSAGE_BYTES, KafkaConnection
from wire.seal import MAX_BODY_BYTES, encode, sign

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.ledger import Ledger
    from tests.ledger.engine import Clock
    from tests.services.kafka.fixtures import Kafka

PATIENCE_S = 30.0
NUMBERS = itertools.count()


@pytest.fixture
def connection(kafka: Kafka) -> KafkaConnection:
    """A topic of its own, of one partition, and the quarantine that all share."""
    topic = f"quarantined-{time.time_ns()}-{next(NUMBERS)}"
    made = KafkaConnection(kafka.plaintext, topic=topic, connect_timeout_s=5.0)
    with topics.admin(made) as client:
        topics.create(client, topics.plans(topic, partitions=1))
    return made


def produce(connection: KafkaConnection, messages: Sequence[tuple[bytes, list[tuple[str, bytes]]]]) -> None:
    producer = KafkaProducer(**connection.client_kwargs())
    for body, headers in messages:
        producer.send(connection.topic, body, headers=headers).get(timeout=10)
    producer.close()


def reasons(connection: KafkaConnection) -> dict[int, str]:
    """By the offset that each message had in our topic."""
    with closing(KafkaQuarantine(connection)) as kept:
        return {
            entry.message.offset: entry.reason for entry in kept.entries() if entry.message.topic == connection.topic
        }


def test_garbage_an_unknown_schema_and_a_forged_signature_are_put_aside_and_honest_batches_go_on(
    connection: KafkaConnection, ledger: Ledger, clock: Clock
) -> None:
    clock.now_ns = SEALED_AT_NS
    future = spoilt(lambda body: body.update(schema="flopledger.batch/9"))
    thief = sign(encode(batch()), Ed25519PrivateKey.generate(), AGENT)
    chain = Chain()
    honest = [chain.seal(meter(flop)) for flop in (1, 2, 3)]
    with closing(KafkaTransport(connection)) as agent:
        assert agent.send(honest[:2]) == 2
        produce(
            connection,
            [
                (b"\x00 not a batch", []),
                (future.body, future.headers()),
                (thief.body, thief.headers()),
            ],
        )
        assert agent.send(honest[2:]) == 1

    taken = 0
    with (
        closing(KafkaSource(connection, group=connection.topic)) as source,
        closing(KafkaQuarantine(connection)) as kept,
    ):
        collector = Collector(source, ledger, kept, lambda _: None, clock)
        patience_ends = time.monotonic() + PATIENCE_S
        while taken < 6 and time.monotonic() < patience_ends:
            taken += collector.step(timeout_s=0.5)
    assert taken == 6

    assert ledger.query("SELECT seq, source_offset, excluded_reason FROM batches ORDER BY seq").rows == [
        (0, 0, ""),
        (1, 1, ""),
        (2, 5, ""),
    ]
    told = reasons(connection)
    assert sorted(told) == [2, 3, 4]
    assert told[2].endswith("header is missing")
    assert "flopledger.batch/1" in told[3]
    assert told[4] == "signature: does not fit the bytes"
    with closing(KafkaSource(connection, group=connection.topic)) as again:
        assert again.poll(10, 2.0) == [], "they are committed"


def test_a_message_comes_back_whole_with_its_headers_and_only_once(connection: KafkaConnection) -> None:
    headers = (("schema", b"\xff"), ("flopledger.reason", b"a lie"), ("schema", b"twice"))
    message = Message(b"body", headers, connection.topic, 7, 42)
    with closing(KafkaQuarantine(connection)) as kept:
        kept.put(message, "schema: unknown")
        kept.put(message, "schema: unknown")
        (entry,) = [entry for entry in kept.entries() if entry.message.topic == connection.topic]
    assert entry.message == message
    assert (entry.reason, entry.size_bytes) == ("schema: unknown", 4)


def test_what_is_longer_than_any_batch_is_kept_as_far_as_the_topic_takes_it(connection: KafkaConnection) -> None:
    with closing(KafkaQuarantine(connection)) as kept:
        kept.put(Message(b"x" * (MAX_BODY_BYTES + 5), (), connection.topic, 0, 0), "too long")
        (entry,) = [entry for entry in kept.entries() if entry.message.topic == connection.topic]
    assert entry.size_bytes == MAX_BODY_BYTES + 5
    assert entry.message.body == b"x" * MAX_BODY_BYTES


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"", (("h", b"x" * 10_000_000),), "r"),
        (b"x" * 20_000_000, tuple((f"h{n}", b"x" * 100) for n in range(100_000)), "r"),
        (b"x" * MAX_BODY_BYTES, (), "é" * 5_000_000),
    ],
    ids=["one long header", "many headers", "a long reason"],
)
def test_no_message_is_too_large_for_the_quarantine(
    body: bytes, headers: tuple[tuple[str, bytes], ...], reason: str
) -> None:
    kept, ours = _record(Message(body, headers, "topic", 0, 0), reason)
    assert len(kept) + sum(len(name.encode()) + len(value) + 16 for name, value in ours) < MAX_MESSAGE_BYTES


def test_what_somebody_else_wrote_into_the_topic_is_listed_too(connection: KafkaConnection) -> None:
    stray = f"stray of {connection.topic}".encode()
    producer = KafkaProducer(**connection.client_kwargs())
    producer.send(topics.QUARANTINE_TOPIC, stray).get(timeout=10)
    producer.close()
    with closing(KafkaQuarantine(connection)) as kept:
        (entry,) = [entry for entry in kept.entries() if entry.message.body == stray]
    assert entry.reason == "not put here by a collector"
    assert entry.message.topic == topics.QUARANTINE_TOPIC


def test_without_a_broker_nothing_is_safe_and_the_caller_hears_it() -> None:
    nobody = KafkaConnection("127.0.0.1:9", connect_timeout_s=0.5)
    with closing(KafkaQuarantine(nobody)) as kept:
        with pytest.raises(Retry, match="cannot be reached"):
            kept.put(Message(b"", (), "topic", 0, 0), "reason")
        with pytest.raises(Retry, match="cannot be reached"):
            list(kept.entries())


def test_a_file_that_cannot_be_read_is_fatal(connection: KafkaConnection, tmp_path: Any) -> None:
    missing = KafkaConnection(connection.bootstrap, security_protocol="SSL", ca_file=tmp_path / "ca.pem")
    with closing(KafkaQuarantine(missing)) as kept, pytest.raises(Fatal, match=r"ca\.pem cannot be read"):
        kept.put(Message(b"", (), "topic", 0, 0), "reason")
