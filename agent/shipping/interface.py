"""What every transport offers: delivery in order, confirmed before the outbox forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wire.seal import Sealed


class Transport(Protocol):
    """A way to a broker."""

    def send(self, batches: Sequence[Sealed]) -> int:
        """Deliver in order; returns how many, counted from the first, the broker acknowledged durably.

        Raises `agent.errors.Retry` when the broker cannot be reached now, `agent.errors.Fatal` when it refuses us.
        """
        ...

    def close(self) -> None:
        """Let go of the connection, without waiting for what was not acknowledged."""
        ...
