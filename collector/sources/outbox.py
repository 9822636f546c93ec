"""The agents' outboxes themselves as a source: one machine, no broker in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from collector.sources.interface import UNKNOWN_LAG, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.sources.interface import Lag
    from wire.seal import Sealed

TOPIC = "outbox"


class Outbox(Protocol):
    """What an agent's outbox offers to whoever empties it."""

    def pending(self, after_seq: int, limit: int) -> list[tuple[int, Sealed]]:
        """Stored batches past `after_seq`, oldest first."""
        ...

    def forget(self, through_seq: int) -> None:
        """All up to and including `through_seq` are recorded."""
        ...


class OutboxSource:
    """Reads outboxes in turn. The partition of a message is the outbox's place in the list, its offset the seq."""

    def __init__(self, outboxes: Sequence[Outbox], wait: Callable[[float], object]) -> None:
        """`wait` pauses for so many seconds when all outboxes are empty."""
        self._outboxes = outboxes
        self._wait = wait
        self._handed_out = [-1] * len(outboxes)
        self._turn = 0
        self._paused = False

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        """What waits now; when nothing does, what waits after `timeout_s`."""
        found = self._collect(max_messages)
        if not found and timeout_s > 0:
            self._wait(timeout_s)
            found = self._collect(max_messages)
        return found

    def commit(self, messages: Sequence[Message]) -> None:
        """Let the outboxes forget these."""
        newest: dict[int, int] = {}
        for message in messages:
            newest[message.partition] = max(newest.get(message.partition, -1), message.offset)
        for partition, offset in newest.items():
            self._outboxes[partition].forget(offset)

    def pause(self) -> None:
        """Hand out nothing for now."""
        self._paused = True

    def resume(self) -> None:
        """End `pause`."""
        self._paused = False

    def owned(self) -> frozenset[int]:
        """All outboxes: nobody shares them."""
        return frozenset(range(len(self._outboxes)))

    def lag(self) -> Lag:
        """Not known: the agent says how many batches wait in its outbox."""
        return UNKNOWN_LAG

    def close(self) -> None:
        """What was not committed stays in its outbox."""
        self._handed_out = [-1] * len(self._outboxes)

    def _collect(self, max_messages: int) -> list[Message]:
        found: list[Message] = []
        if self._paused:
            return found
        for step in range(len(self._outboxes)):
            place = (self._turn + step) % len(self._outboxes)
            room = max_messages - len(found)
            if room <= 0:
                self._turn = place
                break
            for seq, sealed in self._outboxes[place].pending(self._handed_out[place], room):
                found.append(Message(sealed.body, tuple(sealed.headers()), TOPIC, place, seq))
                self._handed_out[place] = seq
        return found
