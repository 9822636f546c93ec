"""Whether the agent lives, and whether it counts anything: what an orchestrator asks of a node's agent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STUCK_AFTER_S = 120.0
"""A sample of all devices takes a second; a driver that hangs is given up after a few."""


class Health:
    """Written by the sampling loop, read from any thread. `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._beat_s = monotonic()
        self._trouble: str | None = "nothing was sampled yet"

    def sampled(self, trouble: str | None) -> None:
        """All devices were asked once; `trouble` says why nothing can be counted."""
        self._beat_s = self._monotonic()
        self._trouble = trouble

    def stuck(self) -> str | None:
        """Why this process should be restarted; None while it lives."""
        silent_s = self._monotonic() - self._beat_s
        return None if silent_s < STUCK_AFTER_S else f"nothing was sampled for {silent_s:.0f} s"

    def trouble(self) -> str | None:
        """Why nothing is counted now; None when something is. A broker that is away is none: counting goes on."""
        return self._trouble
