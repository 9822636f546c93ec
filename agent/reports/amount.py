"""A reported value as whole FLOP (or tokens), with what its rounding leaves open."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple


class Amount(NamedTuple):
    """`low ≤ point ≤ high`, all whole. An integer is exact: the three are equal."""

    low: int
    point: int
    high: int

    def plus(self, more: Amount) -> Amount:
        """Both together."""
        return Amount(self.low + more.low, self.point + more.point, self.high + more.high)

    def growth_to(self, later: Amount) -> Amount:
        """What a counter that stands at `self` must add to reach `later`, whose point is no smaller.

        Each part only grows and the three stay in order, so that sums of growths are bounds too. Where rounding would
        break that, the bounds come out wider, never narrower.
        """
        point = later.point - self.point
        return Amount(max(0, min(point, later.low - self.low)), point, max(point, later.high - self.high))


ZERO = Amount(0, 0, 0)


def of_integer(value: int, unit: int) -> Amount:
    """`value` units, exactly; raises ValueError when negative."""
    if value < 0:
        raise ValueError(f"{value} is negative")
    exact = value * unit
    return Amount(exact, exact, exact)


def of_double(value: float, unit: int) -> Amount:
    """`value` units: the double's exact value, rounded down to a whole number, and one ulp of it on either side.

    One ulp covers the rounding of the last addition. A sum of many doubles may have drifted further, which its value
    does not show: a loop that wants no drift counts in integers. Raises ValueError for NaN, infinity and negatives.
    """
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{value} is not a finite amount of zero or more")
    middle, ulp = Fraction(value), Fraction(math.ulp(value))
    return Amount(
        low=max(0, math.floor((middle - ulp) * unit)),
        point=math.floor(middle * unit),
        high=math.ceil((middle + ulp) * unit),
    )
