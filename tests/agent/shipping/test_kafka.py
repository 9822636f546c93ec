from __future__ import annotations

import hashlib
import importlib.util
import itertools
import os
import random
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from agent.errors import Fatal, Retry
from agent.shipping.kafka import CHUNK_BYTES, KafkaTransport
from agent.shipping.shipper import Shipper
from tests.collector.sources.contract import wait_until
from tests.services.kafka.broker import PASSWORD, USER
from tests.services.kafka.tokens import unsigned_token
from wire.kafka import KafkaConnection
from wire.opening import from_headers
from wire.seal import MAX_BODY_BYTES, Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.services.kafka.broker import KafkaBroker
    from tests.services.kafka.fixtures import Kafka

TOPIC_NUMBERS = itertools.count()
AGENT = "agent"


def batch(number: int, size: int = 200) -> Sealed:
    body = f"{number} ".encode().ljust(size, b".")
    return Sealed(body, hashlib.sha256(body).digest(), AGENT, b"signature")


def make_topic(bootstrap: str, **configs: str) -> str:
    name = f"transport-{time.time_ns()}-{next(TOPIC_NUMBERS)}"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics(
        {name: {"num_partitions": 3, "replication_factor": 1, "configs": {"max.message.bytes": "16000000"} | configs}},
        wait_for_metadata=True,
    )
    admin.close()
    return name


def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Every record of a topic, each partition in its order."""
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
    partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
    consumer.assign(partitions)
    left = sum(consumer.end_offsets(partitions).values())
    records: list[Any] = []
    while len(records) < left:
        for found in consumer.poll(timeout_ms=1000).values():
            records += found
    consumer.close()
    return records


def numbers(records: Sequence[Any]) -> list[int]:
    return [int(record.value.split()[0]) for record in records]


@pytest.fixture
def topic(kafka: Kafka) -> str:
    return make_topic(kafka.plaintext)


@pytest.fixture
def connection(kafka: Kafka, topic: str) -> KafkaConnection:
    return KafkaConnection(kafka.plaintext, topic=topic, connect_timeout_s=5.0)


@pytest.fixture
def tls(kafka_broker: KafkaBroker, topic: str) -> KafkaConnection:
    return KafkaConnection(
        kafka_broker.tls, security_protocol="SSL", ca_file=kafka_broker.ca, topic=topic, connect_timeout_s=1.5
    )


@pytest.fixture
def scram(kafka_broker: KafkaBroker, tls: KafkaConnection, tmp_path: Path) -> KafkaConnection:
    password = tmp_path / "password"
    password.write_text(PASSWORD + "\n")
    return replace(
        tls,
        bootstrap=kafka_broker.sasl,
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        username=USER,
        password_file=password,
    )


class Closing:
    """A transport for a `with`."""

    def __init__(self, connection: KafkaConnection, delivery_timeout_s: float = 30.0) -> None:
        self._transport = KafkaTransport(connection, delivery_timeout_s=delivery_timeout_s)

    def __enter__(self) -> KafkaTransport:
        return self._transport

    def __exit__(self, *_: object) -> None:
        self._transport.close()


def test_delivers_the_exact_bytes_in_order_under_the_agents_key(kafka: Kafka, connection: KafkaConnection) -> None:
    sent = [batch(number) for number in range(50)]
    with Closing(connection) as transport:
        assert transport.send(sent[:30]) == 30
        assert transport.send([]) == 0
        assert transport.send(sent[30:]) == 20
    records = read_all(kafka.plaintext, connection.topic)
    assert [from_headers(record.value, record.headers) for record in records] == sent
    assert {record.key for record in records} == {AGENT.encode()}
    assert len({record.partition for record in records}) == 1


def test_delivers_more_than_fits_into_one_request(kafka: Kafka, connection: KafkaConnection) -> None:
    sent = [batch(number, size=CHUNK_BYTES // 3) for number in range(20)]
    with Closing(connection) as transport:
        assert transport.send(sent) == 20
    assert numbers(read_all(kafka.plaintext, connection.topic)) == list(range(20))


def test_delivers_a_batch_of_eight_mebibytes_that_cannot_be_compressed(
    kafka: Kafka, connection: KafkaConnection
) -> None:
    body = os.urandom(MAX_BODY_BYTES)
    largest = Sealed(body, hashlib.sha256(body).digest(), AGENT, b"signature")
    with Closing(connection) as transport:
        assert transport.send([batch(0), largest, batch(1)]) == 3
    assert [record.value for record in read_all(kafka.plaintext, connection.topic)] == [
        batch(0).body,
        body,
        batch(1).body,
    ]


def test_a_batch_past_the_limit_is_fatal_and_those_before_it_are_delivered(connection: KafkaConnection) -> None:
    body = os.urandom(MAX_BODY_BYTES + 1)
    too_large = Sealed(body, hashlib.sha256(body).digest(), AGENT, b"signature")
    with Closing(connection) as transport:
        assert transport.send([batch(0), too_large]) == 1
        with pytest.raises(Fatal, match=f"{len(body)} bytes cannot travel: {MAX_BODY_BYTES} is the most"):
            transport.send([too_large])


def test_a_topic_that_takes_only_smaller_messages_is_named_with_what_to_change(kafka: Kafka) -> None:
    topic = make_topic(kafka.plaintext, **{"max.message.bytes": "100000"})
    body = os.urandom(300_000)
    too_large = Sealed(body, hashlib.sha256(body).digest(), AGENT, b"signature")
    with Closing(KafkaConnection(kafka.plaintext, topic=topic)) as transport:
        with pytest.raises(Retry, match=f"max.message.bytes of topic {topic}"):
            transport.send([too_large])
        assert transport.send([batch(0)]) == 1


def test_a_missing_topic_is_said_and_waits_until_somebody_makes_it(kafka: Kafka) -> None:
    with (
        Closing(KafkaConnection(kafka.plaintext, topic="nowhere", connect_timeout_s=1.0)) as transport,
        pytest.raises(Retry, match=r"topic nowhere does not exist.*flopledger collector topics --create"),
    ):
        transport.send([batch(0)])


def test_nobody_at_the_address_is_worth_a_retry() -> None:
    with (
        Closing(KafkaConnection("127.0.0.1:9", connect_timeout_s=0.5)) as transport,
        pytest.raises(Retry, match=r"127\.0\.0\.1:9 cannot be reached"),
    ):
        transport.send([batch(0)])


def test_ships_under_tls(tls: KafkaConnection) -> None:
    with Closing(tls) as transport:
        assert transport.send([batch(0)]) == 1


def test_ships_under_mutual_tls(kafka_broker: KafkaBroker, tls: KafkaConnection) -> None:
    ours = kafka_broker.client
    with Closing(replace(tls, bootstrap=kafka_broker.mutual, cert_file=ours.cert, key_file=ours.key)) as transport:
        assert transport.send([batch(0)]) == 1


def test_ships_with_scram(scram: KafkaConnection) -> None:
    with Closing(scram) as transport:
        assert transport.send([batch(0)]) == 1


def test_ships_with_a_bearer_token_and_reads_it_anew_when_it_was_refused(
    kafka_broker: KafkaBroker, tls: KafkaConnection, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(unsigned_token(AGENT, expires_in_s=-60))
    bearer = replace(
        tls,
        bootstrap=kafka_broker.sasl,
        security_protocol="SASL_SSL",
        sasl_mechanism="OAUTHBEARER",
        token_file=token,
    )
    with Closing(bearer) as transport:
        with pytest.raises(Fatal, match=f"refuses our credentials.*{token}"):
            send_until_told(transport)
        token.write_text(unsigned_token(AGENT, expires_in_s=600))
        assert transport.send([batch(0)]) == 1


def send_until_told(transport: KafkaTransport, tries: int = 5) -> None:
    """A broker that refuses hangs up so quickly that the client may see only that."""
    for _ in range(tries):
        try:
            transport.send([batch(0)])
        except Retry:
            continue


def test_wrong_credentials_are_fatal_and_name_the_user(scram: KafkaConnection, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("guess")
    with (
        Closing(replace(scram, password_file=wrong)) as transport,
        pytest.raises(Fatal, match=f"refuses our credentials.*SCRAM-SHA-512.*{USER}"),
    ):
        send_until_told(transport)


def test_a_brokers_expired_certificate_is_said_and_waits_until_somebody_renews_it(
    kafka_broker: KafkaBroker, tls: KafkaConnection
) -> None:
    with (
        Closing(replace(tls, bootstrap=kafka_broker.expired, connect_timeout_s=1.0)) as transport,
        pytest.raises(Retry, match=f"certificate of {kafka_broker.expired} has expired"),
    ):
        transport.send([batch(0)])


def test_our_own_expired_certificate_is_fatal_before_anything_is_sent(
    kafka_broker: KafkaBroker, tls: KafkaConnection
) -> None:
    old = kafka_broker.expired_client
    with (
        Closing(replace(tls, bootstrap=kafka_broker.mutual, cert_file=old.cert, key_file=old.key)) as transport,
        pytest.raises(Fatal, match=f"our certificate {old.cert} expired on .*: renew it"),
    ):
        transport.send([batch(0)])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"listener": "mutual"}, "set cert_file and key_file"),
        ({"ca_file": None}, "not signed by an authority in the system's store"),
        ({"listener": "tls", "security_protocol": "PLAINTEXT", "ca_file": None}, "TLS port"),
    ],
    ids=["no certificate", "unknown authority", "no TLS"],
)
def test_what_we_have_set_wrong_is_fatal(
    kafka_broker: KafkaBroker, tls: KafkaConnection, change: dict[str, Any], sentence: str
) -> None:
    listener = getattr(kafka_broker, change.pop("listener", "tls"))
    with (
        Closing(replace(tls, bootstrap=listener, connect_timeout_s=1.0, **change)) as transport,
        pytest.raises(Fatal, match=sentence),
    ):
        send_until_told(transport)


def test_without_crc32c_it_does_not_start_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "crc32c" else found(name))
    with pytest.raises(Fatal, match=r"needs crc32c: pip install 'kafka-python\[crc32c,zstd\]'"):
        KafkaTransport(KafkaConnection("127.0.0.1:9092"))


class ListOutbox:
    """An outbox as far as a shipper sees it."""

    def __init__(self, batches: Sequence[Sealed]) -> None:
        self.stored = dict(enumerate(batches))

    def pending(self, after_seq: int, limit: int) -> list[tuple[int, Sealed]]:
        return [(seq, sealed) for seq, sealed in self.stored.items() if seq > after_seq][:limit]

    def forget(self, through_seq: int) -> None:
        self.stored = {seq: sealed for seq, sealed in self.stored.items() if seq > through_seq}


@pytest.fixture
def restored(kafka_broker: KafkaBroker) -> Iterator[KafkaBroker]:
    yield kafka_broker
    kafka_broker.resume()
    kafka_broker.start()


def test_a_broker_killed_in_the_middle_loses_nothing_and_mixes_up_nothing(restored: KafkaBroker) -> None:
    topic = make_topic(restored.plaintext)
    outbox = ListOutbox([batch(number, size=20_000) for number in range(1500)])
    shipped = threading.Event()

    def kill_and_bring_back() -> None:
        shipped.wait()
        restored.kill()
        restored.start()

    killer = threading.Thread(target=kill_and_bring_back)
    killer.start()
    # Deliveries give up sooner than the broker comes back, so that it is the shipper that has to send again.
    with Closing(KafkaConnection(restored.plaintext, topic=topic, connect_timeout_s=1.0), 2.0) as transport:
        shipper = Shipper(
            outbox,
            transport,
            monotonic=time.monotonic,
            wait=lambda seconds: time.sleep(min(seconds, 0.2)),
            rng=random.Random(1),
        )
        failed = 0
        while outbox.stored:
            failed += shipper.step() == 0
            if len(outbox.stored) < 1200:
                shipped.set()
    killer.join()
    arrived = numbers(read_all(restored.plaintext, topic))
    assert list(dict.fromkeys(arrived)) == list(range(1500))
    assert failed > 0


def test_a_broker_that_stands_still_is_given_up_and_what_it_took_after_all_comes_twice_at_most(
    restored: KafkaBroker,
) -> None:
    topic = make_topic(restored.plaintext)
    with Closing(KafkaConnection(restored.plaintext, topic=topic, connect_timeout_s=1.0), 1.0) as transport:
        assert transport.send([batch(0)]) == 1
        restored.suspend()
        with pytest.raises(Retry):
            transport.send([batch(1), batch(2)])
        restored.resume()
        restored.wait_until_ready()
        assert transport.send([batch(1), batch(2), batch(3)]) == 3
    assert list(dict.fromkeys(numbers(read_all(restored.plaintext, topic)))) == [0, 1, 2, 3]


def test_close_does_not_wait_for_what_is_not_confirmed(restored: KafkaBroker) -> None:
    topic = make_topic(restored.plaintext)
    transport = KafkaTransport(KafkaConnection(restored.plaintext, topic=topic), delivery_timeout_s=60.0)
    assert transport.send([batch(0)]) == 1
    restored.suspend()
    outcome: list[object] = []

    def send() -> None:
        try:
            outcome.append(transport.send([batch(1)]))
        except Retry as error:
            outcome.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    wait_until(lambda: transport._producer._accumulator.has_incomplete)
    began = time.monotonic()
    transport.close()
    sender.join(10)
    assert time.monotonic() - began < 6
    assert isinstance(outcome[0], Retry)
