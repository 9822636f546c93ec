"""What is kept of each stream, and of each key that streams report under."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.reports.amount import ZERO, Amount
from agent.reports.instruments import COMPUTE
from agent.reports.refusal import Refused

if TYPE_CHECKING:
    from agent.reports.source import ReportKey


@dataclass(slots=True)
class Stream:
    """One counter of one process: how much of it is counted, and when it was last heard of (`heard_ns`, our clock)."""

    key: ReportKey
    instrument: str
    start_ns: int
    at_ns: int
    heard_ns: int
    counted: Amount = ZERO

    def growth(self, amount: Amount, at_ns: int) -> Amount:
        """What `amount` adds: nothing when it repeats or comes late. Raises `Refused` when the counter went back."""
        if amount.point >= self.counted.point:
            return self.counted.growth_to(amount)
        if at_ns <= self.at_ns:
            return ZERO
        raise Refused(
            f"{self.instrument} went back under one start time: only a new process may start at zero, and a forked "
            "one must set up its own MeterProvider after the fork"
        )

    def advance(self, growth: Amount, at_ns: int, heard_ns: int) -> None:
        """Count `growth`."""
        self.counted = self.counted.plus(growth)
        self.at_ns = max(self.at_ns, at_ns)
        self.heard_ns = max(self.heard_ns, heard_ns)


@dataclass(slots=True)
class Fresh:
    """What a key grew by since the last take. `tokens` is None where no token counter was heard."""

    flop: Amount = ZERO
    tokens: int | None = None
    observed_ns: int = 0

    def add(self, instrument: str, growth: Amount) -> None:
        """Take in the growth of one stream."""
        if instrument == COMPUTE:
            self.flop = self.flop.plus(growth)
        else:
            self.tokens = (self.tokens or 0) + growth.point


@dataclass(slots=True)
class Meter:
    """The streams of one key, what they added up to while this agent lives, and what of it is fresh."""

    streams: dict[str, Stream] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    fresh: Fresh = field(default_factory=Fresh)
    covered_ns: int = 0

    def settle(self) -> None:
        """Count the time that compute streams newly cover; where two of them overlap, once."""
        before = self.covered_ns
        self.cover()
        self.fresh.observed_ns += self.covered_ns - before

    def cover(self) -> None:
        """Measure the union of [start, last point] over the compute streams."""
        covered, until_ns = 0, 0
        spans = ((s.start_ns, s.at_ns) for s in self.streams.values() if s.instrument == COMPUTE)
        for start_ns, at_ns in sorted(spans):
            covered += max(0, at_ns - max(start_ns, until_ns))
            until_ns = max(until_ns, at_ns)
        self.covered_ns = covered
