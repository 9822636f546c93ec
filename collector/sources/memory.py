"""A broker in memory, for a process that holds agents and collector both, and for tests: nothing outlives it.

The broker has the shape of a transport, `send` and `close`; what it holds is read through `source`.
"""

from __future__ import annotations

import threading
import zlib
from typing import TYPE_CHECKING

from collector.sources.interface import Lag, Message

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wire.seal import Sealed

TOPIC = "memory"
PARTITIONS = 4
MAX_MESSAGES = 100_000


class _Partition:
    def __init__(self, number: int) -> None:
        self.number = number
        self.messages: list[Message] = []
        """From `committed` on: what is committed is forgotten."""
        self.committed = 0
        self.position = 0
        self.owner: MemorySource | None = None

    def append(self, sealed: Sealed) -> None:
        offset = self.committed + len(self.messages)
        self.messages.append(Message(sealed.body, tuple(sealed.headers()), TOPIC, self.number, offset))

    def take(self, limit: int) -> list[Message]:
        start = self.position - self.committed
        taken = self.messages[start : start + limit]
        self.position += len(taken)
        return taken

    def commit(self, offset: int) -> None:
        """All before `offset` is recorded; what was never handed out stays."""
        done = min(offset, self.position) - self.committed
        if done > 0:
            del self.messages[:done]
            self.committed += done


class MemoryBroker:
    """Partitions by agent, one group of sources that share them. Thread-safe. Holds at most `max_messages`.

    When it is full, `send` takes fewer, down to none: the sender keeps the rest and comes again.
    """

    def __init__(self, partitions: int = PARTITIONS, max_messages: int = MAX_MESSAGES) -> None:
        self._partitions = [_Partition(number) for number in range(partitions)]
        self._max_messages = max_messages
        self._sources: list[MemorySource] = []
        self._changed = threading.Condition()

    def send(self, batches: Sequence[Sealed]) -> int:
        """Take as many as fit, in order; returns how many."""
        with self._changed:
            room = max(0, self._max_messages - sum(len(partition.messages) for partition in self._partitions))
            for sealed in batches[:room]:
                self._partitions[zlib.crc32(sealed.key_id.encode()) % len(self._partitions)].append(sealed)
            self._changed.notify_all()
            return min(room, len(batches))

    def close(self) -> None:
        """What a sender calls when it goes; the broker stays."""

    def source(self) -> MemorySource:
        """Another member of the group: partitions are shared out anew among all that are open."""
        with self._changed:
            joined = MemorySource(self)
            self._sources.append(joined)
            self._share_out()
            return joined

    def _poll(self, source: MemorySource, max_messages: int, timeout_s: float) -> list[Message]:
        with self._changed:
            self._changed.wait_for(lambda: not source.paused and self._waiting(source), timeout_s)
            found: list[Message] = []
            if source.paused:
                return found
            for partition in self._partitions:
                if partition.owner is source:
                    found += partition.take(max_messages - len(found))
            return found

    def _commit(self, source: MemorySource, messages: Sequence[Message]) -> None:
        with self._changed:
            for message in messages:
                partition = self._partitions[message.partition]
                if partition.owner is source:
                    partition.commit(message.offset + 1)

    def _leave(self, source: MemorySource) -> None:
        with self._changed:
            if source in self._sources:
                self._sources.remove(source)
                self._share_out()

    def _owned(self, source: MemorySource) -> frozenset[int]:
        with self._changed:
            return frozenset(partition.number for partition in self._partitions if partition.owner is source)

    def _unrecorded(self, source: MemorySource) -> int:
        with self._changed:
            return sum(len(partition.messages) for partition in self._partitions if partition.owner is source)

    def _waiting(self, source: MemorySource) -> bool:
        return any(p.owner is source and p.position < p.committed + len(p.messages) for p in self._partitions)

    def _share_out(self) -> None:
        for index, partition in enumerate(self._partitions):
            owner = self._sources[index % len(self._sources)] if self._sources else None
            if owner is not partition.owner:
                # What the owner before did not commit comes again.
                partition.owner, partition.position = owner, partition.committed
        self._changed.notify_all()


class MemorySource:
    """A `Source` on a `MemoryBroker`; `MemoryBroker.source` makes it."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.paused = False

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        """Up to `max_messages` not handed out yet, waiting at most `timeout_s` for the first."""
        return self._broker._poll(self, max_messages, timeout_s)

    def commit(self, messages: Sequence[Message]) -> None:
        """These are recorded for good, and forgotten; what is not ours any more is left alone."""
        self._broker._commit(self, messages)

    def pause(self) -> None:
        """Hand out nothing for now."""
        self.paused = True

    def resume(self) -> None:
        """End `pause`."""
        self.paused = False

    def owned(self) -> frozenset[int]:
        """The partitions that are ours now."""
        return self._broker._owned(self)

    def lag(self) -> Lag:
        """Messages that are not committed; since when is not kept."""
        return Lag(self._broker._unrecorded(self), None)

    def close(self) -> None:
        """Leave the group; what was not committed comes again, to whoever is there or comes."""
        self._broker._leave(self)
