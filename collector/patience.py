"""How to wait: for a ledger that is slow without losing our place in the group, and for one that is away."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from typing import TYPE_CHECKING, TypeVar

from collector.errors import Retry
from collector.health import LONGEST_INSERT_S

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from collector.health import Health
    from collector.sources.interface import Source

SLOW_S = 10.0
"""After so long a call to the ledger counts as slow: the source is paused, and polled so often."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0

Answer = TypeVar("Answer")


class Patience:
    """Runs calls to the ledger beside the main loop, one at a time.

    A group gives away the partitions of a member that does not poll within `max.poll.interval.ms`. So while a call
    takes long, the source is paused and goes on being polled: it hands out nothing, and keeps what it has.
    """

    def __init__(self, source: Source, health: Health, slow_s: float = SLOW_S) -> None:
        self._source = source
        self._health = health
        self._slow_s = slow_s
        self._worker = ThreadPoolExecutor(1, "ledger")

    def call(self, work: Callable[[], Answer]) -> Answer:
        """What `work` returns or raises, however long it takes."""
        running = self._worker.submit(work)
        began_s = time.monotonic()
        while not wait_for([running], self._slow_s).done:
            self.keep_place()
            if time.monotonic() - began_s < LONGEST_INSERT_S:
                self._health.beat()
        return running.result()

    def keep_place(self) -> None:
        """Stay in the group without taking anything more."""
        self._source.pause()
        try:
            taken = self._source.poll(1, 0)
        except Retry:
            # The brokers are away too: the next round will say so.
            return
        assert not taken, "a paused source handed out messages"

    def close(self) -> None:
        """Let go of the thread."""
        self._worker.shutdown()


class BackOff:
    """Waits that double from half a second to half a minute, half of each at random: many must not come at once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._failures = 0

    def next_s(self) -> float:
        """How long to wait now."""
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return longest * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """All is well again."""
        self._failures = 0
