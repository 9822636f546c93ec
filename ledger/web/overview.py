"""Every run, model and system against every line that matters to it: gathered once, shown to all.

Totals and shares are the ledger's own (`ledger.standing`); rates and forecasts are from curves computed ahead.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ledger.forecast import Forecast, forecast_runs
from ledger.questions import OVERVIEW
from ledger.reader import Reader
from ledger.web.lines import Mark, marks
from ledger.web.standings import Row, Standings, stand
from ledger.web.subjects import Known, Subject, nearness

RUNS = "SELECT run_id, model_id, purpose, planned_flop, planned_end FROM runs"
LAST = "SELECT run, toInt64(max(last_at_ns)) FROM run_devices GROUP BY run"
ALERTS = """
SELECT
    alert_id, state, kind, subject_kind, subject, threshold, percent, basis, flop, line_flop, expected_at, summary,
    runbook, first_seen, entry_index
FROM alerts ORDER BY entry_index DESC
"""
ADJUSTED = """
SELECT
    run_id, basis, if(count(a.flop) = 0, NULL, sum(coalesce(a.flop, a.flop_low))) AS flop,
    sum(a.flop_low) AS flop_low, sum(a.flop_high) AS flop_high
FROM adjustments AS a GROUP BY run_id, basis
"""
DEAR_EVERY_S = 15.0
DEAR_SHARE = 20
"""What is dear to ask is asked again after this many times as long as it took."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What the first page shows, those nearest to a line first."""

    at_ns: int
    marks: tuple[Mark, ...]
    subjects: tuple[Subject, ...]
    alerts: tuple[Row, ...]
    forecasts: Mapping[str, Forecast]

    def subject(self, kind: str, name: str) -> Subject | None:
        """The one of this name."""
        return next((found for found in self.subjects if found.kind == kind and found.id == name), None)


class Gatherer:
    """Asks all of it. Where everything stands at every line is asked again after a pause that grows with what it took,
    and at once when there is a run that it does not know.
    """

    def __init__(
        self, reader: Reader, now_ns: Callable[[], int], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._standings: Standings | None = None
        self._due = 0.0

    def __call__(self) -> Overview:
        """What there is now."""
        reader, now_ns = self._reader, self._now_ns()
        today = datetime.fromtimestamp(now_ns // 10**9, UTC).date()
        declared = {row["run_id"]: row for row in reader.query(RUNS).dicts()}
        standings = self._stand(frozenset(declared), today)
        totals = added_up(reader.query(OVERVIEW).dicts(), reader.query(ADJUSTED).dicts())
        alerts = reader.query(ALERTS).dicts()
        forecasts = forecast_runs(reader, sorted(totals), now_ns)
        known = Known(
            standings,
            forecasts,
            {row[0]: row[1] for row in reader.query(LAST).rows},
            declared,
            Counter((row["subject_kind"], row["subject"]) for row in alerts),
        )
        subjects = [known.run(run_id, totals.get(run_id, [])) for run_id in declared]
        subjects += [known.group(kind, name) for kind, name in standings.rows if kind in {"model", "system"}]
        return Overview(
            now_ns,
            tuple(marks(standings.lines.values(), today)),
            tuple(sorted(subjects, key=nearness)),
            tuple(alerts),
            forecasts,
        )

    def _stand(self, runs: frozenset[str], today: date) -> Standings:
        before = self._standings
        began = self._monotonic()
        if before is not None and began < self._due and before.runs == runs:
            return before
        self._standings = found = stand(self._reader, runs, today)
        ended = self._monotonic()
        self._due = ended + max(DEAR_EVERY_S, DEAR_SHARE * (ended - began))
        return found


def added_up(*tables: Sequence[Row]) -> dict[str, list[Row]]:
    """What was measured or reported, and what was imported or corrected, added per run and basis."""
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in (row for table in tables for row in table):
        there = found[row["run_id"]].get(row["basis"])
        found[row["run_id"]][row["basis"]] = row if there is None else _sum(there, row)
    return {run_id: list(rows.values()) for run_id, rows in found.items()}


def _sum(one: Row, other: Row) -> Row:
    points = [row["flop_low"] if row["flop"] is None else row["flop"] for row in (one, other)]
    return {
        **one,
        "flop": None if one["flop"] is None and other["flop"] is None else sum(points),
        "flop_low": one["flop_low"] + other["flop_low"],
        "flop_high": one["flop_high"] + other["flop_high"],
    }
