"""The quarantine as a topic: every collector of a group sees it, and it outlives their disks."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from collector.errors import Fatal, Retry
from collector.quarantine import Quarantined
from collector.sources.interface import Message
from collector.topics import QUARANTINE_TOPIC
from wire.kafka import MAX_MESSAGE_BYTES, KafkaSettingsError, missing_packages
from wire.kafka_client import ClientWatch
from wire.kafka_faults import Whose, fault_of, missing_topic
from wire.seal import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire.kafka import KafkaConnection

DELIVERY_TIMEOUT_S = 30.0
POLL_S = 1.0
CLOSE_TIMEOUT_S = 2.0

REASON = "flopledger.reason"
TOPIC = "flopledger.topic"
PARTITION = "flopledger.partition"
OFFSET = "flopledger.offset"
REPLAYED = "flopledger.replayed"
"""A record that holds nothing else than where a message was that is recorded by now."""
BYTES = "flopledger.bytes"
"""How long the body was: one that is longer than any batch is kept only up to that length."""
ORIGINAL = "original."
"""Before the name of each header that the message came with, so that none can pass for one of ours."""
MAX_ORIGINAL_HEADERS_BYTES = 32 * 1024
MAX_REASON_BYTES = 4 * 1024


class KafkaQuarantine:
    """A `Quarantine` in the topic `flopledger.quarantine` of the brokers behind `connection`. Used from one thread.

    A collector that dies between `put` and its commit puts the same message again: `entries` shows it once.
    """

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = replace(connection, topic=QUARANTINE_TOPIC)
        self._watch = ClientWatch(self._connection)
        self._producer: Any = None
        missing = missing_packages()
        if missing is not None:
            raise Fatal(missing)

    def put(self, message: Message, reason: str) -> None:
        """Keep it; on return all in-sync replicas have it."""
        self._send(*_record(message, reason))

    def entries(self) -> Iterator[Quarantined]:
        """What the topic holds now, oldest first."""
        seen = set()
        with self._errors():
            replayed = {_where(record) for record in self._records() if _is_mark(record)}
            for record in self._records():
                if _is_mark(record):
                    continue
                entry = _entry(record)
                where = (entry.message.topic, entry.message.partition, entry.message.offset)
                if where not in seen:
                    seen.add(where)
                    yield replace(entry, replayed=where in replayed)

    def mark_replayed(self, entry: Quarantined) -> None:
        """Say so in a record of its own: a topic is never changed."""
        self._send(b"", [(REPLAYED, b"true"), *_coordinates(entry.message)])

    def _send(self, body: bytes, headers: list[tuple[str, bytes]]) -> None:
        try:
            with self._errors():
                producer = self._producer = self._producer or self._connect()
                sent = producer.send(QUARANTINE_TOPIC, body, headers=headers)
                producer.flush(timeout=DELIVERY_TIMEOUT_S * 1.5)
                sent.get(timeout=0)
        except (Retry, Fatal):
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        producer, self._producer = self._producer, None
        if producer is not None:
            # Nothing of worth is under way: `put` waits for each message.
            producer._sender.force_close()
            producer.close(timeout=CLOSE_TIMEOUT_S)
        self._watch.close()

    def _connect(self) -> Any:
        from kafka import KafkaProducer  # noqa: PLC0415

        timeout_ms = round(DELIVERY_TIMEOUT_S * 1000)
        return KafkaProducer(
            **self._connection.client_kwargs(),
            kafka_client=self._watch,
            allow_auto_create_topics=False,
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=timeout_ms // 2,
            delivery_timeout_ms=timeout_ms,
            max_block_ms=round(self._connection.connect_timeout_s * 1000),
            metrics_enabled=False,
        )

    def _records(self) -> Iterator[Any]:
        from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415

        watch = ClientWatch(self._connection)
        timeout_ms = round(self._connection.connect_timeout_s * 1000)
        try:
            consumer = KafkaConsumer(
                **self._connection.client_kwargs(),
                kafka_client=watch,
                allow_auto_create_topics=False,
                group_id=None,
                enable_auto_commit=False,
                metrics_enabled=False,
            )
            numbers = consumer.partitions_for_topic(QUARANTINE_TOPIC)
            if not numbers:
                raise Fatal((watch.topic_fault() or missing_topic(self._connection)).sentence)
            partitions = [TopicPartition(QUARANTINE_TOPIC, number) for number in sorted(numbers)]
            consumer.assign(partitions)
            consumer.seek_to_beginning(*partitions)
            ends = consumer.end_offsets(partitions, timeout_ms=timeout_ms)
            while any(consumer.position(where, timeout_ms=timeout_ms) < ends[where] for where in partitions):
                found = consumer.poll(timeout_ms=round(POLL_S * 1000))
                fault = watch.fault()
                if not found and fault is not None:
                    raise Retry(fault.sentence)
                for records in found.values():
                    yield from records
        finally:
            watch.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from kafka.errors import KafkaError  # noqa: PLC0415

        try:
            yield
        except (KafkaError, KafkaSettingsError) as error:
            fault = self._watch.fault() or fault_of(error, self._connection)
            if fault.whose is Whose.NOBODY:
                fault = self._watch.topic_fault() or fault
            raise (Retry if fault.whose is Whose.NOBODY else Fatal)(fault.sentence) from error


def _record(message: Message, reason: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    """What is written: small enough for the topic whatever the message is, or it would come back for ever."""
    headers = [
        (REASON, reason.encode()[:MAX_REASON_BYTES]),
        *_coordinates(message),
        (BYTES, str(len(message.body)).encode()),
    ]
    room = MAX_ORIGINAL_HEADERS_BYTES
    for name, value in message.headers:
        room -= len(ORIGINAL) + len(name.encode()) + len(value) + 16
        if room < 0:
            break
        headers.append((ORIGINAL + name, value))
    return message.body[:MAX_BODY_BYTES], headers


def _coordinates(message: Message) -> list[tuple[str, bytes]]:
    return [
        (TOPIC, message.topic.encode()),
        (PARTITION, str(message.partition).encode()),
        (OFFSET, str(message.offset).encode()),
    ]


def _is_mark(record: Any) -> bool:
    return any(name == REPLAYED for name, _ in record.headers)


def _where(record: Any) -> tuple[str, int, int] | None:
    ours = dict(record.headers)
    try:
        return ours[TOPIC].decode(), int(ours[PARTITION]), int(ours[OFFSET])
    except (KeyError, TypeError, ValueError):
        return None


def _entry(record: Any) -> Quarantined:
    body = record.value or b""
    ours = dict(record.headers)
    original = tuple(
        (name.removeprefix(ORIGINAL), value) for name, value in record.headers if name.startswith(ORIGINAL)
    )
    try:
        message = Message(body, original, ours[TOPIC].decode(), int(ours[PARTITION]), int(ours[OFFSET]))
        return Quarantined(ours[REASON].decode(errors="replace"), message, int(ours[BYTES]))
    except (KeyError, TypeError, ValueError):
        where = Message(body, tuple(record.headers), record.topic, record.partition, record.offset)
        return Quarantined("not put here by a collector", where, len(body))
