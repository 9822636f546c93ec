"""From Kafka: a member of a consumer group that commits only what is recorded, and only where it still may."""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from collector.errors import Fatal, Retry
from collector.sources.interface import UNKNOWN_LAG, Message
from collector.sources.partitions import Partitions
from wire.kafka import KafkaSettingsError, missing_packages
from wire.kafka_client import ClientWatch, unpack_at_once
from wire.kafka_faults import Fault, Whose, fault_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from collector.errors import CollectorError
    from collector.sources.interface import Lag
    from wire.kafka import KafkaConnection

log = logging.getLogger(__name__)

MAX_POLL_INTERVAL_S = 300.0
SESSION_TIMEOUT_S = 45.0
HEARTBEAT_S = 3.0
"""How often we hear from the group: it takes as long to notice that somebody joins."""
FETCH_BYTES = 32 * 1024 * 1024
PARTITION_FETCH_BYTES = 4 * 1024 * 1024
JOIN_PATIENCE_S = 15.0
"""How long a poll may take that finds the group rebalancing: the others must say that they are there."""
CLOSE_TIMEOUT_S = 2.0
"""A goodbye to the group may be stuck behind a rebalance that waits for others."""
DAMAGE_STRIKES = 3
"""How often a record is fetched again whose checksum does not fit: the wire may be at fault, or the disk."""


class KafkaSource:
    """A `Source` on the topic of `connection`. Used from one thread, save `lag` and `owned`. Raises `Fatal` at once
    where it could never work; connects when first polled.

    With `instance` (a name that is this collector's own and stays) a restart within `session_timeout_s` gets the same
    partitions back without a rebalance. `poll` must be called again within `max_poll_interval_s`, or the group gives
    our partitions away: recording has to take less, and while it must wait, `pause` and go on polling.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        group: str = "flopledger",
        instance: str | None = None,
        *,
        max_poll_interval_s: float = MAX_POLL_INTERVAL_S,
        session_timeout_s: float = SESSION_TIMEOUT_S,
        heartbeat_s: float = HEARTBEAT_S,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._connection = connection
        self._group = group
        self._instance = instance
        self._max_poll_interval_s = max_poll_interval_s
        self._session_timeout_s = session_timeout_s
        self._heartbeat_s = heartbeat_s
        self._now_ns = now_ns
        self._partitions = Partitions()
        self._watch = ClientWatch(connection)
        self._consumer: Any = None
        self._member = False
        self._paused = False
        self._damage: Counter[str] = Counter()
        self._check_settings()

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        """Up to `max_messages` not handed out yet, waiting at most `timeout_s` for the first; none while paused.

        Takes longer while the group rebalances.
        """
        with self._errors():
            consumer = self._joined()
            self._commit_due()
            found = self._fetch(consumer, max_messages, timeout_s)
            messages = [self._message(record) for records in found.values() for record in records]
            self._note(consumer, found)
        if not messages:
            self._complain()
        return messages

    def commit(self, messages: Sequence[Message]) -> None:
        """These are recorded for good. What is no longer ours is left to whoever has it now.

        While the group rebalances nothing can be committed: then the next `poll` does it, if the partition stays ours.
        """
        self._partitions.record((message.partition, message.offset) for message in messages)
        with self._errors():
            self._commit_due()

    def pause(self) -> None:
        """Hand out nothing for now, and stay in the group: `poll` must still be called."""
        self._paused = True
        if self._consumer is not None:
            self._consumer.pause(*self._consumer.assignment())

    def resume(self) -> None:
        """End `pause`; without one it does nothing."""
        was_paused, self._paused = self._paused, False
        if was_paused and self._consumer is not None:
            self._consumer.resume(*self._consumer.paused())

    def owned(self) -> frozenset[int]:
        """The partitions that are ours now."""
        return self._partitions.owned()

    def lag(self) -> Lag:
        """How far behind the log we were when last polled; nothing is known while we are not in the group."""
        return self._partitions.lag(self._now_ms()) if self._member else UNKNOWN_LAG

    def close(self) -> None:
        """Leave the group and let go; what was not committed comes again, here or elsewhere."""
        from kafka.errors import KafkaError  # noqa: PLC0415

        consumer, self._consumer = self._consumer, None
        self._member = False
        if consumer is not None:
            try:
                consumer.close(autocommit=False, timeout_ms=round(CLOSE_TIMEOUT_S * 1000))
            except KafkaError as error:
                log.warning("the consumer group was not left in good order: %s", error)
        self._partitions.take(self._partitions.owned())
        self._watch.close()

    def _check_settings(self) -> None:
        missing = missing_packages()
        if missing is not None:
            raise Fatal(missing)
        try:
            self._connection.client_kwargs()
        except KafkaSettingsError as error:
            raise Fatal(str(error)) from error

    def _joined(self) -> Any:
        if self._consumer is None:
            self._consumer = self._connect()
        return self._consumer

    def _connect(self) -> Any:
        from kafka import KafkaConsumer  # noqa: PLC0415
        from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor  # noqa: PLC0415

        unpack_at_once()
        consumer = KafkaConsumer(
            **self._connection.client_kwargs(),
            kafka_client=self._watch,
            allow_auto_create_topics=False,
            group_id=self._group,
            group_instance_id=self._instance,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            partition_assignment_strategy=[CooperativeStickyAssignor()],
            max_poll_interval_ms=round(self._max_poll_interval_s * 1000),
            session_timeout_ms=round(self._session_timeout_s * 1000),
            heartbeat_interval_ms=round(self._heartbeat_s * 1000),
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
            reconnect_backoff_max_ms=1000,
            metrics_enabled=False,
        )
        consumer.subscribe([self._connection.topic], listener=_listener(self._given, self._partitions.take))
        if not consumer.partitions_for_topic(self._connection.topic):
            fault = self._watch.topic_fault()
            if fault is not None:
                consumer.close(autocommit=False)
                raise _error(fault)
        return consumer

    def _given(self, partitions: list[int]) -> None:
        self._partitions.give(partitions)
        if self._paused:
            self.pause()

    def _commit_due(self) -> None:
        from kafka import OffsetAndMetadata, TopicPartition  # noqa: PLC0415
        from kafka.errors import (  # noqa: PLC0415
            CommitFailedError,
            IllegalGenerationError,
            RebalanceInProgressError,
            UnknownMemberIdError,
        )

        due = self._partitions.due()
        if self._consumer is None or not due:
            return
        try:
            self._consumer.commit(
                {TopicPartition(self._connection.topic, p): OffsetAndMetadata(o, "", -1) for p, o in due.items()},
                timeout_ms=self._timeout_ms(),
            )
        except (RebalanceInProgressError, IllegalGenerationError, UnknownMemberIdError, CommitFailedError) as error:
            # The next poll joins the group again and learns what is still ours.
            log.info("offsets wait for the group to settle: %s", error)
            return
        self._partitions.commit(due)

    def _fetch(self, consumer: Any, max_messages: int, timeout_s: float) -> dict[Any, list[Any]]:
        """Poll, and not give up half-way into the group.

        What the group answers while nobody polls is thrown away by kafka-python and asked for anew, which makes every
        other member join again: with short polls, for ever.
        """
        patience_ends = time.monotonic() + JOIN_PATIENCE_S
        while True:
            found: dict[Any, list[Any]] = consumer.poll(timeout_ms=round(timeout_s * 1000), max_records=max_messages)
            self._member = consumer.group_metadata().state == "<stable>"
            if found or self._member or self._watch.fault() is not None or time.monotonic() > patience_ends:
                return found
            timeout_s = 1.0

    def _message(self, record: Any) -> Message:
        headers = tuple((name, value) for name, value in record.headers if value is not None)
        return Message(record.value or b"", headers, record.topic, record.partition, record.offset)

    def _note(self, consumer: Any, found: dict[Any, list[Any]]) -> None:
        for where, records in found.items():
            if self._partitions.untouched(where.partition):
                self._partitions.expect(where.partition, consumer.committed(where, timeout_ms=self._timeout_ms()))
            jumped = self._partitions.hand_out(where.partition, [(r.offset, r.timestamp) for r in records])
            if jumped:
                log.error(
                    "%d messages of partition %d of %s are gone: retention took them before they were read",
                    jumped,
                    where.partition,
                    where.topic,
                )
        unread: dict[int, int | None] = {}
        for where in consumer.assignment():
            end, position = consumer.highwater(where), consumer.position(where, timeout_ms=0)
            unread[where.partition] = None if end is None or position is None else max(0, end - position)
        self._partitions.observe(unread, self._now_ms())

    def _complain(self) -> None:
        """An empty poll looks the same whether the log is at its end or the brokers are gone."""
        fault = self._watch.fault()
        if fault is None and not self._partitions.owned():
            fault = self._watch.topic_fault()
        if fault is not None:
            raise _error(fault)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from kafka.errors import CorruptRecordError, KafkaError  # noqa: PLC0415

        try:
            yield
        except CorruptRecordError as error:
            raise self._damaged(str(error)) from error
        except (KafkaError, KafkaSettingsError) as error:
            fault = self._watch.fault() or fault_of(error, self._connection)
            if self._consumer is None:
                self._watch.close()
            raise _error(fault) from error

    def _damaged(self, what: str) -> CollectorError:
        self._damage[what] += 1
        # kafka-python would go round in circles on what it had begun to read: begin again at the last commit.
        self.close()
        if self._damage[what] < DAMAGE_STRIKES:
            return Retry(f"{what}: fetching it again")
        return Fatal(
            f"{what}, {DAMAGE_STRIKES} times: the log of topic {self._connection.topic} is damaged there. Let the "
            "partition's leader move to a sound replica; without one, step over the offset with "
            f"kafka-consumer-groups --group {self._group} --reset-offsets, which loses what it held"
        )

    def _timeout_ms(self) -> int:
        return round(self._connection.connect_timeout_s * 1000)

    def _now_ms(self) -> int:
        return self._now_ns() // 1_000_000


def _listener(given: Callable[[list[int]], None], taken: Callable[[list[int]], None]) -> Any:
    """What kafka-python calls, in its own thread, when partitions come and go. It may not call back into Kafka."""
    from kafka import ConsumerRebalanceListener  # noqa: PLC0415

    ConsumerRebalanceListener.register(_Listener)
    return _Listener(given, taken)


class _Listener:
    def __init__(self, given: Callable[[list[int]], None], taken: Callable[[list[int]], None]) -> None:
        self._given = given
        self._taken = taken

    def on_partitions_assigned(self, assigned: set[Any]) -> None:
        self._given([where.partition for where in assigned])

    def on_partitions_revoked(self, revoked: set[Any]) -> None:
        self._taken([where.partition for where in revoked])

    def on_partitions_lost(self, lost: set[Any]) -> None:
        self._taken([where.partition for where in lost])


def _error(fault: Fault) -> CollectorError:
    return Retry(fault.sentence) if fault.whose is Whose.NOBODY else Fatal(fault.sentence)
