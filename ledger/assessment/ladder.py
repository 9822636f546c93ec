"""All amounts at which an alert is due, in order: most commits change nothing, and a look-up says so."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.thresholds import Threshold


class Measure(NamedTuple):
    """What a line counts: the purposes of a policy, and integer operations beside floating-point ones or not."""

    policy: str
    integers: bool


@dataclass(frozen=True, slots=True)
class Rung:
    """`percent` of a line is reached from `at_least` on, FLOP."""

    at_least: int
    line: Threshold
    percent: int


class Ladder:
    """The rungs of all lines with one measure."""

    def __init__(self, rungs: Iterable[Rung]) -> None:
        self.rungs = sorted(rungs, key=lambda rung: (rung.at_least, rung.line.id, rung.percent))
        self._at_least = [rung.at_least for rung in self.rungs]

    def height(self, flop: int) -> int:
        """How many rungs an amount has reached."""
        return bisect_right(self._at_least, flop)

    def reached(self, flop: int) -> list[Rung]:
        """Which ones."""
        return self.rungs[: self.height(flop)]


def measure_of(line: Threshold) -> Measure:
    """What it counts."""
    return Measure(line.policy, line.unit.startswith("integer"))


def rung(line: Threshold, percent: int) -> Rung:
    """Whole at 100 %, by the text's own operator; a fraction is reached by whatever is not less."""
    if percent == 100:
        return Rung(line.amount_flop + (line.operator == ">"), line, percent)
    return Rung(-(-line.amount_flop * percent // 100), line, percent)


def ladders(lines: Iterable[Threshold], percents: Sequence[int]) -> dict[Measure, Ladder]:
    """One per measure."""
    found: dict[Measure, list[Rung]] = {}
    for line in lines:
        found.setdefault(measure_of(line), []).extend(rung(line, percent) for percent in percents)
    return {measure: Ladder(rungs) for measure, rungs in found.items()}
