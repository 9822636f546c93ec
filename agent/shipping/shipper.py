"""From the outbox to a broker: what is confirmed is forgotten, what is not waits and is sent again."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from agent.errors import Fatal, Retry

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from agent.errors import AgentError
    from agent.shipping.interface import Transport
    from wire.seal import Sealed

log = logging.getLogger(__name__)

BATCHES_PER_STEP = 64
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0


class Store(Protocol):
    """What the shipper needs of an outbox."""

    def pending(self, after_seq: int, limit: int) -> Sequence[tuple[int, Sealed]]:
        """Stored batches past `after_seq` (-1: all), oldest first."""
        ...

    def forget(self, through_seq: int) -> None:
        """These are confirmed elsewhere."""
        ...


class Shipper:
    """Ships from one thread. `wait` sleeps, and may return early when the agent stops; `monotonic` is in seconds.

    A broker that is away is asked again after a wait that doubles from `FIRST_WAIT_S` to `LONGEST_WAIT_S`, half of it
    at random: otherwise every node of a cluster would come back in the same instant.
    """

    def __init__(
        self,
        outbox: Store,
        transport: Transport,
        *,
        monotonic: Callable[[], float],
        wait: Callable[[float], object],
        rng: random.Random,
    ) -> None:
        self._outbox = outbox
        self._transport = transport
        self._monotonic = monotonic
        self._wait = wait
        self._rng = rng
        self._failures = 0
        self._failing_since: float | None = None
        self.trouble: str | None = None
        """Why nothing can be shipped now; None while all is well."""

    @property
    def outage_s(self) -> float:
        """For how long nothing could be shipped; 0 while all is well."""
        return 0.0 if self._failing_since is None else self._monotonic() - self._failing_since

    def step(self) -> int:
        """Ship the oldest stored batches; returns how many are confirmed and forgotten.

        `Fatal` is noted, and passes through at once: for how long to leave it is for the caller to know.
        """
        try:
            batches = self._outbox.pending(-1, BATCHES_PER_STEP)
            if not batches:
                return 0
            confirmed = self._transport.send([sealed for _, sealed in batches])
            if confirmed == 0:
                raise Retry("the broker takes no more now")
            self._outbox.forget(batches[confirmed - 1][0])
        except Retry as error:
            self._note(error)
            self._back_off()
            return 0
        except Fatal as error:
            self._note(error)
            raise
        self._recovered()
        return confirmed

    def _note(self, error: AgentError) -> None:
        if self._failing_since is None:
            self._failing_since = self._monotonic()
        trouble = str(error)
        if trouble != self.trouble:
            level = logging.ERROR if isinstance(error, Fatal) else logging.WARNING
            log.log(level, "counting goes on, batches wait in the outbox: %s", trouble)
        self.trouble = trouble

    def _back_off(self) -> None:
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 32))
        self._failures += 1
        self._wait(longest * self._rng.uniform(0.5, 1.0))

    def _recovered(self) -> None:
        if self._failing_since is not None:
            log.warning("batches are shipped again after %.0f s", self.outage_s)
        self._failures = 0
        self._failing_since = None
        self.trouble = None
