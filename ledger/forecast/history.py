"""What the past of a run says of its future: its pace, how often and how long it stops, how often its pace changes.

The growth per hour is cut in two. Hours with less than a tenth of what the days around them had are stops. The others,
put end to end, are the running time; looking back from now, the present pace reaches as far as blocks of it agree, and
where three in a row do not, an older pace begins: a change of fleet size, a ramp-up, another configuration.

How often a run stops or changes its pace is a rate with a prior (a gamma distribution, as is usual for counts of
events: Gelman et al., Bayesian Data Analysis, 3rd ed., 2.6), so a run of three days that has not stopped yet is not
taken for one that never does. The prior is worth a few days of running, and is of the size of what was published of
interruptions: 466 in 54 days of Llama 3.1 405B with more than 90 % of the time effective (arXiv 2407.21783), at least
35 restarts by hand in two months of OPT-175B (arXiv 2205.01068).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

METHOD = "renewal/1"
"""Stops and changes of pace as renewal processes; the number changes with anything that changes a forecast."""

DAY_HOURS = 24
YOUNG_HOURS = 6
"""With less running time than this there is no pace."""
STOPPED_HOURS = 14 * DAY_HOURS
"""A run that has been silent for this long is taken to have ended."""
DOWN_SHARE = 0.1
BLOCK_HOURS = 6
AGREE = 0.08
"""Blocks of running time that differ by less have one pace, however quiet the run is otherwise."""
AGREE_NOISE = 4.0
"""Or by less than so many times what neighbouring blocks usually differ by."""
APART_BLOCKS = 3
RECENT_BLOCKS = 7 * DAY_HOURS // BLOCK_HOURS
"""The present pace is taken from the latest week of it."""
LONE_ERROR = 0.1
LEAST_ERROR = 0.03
PLAN_ERROR = 0.3
"""A pace is never known better than this share of it."""


@dataclass(frozen=True, slots=True)
class History:
    """`pace_flop` per running hour with its relative error; lengths in hours; `changes` as logarithms of ratios."""

    pace_flop: float
    pace_error: float
    running_hours: float
    stops_hours: tuple[float, ...]
    silent_hours: float
    changes: tuple[float, ...]
    plan_change: float | None = None
    """Logarithm of what the declared plan asks for over what an hour brings now."""

    @property
    def flop_per_hour(self) -> float:
        """The pace with its stops: what an hour brings on average."""
        stopped = sum(self.stops_hours)
        return self.pace_flop * self.running_hours / max(self.running_hours + stopped, 1)


def learn(growth: Sequence[float]) -> History | None:
    """From the growth per hour, oldest first (FLOP). None when there is no growth in it."""
    around = _around(growth)
    running: list[float] = []
    stops: list[float] = []
    silent = 0
    for flop, usual in zip(growth, around, strict=True):
        if flop < DOWN_SHARE * usual or flop <= 0:
            silent += 1
            continue
        if silent and running:
            stops.append(float(silent))
        silent = 0
        running.append(flop)
    if not running:
        return None
    block = BLOCK_HOURS if len(running) >= 4 * BLOCK_HOURS else max(len(running) // 4, 1)
    # Cut from the back, so that the latest block is whole.
    cut = [running[max(end - block, 0) : end] for end in range(len(running), 0, -block)]
    means = [fmean(part) for part in cut if len(part) == block]
    regimes = _regimes(means)
    levels = [fmean(regime) for regime in regimes]
    present = regimes[0][:RECENT_BLOCKS]
    pace = fmean(present)
    # A slow ramp-up has no step in it: how far its latest blocks are from all of them is an error of the pace.
    trend = abs(fmean(present[: max(len(present) // 4, 1)]) / pace - 1)
    noise = stdev(present) / pace / math.sqrt(len(present)) if len(present) > 1 else LONE_ERROR
    changes = tuple(math.log(after / before) for after, before in pairwise(levels))
    return History(
        pace, max(math.hypot(noise, trend), LEAST_ERROR), float(len(running)), tuple(stops), float(silent), changes
    )


def planned(flop_per_hour: float) -> History:
    """Of a run that has no past yet: what is declared, for what that is worth."""
    return History(flop_per_hour, PLAN_ERROR, 0.0, (), 0.0, ())


def _around(growth: Sequence[float]) -> list[float]:
    """What an hour with work in it had in the three days around each hour; over all of them where there was none."""
    days = [growth[start : start + DAY_HOURS] for start in range(0, len(growth), DAY_HOURS)]
    worked = [[flop for flop in day if flop > 0] for day in days]
    overall = median([flop for day in worked for flop in day] or [0.0])
    found: list[float] = []
    for place, day in enumerate(days):
        near = [flop for part in worked[max(place - 1, 0) : place + 2] for flop in part]
        found += [median(near) if near else overall] * len(day)
    return found


def _regimes(means: Sequence[float]) -> list[list[float]]:
    """Blocks of one pace each, the present first. `means` begin with the latest block."""
    # Second differences: a ramp-up, however steep, is no noise. They spread √3 times as far as first ones.
    bends = [abs(a - 2 * b + c) / max(a, b, c) for a, b, c in zip(means, means[1:], means[2:], strict=False)]
    tolerance = max(AGREE, AGREE_NOISE * (median(bends) / math.sqrt(3) if bends else 0.0))
    regimes: list[list[float]] = []
    place = 0
    while place < len(means):
        regime = [means[place]]
        place += 1
        while place < len(means):
            level = median(regime)
            apart = [abs(mean - level) > tolerance * level for mean in means[place : place + APART_BLOCKS]]
            if all(apart):
                break
            if not apart[0]:
                regime.append(means[place])
            place += 1
        regimes.append(regime)
    return regimes
