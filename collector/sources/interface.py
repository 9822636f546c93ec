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

    def close(self) -> None:
        """Let go; what was not committed comes again."""
        ...
