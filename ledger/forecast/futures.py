"""Possible futures of a run, drawn from what its past says: the same ones for the same past, whoever draws them.

A future begins with a pace, drawn around the present one, and with rates of stops and of changes of pace, drawn from
what is likely after this past. Then it goes on as running time that is ended by a stop or a change, each after a
waiting time without memory; a stop lasts as long as one of this run did, or as others' do. A run that is stopped now
goes on after as long again, at even odds. What a future gains is a float: an estimate, never a part of a total.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.forecast.history import History

FUTURES = 199
"""The 5th, 50th and 95th percentile are then the 10th, 100th and 190th of them."""
HORIZON_HOURS = 365.0 * 24

STOPS_PRIOR = (1.5, 5.0 * 24)
"""As if one and a half stops of an hour or more had been seen in five days of running."""
STOP_HOURS = (3.0, 1.4)
"""Others' stops: median, and the deviation of the logarithm; one in twenty lasts longer than a day."""
CHANGES_PRIOR = (1.0, 30.0 * 24)
"""As if the pace had changed once in thirty days of running."""
CHANGE_SIZE = 0.3
"""Others' changes: mean size of the logarithm, up as often as down."""
RAMPING, RAMP_HOURS = 0.6, 10.0 * 24
"""So likely is a run to be ramping up when it begins, and so fast this becomes unlikely; then it changes upwards."""
PLANNED, PLAN_HOURS = 0.25, 5.0 * 24
"""So many futures come to the pace that the declared budget and end ask for, after so long."""
SAME_WAY = 0.7
"""A change like one of the run's own goes the same way, more often than not."""
FOREIGN_WEIGHT = 3.0
"""What others' stops and changes weigh against the run's own ones, in number of events."""
OWN_SPREAD = 0.3
WIDEST = math.log(4.0)
"""No future is faster or slower than the present by more than this."""


@dataclass(slots=True)
class Future:
    """One path: `hours` from now and FLOP `gained` by then, as far as it was followed; straight in between."""

    history: History
    rng: random.Random
    hours: list[float] = field(default_factory=lambda: [0.0])
    gained: list[float] = field(default_factory=lambda: [0.0])
    _log_factor: float = 0.0
    _upward: float = 0.5
    _to_plan: float | None = None
    _stop_rate: float = 0.0
    _change_rate: float = 0.0

    def __post_init__(self) -> None:
        past, rng = self.history, self.rng
        self._log_factor = rng.gauss(0.0, past.pace_error)
        self._stop_rate = _rate(rng, STOPS_PRIOR, len(past.stops_hours), past.running_hours)
        self._change_rate = _rate(rng, CHANGES_PRIOR, len(past.changes), past.running_hours)
        if rng.random() < RAMPING * math.exp(-past.running_hours / RAMP_HOURS):
            self._upward = 1.0
            self._change_rate += 1 / RAMP_HOURS
        if past.plan_change is not None and rng.random() < PLANNED:
            self._to_plan = past.plan_change
        if past.silent_hours > 0:
            self._rest(past.silent_hours * (1 / (1.0 - rng.random()) - 1))

    def reaches_hours(self, flop: float) -> float:
        """Hours until this much more is done; infinite beyond the horizon."""
        while self.gained[-1] < flop and self.hours[-1] < HORIZON_HOURS:
            self._go_on()
        place = bisect_left(self.gained, flop)
        if place == len(self.gained):
            return math.inf
        if place == 0:
            return 0.0
        low, high = self.gained[place - 1], self.gained[place]
        start, end = self.hours[place - 1], self.hours[place]
        at = start + (end - start) * (flop - low) / (high - low)
        return at if at <= HORIZON_HOURS else math.inf

    def gained_by(self, hours: float) -> float:
        """FLOP done after so many hours."""
        hours = min(hours, HORIZON_HOURS)
        while self.hours[-1] < hours:
            self._go_on()
        place = max(bisect_left(self.hours, hours), 1)
        start, end = self.hours[place - 1], self.hours[place]
        share = (hours - start) / (end - start) if end > start else 0.0
        return self.gained[place - 1] + share * (self.gained[place] - self.gained[place - 1])

    def _go_on(self) -> None:
        """Running time up to the next event, and the event."""
        rng, past = self.rng, self.history
        rate = self._stop_rate + self._change_rate + (0.0 if self._to_plan is None else 1 / PLAN_HOURS)
        running = rng.expovariate(rate)
        self.hours.append(self.hours[-1] + running)
        self.gained.append(self.gained[-1] + running * past.pace_flop * math.exp(self._log_factor))
        which = rng.random() * rate
        if which < self._stop_rate:
            self._rest(self._stop_hours())
            return
        change = self._change() if which < self._stop_rate + self._change_rate else self._to_plan or 0.0
        if which >= self._stop_rate + self._change_rate:
            self._to_plan = None
        self._log_factor = min(max(self._log_factor + change, -WIDEST), WIDEST)

    def _rest(self, hours: float) -> None:
        self.hours.append(self.hours[-1] + min(hours, HORIZON_HOURS))
        self.gained.append(self.gained[-1])

    def _stop_hours(self) -> float:
        own = self.history.stops_hours
        if self.rng.random() * (len(own) + FOREIGN_WEIGHT) < len(own):
            return self.rng.choice(own) * math.exp(self.rng.gauss(0.0, OWN_SPREAD))
        middle, spread = STOP_HOURS
        return middle * math.exp(self.rng.gauss(0.0, spread))

    def _change(self) -> float:
        own = self.history.changes
        if self.rng.random() * (len(own) + FOREIGN_WEIGHT) < len(own):
            size = self.rng.choice(own)
            return size if self.rng.random() < SAME_WAY else -size
        size = self.rng.expovariate(1 / CHANGE_SIZE)
        return size if self.rng.random() < self._upward else -size


def futures(history: History, seed: str) -> list[Future]:
    """`FUTURES` of them, which follow from the history and the seed alone."""
    return [Future(history, random.Random(f"{seed}\n{number}")) for number in range(FUTURES)]


def _rate(rng: random.Random, prior: tuple[float, float], seen: int, hours: float) -> float:
    events, prior_hours = prior
    return max(rng.gammavariate(events + seen, 1 / (prior_hours + hours)), 1e-9)
