"""Where every run stands against every line, in four ways, and which alerts that raises.

planned      the declared budget will reach it
forecast     the run will reach it before its planned end, or without one within ninety days
upper_bound  the upper bound has reached it
estimate     the estimate has reached it

Each at 50, 75, 90 and 100 % of the line. An alert's id follows from run, line, kind and percent, so it is raised once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ledger.assessment.alert import Alert, LineKind, says
from ledger.forecast.growth import growth
from ledger.totals import run_totals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.reader import Reader
    from ledger.thresholds import Threshold
    from ledger.totals import RunTotal

PERCENTS = (50, 75, 90, 100)
HORIZON_NS = 90 * 24 * 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What is declared of a run's end: FLOP, and Unix ns."""

    planned_flop: int | None = None
    planned_end_ns: int | None = None


def assess(reader: Reader, lines: Sequence[Threshold], now_ns: int) -> list[Alert]:
    """Every alert that holds now, raised before or not, in order of run, line and percent."""
    day = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date()
    applying = [line for line in lines if line.applies_on(day)]
    plans = _plans(reader)
    found: list[Alert] = []
    for run_id, plan in plans.items():
        if plan.planned_flop is not None:
            found += _reached(run_id, applying, "planned", "declared", plan.planned_flop)
    by_run: dict[str, list[RunTotal]] = {}
    for total in run_totals(reader):
        by_run.setdefault(total.run_id, []).append(total)
    for run_id, totals in by_run.items():
        plan = plans.get(run_id, Plan())
        for total in totals:
            found += _reached(run_id, applying, "estimate", total.basis, total.floor)
            found += _reached(run_id, applying, "upper_bound", total.basis, total.flop_high)
        # What was measured is followed; what was reported only where nothing was measured to a point.
        followed = max(totals, key=lambda total: (total.flop is not None, total.basis == "hardware"))
        found += _forecast(reader, followed, applying, plan, now_ns)
    return _first_of_each(found)


def _reached(run_id: str, lines: Iterable[Threshold], kind: LineKind, basis: str, flop: int) -> list[Alert]:
    return [
        _alert(run_id, line, kind, percent, basis, flop)
        for line in lines
        for percent in PERCENTS
        if _at(line, percent, flop)
    ]


def _alert(
    run_id: str, line: Threshold, kind: LineKind, percent: int, basis: str, flop: int, expected_at_ns: int | None = None
) -> Alert:
    summary = says(kind, percent, line.id, line.amount_flop, flop, None)
    return Alert(
        "run", run_id, kind, summary, line.id, line.policy, percent, None, basis, flop, line.amount_flop, expected_at_ns
    )


def _forecast(reader: Reader, total: RunTotal, lines: Sequence[Threshold], plan: Plan, now_ns: int) -> list[Alert]:
    # Far below every line there is nothing to forecast, and the curve need not be read.
    if total.flop is None or not any(total.flop * 1_000 > line.amount_flop for line in lines):
        return []
    # A run that has fallen silent slows down with every hour.
    at_ns = max(_unix_ns(total.last_at), now_ns)
    trend = growth(reader, total.run_id, total.basis, total.flop, at_ns)
    until_ns = now_ns + HORIZON_NS if plan.planned_end_ns is None else plan.planned_end_ns
    found = []
    for line in lines:
        for percent in PERCENTS:
            when_ns = trend.reaches_at_ns(-(-line.amount_flop * percent // 100))
            if when_ns is not None and when_ns <= until_ns and not _at(line, percent, total.flop):
                found.append(_alert(total.run_id, line, "forecast", percent, total.basis, total.flop, when_ns))
    return found


def _at(line: Threshold, percent: int, flop: int) -> bool:
    """The line's own operator at 100 %; below it, reaching the fraction is enough."""
    return line.crossed_by(flop) if percent == 100 else flop * 100 >= line.amount_flop * percent


def _first_of_each(alerts: Iterable[Alert]) -> list[Alert]:
    """One alert per id: where both bases reached a fraction, hardware speaks."""
    found: dict[str, Alert] = {}
    for alert in sorted(alerts, key=lambda alert: alert.basis != "hardware"):
        found.setdefault(alert.alert_id, alert)
    return sorted(
        found.values(),
        key=lambda alert: (alert.subject, alert.line_flop or 0, alert.threshold or "", alert.percent or 0),
    )


def _plans(reader: Reader) -> dict[str, Plan]:
    result = reader.query("SELECT run_id, planned_flop, planned_end FROM runs WHERE declared")
    return {row[0]: Plan(row[1], None if row[2] is None else _unix_ns(row[2])) for row in result.rows}


def _unix_ns(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000
