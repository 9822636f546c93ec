"""The hourly forecasts: of every subject that is not far below every line, some at a time where time is short."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from ledger.assessment.expected import Expected, by_forecast
from ledger.assessment.ladder import measure_of, rung
from ledger.assessment.rules import WORTH_FORECASTING
from ledger.forecast import forecast_runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ledger.assessment.accounts import Accounts, Amount, Subject
    from ledger.assessment.alert import Alert
    from ledger.assessment.ladder import Measure
    from ledger.assessment.rules import Rules
    from ledger.forecast import Forecast
    from ledger.reader import Reader
    from ledger.thresholds import Threshold

AT_ONCE = 100
"""Subjects whose runs are forecast by one question."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an hourly forecast says of a subject: alerts that hold, and the odds of crossing each line in time."""

    subject: Subject
    alerts: list[Alert]
    odds: list[tuple[Threshold, float, Expected]]


class Forecasting:
    """Works off one hour's subjects."""

    def __init__(self, reader: Reader, accounts: Accounts, rules: Rules) -> None:
        self._reader = reader
        self._accounts = accounts
        self._rules = rules
        self._waiting: deque[Subject] = deque()
        self._lines: list[Threshold] = []
        self._forecasts: dict[str, Forecast] = {}

    def begin(self, subjects: Iterable[Subject], lines: Iterable[Threshold]) -> None:
        """Another hour. Who still waits from the last one goes first."""
        self._lines = list(lines)
        self._forecasts = {}
        waiting = dict.fromkeys(self._waiting)
        self._waiting = deque(waiting | dict.fromkeys(subjects))

    def go_on(self, now_ns: int) -> Iterator[Seen]:
        """Forecast those that wait, until the time is up."""
        began = time.monotonic()
        measures = {measure_of(line) for line in self._lines}
        lowest = min((line.amount_flop for line in self._lines), default=0)
        while self._waiting:
            some = {}
            for subject in islice(iter(self._waiting.popleft, None), min(AT_ONCE, len(self._waiting))):
                if self._accounts.ceiling(subject) * WORTH_FORECASTING > lowest:
                    some[subject] = self._accounts.amounts(subject, measures)
            self._read(some, now_ns)
            for subject, amounts in some.items():
                yield self._seen(subject, amounts, now_ns)
            if self._rules.forecast_slice_s is not None and time.monotonic() - began > self._rules.forecast_slice_s:
                return

    def _read(self, subjects: Iterable[Subject], now_ns: int) -> None:
        runs = {run for subject in subjects for run in self._accounts.runs(subject)} - self._forecasts.keys()
        if runs:
            self._forecasts |= forecast_runs(self._reader, sorted(runs), now_ns)

    def _seen(self, subject: Subject, amounts: dict[tuple[str, Measure], Amount], now_ns: int) -> Seen:
        alerts: list[Alert] = []
        odds = []
        expected_of: dict[Measure, Expected] = {}
        for line in self._lines:
            measure = measure_of(line)
            if measure not in expected_of:
                expected_of[measure] = self._expected(subject, amounts, measure)
            expected = expected_of[measure]
            reached = max((amount.flop for (_, of), amount in amounts.items() if of == measure), default=0)
            alerts += by_forecast(subject, expected, line, reached, self._rules, now_ns)
            if not line.crossed_by(reached):
                until_ns = expected.until_ns(now_ns)
                odds.append((line, expected.probability_before(rung(line, 100).at_least, until_ns), expected))
        return Seen(subject, alerts, odds)

    def _expected(self, subject: Subject, amounts: dict[tuple[str, Measure], Amount], measure: Measure) -> Expected:
        known = (self._forecasts.get(run) for run in self._accounts.counted_runs(subject, measure.policy))
        growing = [forecast for forecast in known if forecast is not None and forecast.flop_per_hour > 0]
        basis = "architecture" if growing and all(one.basis == "architecture" for one in growing) else "hardware"
        growing = [forecast for forecast in growing if forecast.basis == basis]
        ends = [forecast.planned_end_ns for forecast in growing]
        end_ns = max((end for end in ends if end is not None), default=None) if None not in ends else None
        amount = amounts.get((basis, measure))
        return Expected(0 if amount is None else amount.flop, basis, growing if amount else [], end_ns)
