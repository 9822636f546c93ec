"""Hardware-based estimates, for compute that nobody measured: C = N · L · H · U.

N units, L seconds, H peak FLOP per second of one unit, U average utilisation of that peak. Commission's guidelines on
general-purpose AI, C(2025) 7719, annex A.2.1. Where N, H or U change, it is the sum over periods in which they do not;
a mixed fleet has the mean peak, weighted by the number of units. Which peak and which utilisation are not defined
there: here the dense peak of the named format, and the utilisation of all device time given, not of a good step.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from compute.estimate import Reasoned
from compute.exact import bounded, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

MARGIN = Fraction(3, 10)
"""Of the estimate, on either side, where nothing else is known: the overall margin of error that the Commission's
guidelines accept."""
MARGIN_SENTENCE = (
    "interval: ±{margin} % of the estimate, the overall margin of error that the Commission's guidelines accept; "
    "nothing here was measured"
)
SECONDS_PER_HOUR = 3_600


@dataclass(frozen=True, slots=True)
class Utilization:
    """Share of the peak, averaged over all device time: `low ≤ point ≤ high`; `point` None for bounds only."""

    point: Fraction | None
    low: Fraction
    high: Fraction

    def __post_init__(self) -> None:
        middle = self.low if self.point is None else self.point
        if not 0 <= self.low <= middle <= self.high <= 1:
            shares = " ≤ ".join(map(plain, (self.low, middle, self.high)))
            raise ValueError(f"a utilisation lies between 0 and 1, bounds around it: 0 ≤ {shares} ≤ 1 does not hold")

    @classmethod
    def about(cls, point: Fraction, margin: Fraction = MARGIN) -> Utilization:
        """A point with `margin` of itself on either side, at most the peak."""
        if not 0 <= point <= 1:
            raise ValueError(f"a utilisation lies between 0 and 1, not at {plain(point)}")
        return cls(point, max(point * (1 - margin), Fraction(0)), min(point * (1 + margin), Fraction(1)))

    @classmethod
    def unknown(cls) -> Utilization:
        """Anything from idle to the peak."""
        return cls(None, Fraction(0), Fraction(1))


@dataclass(frozen=True, slots=True)
class Fleet:
    """Units of one kind: their name, how many there are, peak FLOP per second of each."""

    name: str
    units: Fraction
    peak_flop_per_s: Fraction


@dataclass(frozen=True, slots=True)
class Segment:
    """A period in which fleet and utilisation stay as they are; `device_hours` over all units."""

    device_hours: Fraction
    peak_flop_per_s: Fraction
    utilization: Utilization
    says: str

    @property
    def peak_flop(self) -> Fraction:
        """What the silicon would do in this time at its peak."""
        return self.device_hours * SECONDS_PER_HOUR * self.peak_flop_per_s


def mean_peak_flop_per_s(fleets: Sequence[Fleet]) -> Fraction:
    """H of a mixed fleet: peaks weighted by the number of units (annex A.2.1). Raises ValueError for no units."""
    units = sum((fleet.units for fleet in fleets), Fraction(0))
    if units <= 0:
        raise ValueError("a fleet has at least one unit")
    return sum((fleet.units * fleet.peak_flop_per_s for fleet in fleets), Fraction(0)) / units


def nlhu(segments: Sequence[Segment]) -> Reasoned:
    """FLOP of all segments: the sum of device-seconds × peak × utilisation, with the bounds of the utilisations.

    Without a point for each segment there is none for the sum. Errors are taken to go one way together: the bounds add.
    """
    points = [
        segment.peak_flop * segment.utilization.point for segment in segments if segment.utilization.point is not None
    ]
    estimate = bounded(
        sum(points, Fraction(0)) if len(points) == len(segments) else None,
        sum((segment.peak_flop * segment.utilization.low for segment in segments), Fraction(0)),
        sum((segment.peak_flop * segment.utilization.high for segment in segments), Fraction(0)),
    )
    return Reasoned(
        estimate,
        (
            "C = N·L·H·U: units × seconds × dense peak × average utilisation (Guidelines C(2025) 7719, annex A.2.1)",
            *(segment.says for segment in segments),
            "every hour given counts as training at that utilisation: of billed hours, restarts, stalls and other "
            "stages are part",
        ),
    )
