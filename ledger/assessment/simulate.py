"""What a budget and a pace would raise, and when: the same rules played forward hour by hour, with nothing written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.assessment.accounts import Amount, Subject
from ledger.assessment.expected import Expected, by_forecast
from ledger.assessment.foreseeable import EVEN_ODDS, IN_A_ROW, Foreseen
from ledger.assessment.ladder import ladders, measure_of, rung
from ledger.assessment.reached import Stand, by_amount
from ledger.forecast import Crossing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.assessment.alert import Alert
    from ledger.assessment.rules import Rules
    from ledger.thresholds import Threshold

HOUR_NS = 3_600_000_000_000
YOUNG_HOURS = 6
"""A pace is known from then on, as in `ledger.forecast`."""
YEAR_HOURS = 365 * 24


@dataclass(frozen=True, slots=True)
class Supposed:
    """A run that stands at `flop` and goes on at one pace; amounts in FLOP, times in Unix ns."""

    run_id: str
    flop: int
    flop_per_hour: int
    planned_flop: int | None
    planned_end_ns: int | None
    begin_ns: int


@dataclass(frozen=True, slots=True)
class Steady:
    """The outlook of such a run."""

    flop: int
    flop_per_hour: int
    at_ns: int

    def crossing(self, amount_flop: int) -> Crossing:
        """At this pace, for certain; None beyond a year, as in a forecast."""
        more = max(amount_flop - self.flop, 0)
        if more and (not self.flop_per_hour or more > self.flop_per_hour * YEAR_HOURS):
            return Crossing(None, None, None)
        at_ns = self.at_ns + (more * HOUR_NS // self.flop_per_hour if more else 0)
        return Crossing(at_ns, at_ns, at_ns)

    def probability_before(self, amount_flop: int, until_ns: int) -> float:
        """Zero or one."""
        at_ns = self.crossing(amount_flop).expected_at_ns
        return float(at_ns is not None and at_ns <= until_ns)

    def cone(self, until_ns: int, points: int) -> list[tuple[int, int, int, int]]:
        """A line."""
        found = []
        for number in range(1, points + 1):
            at_ns = self.at_ns + (until_ns - self.at_ns) * number // points
            flop = self.flop + self.flop_per_hour * (at_ns - self.at_ns) // HOUR_NS
            found.append((at_ns, flop, flop, flop))
        return found


def simulated(run: Supposed, lines: Sequence[Threshold], rules: Rules, hours: int) -> Iterator[tuple[int, Alert]]:
    """Alerts with when they would be raised, Unix ns, in order. The upper bound is taken to be the estimate."""
    subject = Subject("run", run.run_id)
    rungs = ladders(lines, rules.percents)
    planned = {} if run.planned_flop is None else dict.fromkeys(rungs, run.planned_flop)
    raised: set[str] = set()
    rows = dict.fromkeys((line.id for line in lines), 0)
    for hour in range(hours + 1):
        at_ns = run.begin_ns + hour * HOUR_NS
        flop = run.flop + run.flop_per_hour * hour
        stand = Stand(subject, {("hardware", measure): Amount(flop, flop, True) for measure in rungs}, planned)
        due = [alert for alert in by_amount(stand, rungs).values() if alert.kind != "upper_bound"]
        growing = [Steady(flop, run.flop_per_hour, at_ns)] if hour >= YOUNG_HOURS else []
        expected = Expected(flop, "hardware", growing, run.planned_end_ns)
        for line in lines:
            due += by_forecast(subject, expected, line, flop, rules, at_ns)
            even = expected.probability_before(rung(line, 100).at_least, expected.until_ns(at_ns)) >= EVEN_ODDS
            rows[line.id] = rows[line.id] + 1 if even else 0
            if line.crossed_by(stand.planned.get(measure_of(line), 0)):
                due.append(Foreseen(subject, line, "budget", "declared", run.planned_flop or 0, at_ns).alert())
            elif line.crossed_by(flop):
                due.append(Foreseen(subject, line, "crossed", "hardware", flop, at_ns).alert())
            elif rows[line.id] >= IN_A_ROW:
                due.append(Foreseen(subject, line, "probability", "hardware", flop, at_ns, 1.0).alert())
        for alert in due:
            if alert.about not in raised:
                raised.add(alert.about)
                yield at_ns, alert
        if all(line.crossed_by(flop) for line in lines):
            return
