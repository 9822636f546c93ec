"""How often somebody may ask: more is answered with 429 and when to come back."""

from __future__ import annotations

import math
import time

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

REQUESTS = RateLimitItemPerMinute(3_000, namespace="requests")
"""Of one person. A page that follows a live ledger asks about twenty times a minute."""
KNOCKS = RateLimitItemPerMinute(20, namespace="knocks")
"""Of one address that brings what is no good, or brings nothing."""
QUESTIONS = RateLimitItemPerMinute(30, namespace="questions")
VERIFICATIONS = RateLimitItemPerHour(12, namespace="verifications")


class TooOften(Exception):
    """Come back after `after_s` seconds."""

    def __init__(self, limit: RateLimitItem, after_s: int) -> None:
        super().__init__(f"too often: {limit.amount} {limit.namespace} in {limit.get_expiry()} s; wait {after_s} s")
        self.after_s = after_s


class Pace:
    """Counts, in memory. Thread-safe."""

    def __init__(self) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def take(self, limit: RateLimitItem, whose: str) -> None:
        """One more of these by this person or address; raises `TooOften`."""
        if not self._limiter.hit(limit, whose):
            raise self._too_often(limit, whose)

    def check(self, limit: RateLimitItem, whose: str) -> None:
        """Whether one more would be allowed; raises `TooOften`."""
        if not self._limiter.test(limit, whose):
            raise self._too_often(limit, whose)

    def _too_often(self, limit: RateLimitItem, whose: str) -> TooOften:
        until = self._limiter.get_window_stats(limit, whose).reset_time
        return TooOften(limit, max(1, math.ceil(until - time.time())))
