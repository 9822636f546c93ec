"""What is expected of a subject: the forecasts of its runs, put together.

With one run that grows, the run's own forecast holds, from the subject's amount on. With several their middles are
added, and so are the ends of their intervals, as if all were lucky or unlucky together: rather too wide an interval.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from ledger.assessment.ladder import rung
from ledger.assessment.reached import line_alert
from ledger.assessment.rules import HORIZON_DAYS
from ledger.forecast import Crossing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.assessment.accounts import Subject
    from ledger.assessment.alert import Alert
    from ledger.assessment.rules import Rules
    from ledger.thresholds import Threshold

DAY_NS = 86_400_000_000_000
YEAR_NS = 365 * DAY_NS
MINUTE_NS = 60_000_000_000
_NEVER = Crossing(None, None, None)
_LOW, _MIDDLE, _HIGH = 1, 2, 3
"""Places in a point of a cone."""


class Outlook(Protocol):
    """How one run goes on: `ledger.forecast.Forecast` is one."""

    @property
    def flop(self) -> int:
        """What it stands at."""
        ...

    @property
    def at_ns(self) -> int:
        """When."""
        ...

    def crossing(self, amount_flop: int) -> Crossing:
        """When it will stand at an amount."""
        ...

    def probability_before(self, amount_flop: int, until_ns: int) -> float:
        """That it stands there by then."""
        ...

    def cone(self, until_ns: int, points: int) -> list[tuple[int, int, int, int]]:
        """Time, low, middle and high."""
        ...


@dataclass(frozen=True)
class Expected:
    """A subject that stands at `flop` on a basis, and the outlooks of its runs that grow."""

    flop: int
    basis: str
    growing: Sequence[Outlook]
    planned_end_ns: int | None = None

    def until_ns(self, now_ns: int) -> int:
        """The planned end, or ninety days on where none is declared or it is over and the run goes on."""
        if self.planned_end_ns is not None and self.planned_end_ns > now_ns:
            return self.planned_end_ns
        return now_ns + HORIZON_DAYS * DAY_NS

    def crossing(self, amount_flop: int) -> Crossing:
        """When it will stand at an amount, Unix ns."""
        if not self.growing:
            return _NEVER
        if len(self.growing) == 1:
            return self.growing[0].crossing(amount_flop - self._others_flop)
        low, middle, high = (self._reaches(amount_flop, place) for place in (_LOW, _MIDDLE, _HIGH))
        return Crossing(middle, high, low)

    def probability_before(self, amount_flop: int, until_ns: int) -> float:
        """That it stands there by then; of several runs from the three known points of their sum."""
        if self.flop >= amount_flop:
            return 1.0
        if not self.growing:
            return 0.0
        if len(self.growing) == 1:
            return self.growing[0].probability_before(amount_flop - self._others_flop, until_ns)
        low, middle, high = (self._stands(until_ns, place) for place in (_LOW, _MIDDLE, _HIGH))
        if amount_flop <= middle:
            return 0.95 - 0.45 * _share(amount_flop, low, middle)
        return 0.5 - 0.45 * _share(amount_flop, middle, high)

    @cached_property
    def _others_flop(self) -> int:
        """What does not grow."""
        return self.flop - sum(outlook.flop for outlook in self.growing)

    def _stands(self, at_ns: int, place: int) -> int:
        return self._others_flop + sum(
            outlook.flop if at_ns <= outlook.at_ns else outlook.cone(at_ns, 1)[0][place] for outlook in self.growing
        )

    def _reaches(self, amount_flop: int, place: int) -> int | None:
        begin = min(outlook.at_ns for outlook in self.growing)
        end = begin + YEAR_NS
        if self._stands(end, place) < amount_flop:
            return None
        while end - begin > MINUTE_NS:
            half = (begin + end) // 2
            begin, end = (begin, half) if self._stands(half, place) >= amount_flop else (half, end)
        return end


def by_forecast(
    subject: Subject, expected: Expected, line: Threshold, reached_flop: int, rules: Rules, now_ns: int
) -> list[Alert]:
    """Alerts on what is expected of a line, of which `reached_flop` was reached already.

    A fraction is told of when it will be reached before the planned end; the line itself at the lead times as well.
    """
    found: list[Alert] = []
    until_ns = expected.until_ns(now_ns)
    for percent in rules.percents:
        at_least = rung(line, percent).at_least
        when_ns = None if reached_flop >= at_least else expected.crossing(at_least).expected_at_ns
        if when_ns is None:
            continue
        leads: list[int | None] = [None] if when_ns <= until_ns else []
        if percent == 100:
            leads += [days for days in rules.lead_days if when_ns - now_ns <= days * DAY_NS]
        for days in leads:
            alert = line_alert(subject, "forecast", line, percent, expected.basis, expected.flop, days)
            found.append(replace(alert, expected_at_ns=when_ns))
    return found


def _share(flop: int, low: int, high: int) -> float:
    return 1.0 if high <= low else min(max((flop - low) / (high - low), 0.0), 1.0)
