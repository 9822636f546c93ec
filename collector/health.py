"""Whether the collector lives, and whether it can do its work now: two questions with different answers.

An orchestrator restarts what does not live, and sends nobody to what is not ready. A broker or a ledger that is away
makes a collector not ready; it lives on and tries again.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STUCK_AFTER_S = 120.0
"""The main loop comes by at least every half minute, also while a ledger is slow."""
LONGEST_INSERT_S = 900.0
"""One call to the ledger that takes longer is not slow: it hangs."""


class Health:
    """Written by the main loop, read from any thread. `monotonic` is in seconds."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._beat_s = monotonic()
        self._settled_s = monotonic()
        self._assessed_s: float | None = None
        self._trouble: str | None = "not connected yet"

    def beat(self) -> None:
        """The main loop has come by."""
        self._beat_s = self._monotonic()

    def well(self) -> None:
        """A round went through: the source was asked, and what it gave was recorded."""
        self._trouble = None

    def unwell(self, trouble: str) -> None:
        """Something is away."""
        self._trouble = trouble

    def settled(self) -> None:
        """All that was taken is committed."""
        self._settled_s = self._monotonic()

    def assessed(self, *, ours: bool) -> None:
        """Every run was held against every line; or that is another collector's work."""
        self._assessed_s = self._monotonic() if ours else None

    def beat_age_s(self) -> float:
        """Since the main loop came by."""
        return self._monotonic() - self._beat_s

    def stuck(self) -> str | None:
        """Why this process should be restarted; None while it lives."""
        silent_s = self.beat_age_s()
        return None if silent_s < STUCK_AFTER_S else f"the main loop has not come by for {silent_s:.0f} s"

    def trouble(self) -> str | None:
        """Why nothing can be recorded now; None when it can."""
        return self._trouble

    def commit_age_s(self) -> float:
        """Since all that was taken was committed."""
        return self._monotonic() - self._settled_s

    def assessment_age_s(self) -> float | None:
        """Since the last assessment; None where none was, or another collector assesses."""
        at_s = self._assessed_s
        return None if at_s is None else self._monotonic() - at_s
