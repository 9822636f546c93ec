"""What every source offers: messages at least once, in order per agent, until they are committed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes with their headers, and where they were found: topic, partition, offset."""

    body: bytes
    headers: tuple[tuple[str, bytes], ...]
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Lag:
    """How far behind the log we are: messages not recorded yet, and for how long the oldest has waited, at most.

    None is not known: nothing was heard of a partition yet, or the source cannot tell.
    """

    messages: int | None
    seconds: float | None


UNKNOWN_LAG = Lag(None, None)


class Source(Protocol):
    """A place that keeps messages until told that they are recorded.

    `poll` may hand out the same message again after a crash, a hand-over or a missing commit. It never hands out a
    message of an agent before an earlier one of that agent. Any method may raise `collector.errors.Retry`.
    """

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        """Up to `max_messages` not handed out yet, waiting at most `timeout_s` for the first."""
        ...

    def commit(self, messages: Sequence[Message]) -> None:
        """These, handed out by `poll` in this order, are recorded for good."""
        ...

    def pause(self) -> None:
        """Hand out nothing for now, and stay in the group: `poll` must still be called."""
        ...

    def resume(self) -> None:
        """End `pause`; without one it does nothing."""
        ...

    def owned(self) -> frozenset[int]:
        """The partitions that are ours now; may be asked from any thread."""
        ...

    def lag(self) -> Lag:
        """How far behind we were when last polled; may be asked from any thread."""
        ...

    def close(self) -> None:
        """Let go; what was not committed comes again."""
        ...
