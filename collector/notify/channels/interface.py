"""What every channel can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.notify.message import Message


class Channel(Protocol):
    """Used from one thread at a time. What it raises and returns holds no secret."""

    @property
    def name(self) -> str:
        """As the file of channels calls it."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its configuration, hex, without what is secret."""
        ...

    @property
    def repeat_every_s(self) -> float | None:
        """How often it wants to hear what still holds; None where saying it once is enough."""
        ...

    def wants(self, message: Message) -> bool:
        """Whether such a message is meant for it."""
        ...

    def send(self, message: Message) -> str:
        """Deliver; returns what it answered. Raises `Unreached` or `Refused`, within a time that has a bound."""
        ...

    def repeat(self, latest: Sequence[Message]) -> None:
        """Say again what holds: the latest accepted message of each alert. Raises as `send` does."""
        ...
