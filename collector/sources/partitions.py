"""What is out of each partition that we own: handed out, recorded, committed.

Partitions come and go while messages are being recorded. What was handed out of a partition that is no longer ours is
somebody else's now: it is not committed here, and comes again there.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from collector.sources.interface import Lag

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(slots=True)
class _Partition:
    """Offsets are those after the last message, as in a commit. `waiting` is (offset, time of append in ms)."""

    handed: int | None = None
    recorded: int | None = None
    committed: int | None = None
    waiting: deque[tuple[int, int]] = field(default_factory=deque)
    unread: int | None = None
    known_until_ms: int | None = None
    """No message that still waits was appended before this."""


class Partitions:
    """The partitions that are ours. Thread-safe: the client's own thread gives and takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owned: dict[int, _Partition] = {}

    def owned(self) -> frozenset[int]:
        """Which are ours now."""
        with self._lock:
            return frozenset(self._owned)

    def give(self, partitions: Iterable[int]) -> None:
        """These are ours from now on, from wherever they were committed."""
        with self._lock:
            for partition in partitions:
                self._owned[partition] = _Partition()

    def take(self, partitions: Iterable[int]) -> None:
        """These are not ours any more, nor is anything that was handed out of them."""
        with self._lock:
            for partition in partitions:
                self._owned.pop(partition, None)

    def untouched(self, partition: int) -> bool:
        """Whether nothing was handed out of a partition since it is ours."""
        with self._lock:
            held = self._owned.get(partition)
            return held is not None and held.handed is None

    def expect(self, partition: int, offset: int | None) -> None:
        """The first message of a partition should be this one: all before it were committed. None when none were."""
        with self._lock:
            if partition in self._owned:
                self._owned[partition].handed = offset

    def hand_out(self, partition: int, messages: Iterable[tuple[int, int]]) -> int:
        """These, as (offset, time of append in ms), go out to be recorded; returns how many offsets were jumped."""
        with self._lock:
            held = self._owned.get(partition)
            jumped = 0
            if held is None:
                return jumped
            for offset, appended_ms in messages:
                if held.handed is not None:
                    jumped += max(0, offset - held.handed)
                held.handed = offset + 1
                held.known_until_ms = appended_ms
                held.waiting.append((offset, appended_ms))
            return jumped

    def record(self, messages: Iterable[tuple[int, int]]) -> None:
        """These, as (partition, offset), are recorded for good."""
        with self._lock:
            for partition, offset in messages:
                held = self._owned.get(partition)
                if held is None or held.handed is None or offset >= held.handed:
                    # Handed out before the partition was taken away, maybe given back since.
                    continue
                held.recorded = max(offset + 1, held.recorded or 0)
                while held.waiting and held.waiting[0][0] < held.recorded:
                    held.waiting.popleft()

    def due(self) -> dict[int, int]:
        """Partition → offset that is recorded and not committed."""
        with self._lock:
            return {
                partition: held.recorded
                for partition, held in self._owned.items()
                if held.recorded is not None and held.recorded != held.committed
            }

    def commit(self, offsets: Mapping[int, int]) -> None:
        """These are committed."""
        with self._lock:
            for partition, offset in offsets.items():
                if partition in self._owned:
                    self._owned[partition].committed = offset

    def observe(self, unread: Mapping[int, int | None], now_ms: int) -> None:
        """How many messages of each partition lie in the log and were not handed out; None where nobody knows."""
        with self._lock:
            for partition, count in unread.items():
                held = self._owned.get(partition)
                if held is not None:
                    held.unread = count
                    if count == 0:
                        held.known_until_ms = now_ms

    def lag(self, now_ms: int) -> Lag:
        """Over all partitions of ours; nothing when there are none."""
        with self._lock:
            messages: int | None = 0
            oldest: list[int | None] = []
            for held in self._owned.values():
                messages = (
                    None if messages is None or held.unread is None else messages + held.unread + len(held.waiting)
                )
                if held.waiting:
                    oldest.append(held.waiting[0][1])
                elif held.unread != 0:
                    oldest.append(held.known_until_ms)
            known = [moment for moment in oldest if moment is not None]
            if len(known) < len(oldest):
                return Lag(messages, None)
            return Lag(messages, max(0, now_ms - min(known, default=now_ms)) / 1000)
