"""To Kafka: in order, each batch confirmed by all in-sync replicas before `send` counts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent.errors import Fatal, Retry
from wire.kafka import MAX_MESSAGE_BYTES, KafkaSettingsError, missing_packages
from wire.kafka_client import ClientWatch
from wire.kafka_faults import Fault, Whose, fault_of
from wire.seal import MAX_BODY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from agent.errors import AgentError
    from wire.kafka import KafkaConnection
    from wire.seal import Sealed

CHUNK_BYTES = 512 * 1024
RECORD_BATCH_BYTES = 2 * CHUNK_BYTES
"""Room for a chunk with its headers, and still below what brokers accept by default."""
HEADERS_BYTES = 512
CLOSE_TIMEOUT_S = 2.0


class KafkaTransport:
    """A `Transport` to the topic of `connection`. Raises `Fatal` when a package is missing; files are read by `send`,
    since an agent that starts with a certificate that ran out must count all the same.

    Batches go out in chunks, each one record batch, which a broker takes whole or not at all, and no chunk leaves
    before the one before it is confirmed: so whatever is cut off and sent again, no batch overtakes an earlier one.
    After a failure the producer is thrown away, and with it whatever it might still have tried.
    """

    def __init__(self, connection: KafkaConnection, *, delivery_timeout_s: float = 30.0) -> None:
        self._connection = connection
        self._delivery_timeout_s = delivery_timeout_s
        self._watch = ClientWatch(connection)
        self._producer: Any = None
        missing = missing_packages()
        if missing is not None:
            raise Fatal(missing)

    def send(self, batches: Sequence[Sealed]) -> int:
        """Deliver in order; returns how many, counted from the first, are confirmed."""
        confirmed = 0
        for chunk in _chunks(batches):
            try:
                self._deliver(chunk)
            except (Fatal, Retry):
                self.close()
                if confirmed == 0:
                    raise
                # The next call meets the same error with nothing to lose.
                break
            confirmed += len(chunk)
        return confirmed

    def close(self) -> None:
        """Let go of the connection, without waiting for what was not confirmed."""
        producer, self._producer = self._producer, None
        if producer is not None:
            _abandon(producer)
        self._watch.close()

    def _deliver(self, chunk: Sequence[Sealed]) -> None:
        from kafka.errors import KafkaError  # noqa: PLC0415

        topic = self._connection.topic
        if len(chunk[0].body) > MAX_BODY_BYTES:
            raise Fatal(f"a batch of {len(chunk[0].body)} bytes cannot travel: {MAX_BODY_BYTES} is the most")
        try:
            producer = self._producer = self._producer or self._connect()
            futures = [
                producer.send(topic, batch.body, key=batch.key_id.encode(), headers=batch.headers()) for batch in chunk
            ]
            # Deliveries time out by themselves, but not while the producer waits for its id.
            producer.flush(timeout=self._delivery_timeout_s * 1.5)
            for future in futures:
                future.get(timeout=0)
        except (KafkaError, KafkaSettingsError) as error:
            raise self._agent_error(error) from error

    def _connect(self) -> Any:
        from kafka import KafkaProducer  # noqa: PLC0415

        timeout_ms = round(self._delivery_timeout_s * 1000)
        return KafkaProducer(
            **self._connection.client_kwargs(),
            kafka_client=self._watch,
            allow_auto_create_topics=False,
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            # Only `flush` sends: otherwise the first message of a chunk would leave alone.
            linger_ms=timeout_ms // 4,
            batch_size=RECORD_BATCH_BYTES,
            max_request_size=MAX_MESSAGE_BYTES,
            request_timeout_ms=timeout_ms // 2,
            delivery_timeout_ms=timeout_ms,
            max_block_ms=round(self._connection.connect_timeout_s * 1000),
            reconnect_backoff_max_ms=1000,
            metrics_enabled=False,
        )

    def _agent_error(self, error: Exception) -> AgentError:
        fault = self._watch.fault() or fault_of(error, self._connection)
        if fault.whose is Whose.NOBODY:
            fault = self._watch.topic_fault() or fault
        return _error(fault)


def _error(fault: Fault) -> AgentError:
    # What others must put right is no reason to stop counting: the outbox grows meanwhile.
    return Fatal(fault.sentence) if fault.whose is Whose.OURS else Retry(fault.sentence)


def _chunks(batches: Sequence[Sealed]) -> Iterator[list[Sealed]]:
    chunk: list[Sealed] = []
    size = 0
    for batch in batches:
        weight = len(batch.body) + HEADERS_BYTES
        if chunk and size + weight > CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(batch)
        size += weight
    if chunk:
        yield chunk


def _abandon(producer: Any) -> None:
    # Its own `close` would first wait for what is unconfirmed and, when that takes too long, close nothing at all.
    producer._sender.force_close()
    producer.close(timeout=CLOSE_TIMEOUT_S)
