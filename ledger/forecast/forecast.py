"""The main flow: series → history → futures → when an amount will be reached, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from ledger.forecast.futures import FUTURES, HORIZON_HOURS, WIDEST, Future, futures
from ledger.forecast.history import METHOD, STOPPED_HOURS, YOUNG_HOURS, History, learn, planned
from ledger.forecast.series import HOUR_NS, Series, read_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.reader import Reader

GROWING, YOUNG, STOPPED, AS_PLANNED = "growing", "too young", "not growing", "as planned"
_LOW, _MIDDLE, _HIGH = (FUTURES + 1) // 20 - 1, (FUTURES + 1) // 2 - 1, 19 * (FUTURES + 1) // 20 - 1


@dataclass(frozen=True, slots=True)
class Crossing:
    """When an amount is reached, Unix ns: at even odds, and the ends of the 90 % interval. None: not within the horizon
    of a year.
    """

    expected_at_ns: int | None
    early_at_ns: int | None
    late_at_ns: int | None


NEVER = Crossing(None, None, None)


@dataclass(frozen=True)
class Forecast:
    """What is known at `at_ns` (Unix ns) of how a run goes on from its exact total `flop`.

    `state` is growing; too young or not growing, which foresees nothing; or as planned: too young, but a budget and an
    end are declared. `flop_per_hour` is what an hour brings on average, with the run's stops; 0 where nothing is
    foreseen.
    """

    run_id: str
    basis: str
    flop: int
    at_ns: int
    flop_per_hour: int
    method: str
    state: str
    planned_flop: int | None = None
    planned_end_ns: int | None = None
    history: History | None = None

    def crossing(self, amount_flop: int) -> Crossing:
        """When the total will be `amount_flop`; at `at_ns` if it is already."""
        more = float(amount_flop - self.flop)
        if more <= 0:
            return Crossing(self.at_ns, self.at_ns, self.at_ns)
        if self._beyond(more, HORIZON_HOURS):
            return NEVER
        hours = sorted(future.reaches_hours(more) for future in self._futures)
        early, middle, late = (self._at(hours[place]) for place in (_LOW, _MIDDLE, _HIGH))
        return Crossing(middle, early, late)

    def probability_before(self, amount_flop: int, until_ns: int) -> float:
        """That the total will be `amount_flop` by then: 0 to 1, and 1 if it is already."""
        more = float(amount_flop - self.flop)
        if more <= 0:
            return 1.0
        hours = min((until_ns - self.at_ns) / HOUR_NS, HORIZON_HOURS)
        if hours <= 0 or self._beyond(more, hours):
            return 0.0
        return sum(future.reaches_hours(more) <= hours for future in self._futures) / FUTURES

    def cone(self, until_ns: int, points: int) -> list[tuple[int, int, int, int]]:
        """Up to `until_ns` (a year ahead at most), at evenly spaced times: Unix ns, and the total in FLOP: the low end
        of the 90 % interval, the middle, the high end.
        """
        drawn = self._futures
        ahead_ns = min(until_ns - self.at_ns, int(HORIZON_HOURS) * HOUR_NS)
        found = []
        for number in range(1, points + 1):
            after_ns = ahead_ns * number // points
            gained = sorted(future.gained_by(after_ns / HOUR_NS) for future in drawn) or [0.0] * FUTURES
            low, middle, high = (self.flop + int(gained[place]) for place in (_LOW, _MIDDLE, _HIGH))
            found.append((self.at_ns + after_ns, low, middle, high))
        return found

    @cached_property
    def _futures(self) -> list[Future]:
        # By the run alone: the same luck hour after hour, so a forecast moves because the run moved.
        return futures(self.history, f"{self.method}\n{self.run_id}") if self.history is not None else []

    def _beyond(self, more_flop: float, hours: float) -> bool:
        """Even the fastest future does not get there: nothing need be drawn."""
        return self.history is None or self.history.pace_flop * math.exp(WIDEST) * hours < more_flop

    def _at(self, hours: float) -> int | None:
        return None if math.isinf(hours) else self.at_ns + int(hours * HOUR_NS)


def forecast_runs(reader: Reader, run_ids: Sequence[str], now_ns: int) -> dict[str, Forecast]:
    """Of every run of these that has a point estimate; what a run is too young or too quiet for is in its `state`."""
    return {run_id: forecast(series) for run_id, series in read_series(reader, run_ids, now_ns).items()}


def forecast_run(reader: Reader, run_id: str, now_ns: int) -> Forecast | None:
    """None when there is no such run, or it has bounds only."""
    return forecast_runs(reader, [run_id], now_ns).get(run_id)


def forecast(series: Series) -> Forecast:
    """From a series alone."""
    history = learn(series.growth)
    asked = _asked(series)
    if history is None or history.silent_hours >= STOPPED_HOURS:
        state, history = STOPPED, None
    elif history.running_hours < YOUNG_HOURS:
        state, history = (YOUNG, None) if asked is None else (AS_PLANNED, planned(asked))
    else:
        state = GROWING
        if asked is not None:
            history = replace(history, plan_change=math.log(asked / history.flop_per_hour))
    return Forecast(
        series.run_id,
        series.basis,
        series.flop,
        series.at_ns,
        0 if history is None else int(history.flop_per_hour),
        METHOD,
        state,
        series.planned_flop,
        series.planned_end_ns,
        history,
    )


def _asked(series: Series) -> float | None:
    """FLOP per hour that the declared budget asks for until the planned end; None without both, or after either."""
    if series.planned_flop is None or series.planned_end_ns is None:
        return None
    left_flop, left_hours = series.planned_flop - series.flop, (series.planned_end_ns - series.at_ns) / HOUR_NS
    return left_flop / left_hours if left_flop > 0 and left_hours >= 1 else None
