"""An amount of compute with its bounds, as exact integers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """FLOP executed: `low ≤ flop ≤ high`. `flop` is None where the method gives bounds and no point."""

    flop: int | None
    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 <= self.low <= (self.low if self.flop is None else self.flop) <= self.high:
            raise ValueError(f"bounds out of order: {self.low} ≤ {self.flop} ≤ {self.high} FLOP")

    @classmethod
    def exact(cls, flop: int) -> Estimate:
        """An amount that is known, or stated by somebody, without an interval."""
        return cls(flop, flop, flop)

    @classmethod
    def at_most(cls, high: int) -> Estimate:
        """No point: anything from nothing to `high`."""
        return cls(None, 0, high)


@dataclass(frozen=True, slots=True)
class Reasoned:
    """An estimate with what it rests on, sentence by sentence, for people to judge."""

    estimate: Estimate
    assumptions: tuple[str, ...]
