"""Every run, model and system against every line that matters to it: gathered once, shown to all.

Totals and shares are the ledger's own (`ledger.standing`); rates and forecasts are from curves computed ahead.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from ledger.catalogue_record import lines as lines_on_record
from ledger.forecast import Forecast, forecast_runs
from ledger.questions import OVERVIEW
from ledger.reader import Reader
from ledger.standing import standing
from ledger.thresholds import Threshold
from ledger.web.lines import Mark, Reach, marks, reaches

Row = dict[str, Any]
RUNS = "SELECT run_id, model_id, purpose, planned_flop, planned_end FROM runs"
COVERAGE = "SELECT run_id, coverage FROM coverage"
LAST = """
SELECT run, toInt64(max(last_at_ns)) FROM run_devices GROUP BY run
"""
ALERTS = """
SELECT
    alert_id, state, kind, subject_kind, subject, threshold, percent, basis, flop, line_flop, expected_at, summary,
    runbook, first_seen, entry_index
FROM alerts ORDER BY entry_index DESC
"""
MEMBERS = """
SELECT subject_kind, subject, arraySort(groupUniqArray(run_id)) AS runs FROM subject_runs
WHERE subject_kind IN ('model', 'system') GROUP BY subject_kind, subject
"""
DEAR_EVERY_S = 15.0
DEAR_SHARE = 20
KINDS = ("model", "system", "run")


@dataclass(frozen=True, slots=True)
class Subject:
    """A run, model or system: its total (FLOP) on the basis that speaks for it, and how near each line is.

    `runs` are those behind it. `flop_per_hour` is what an hour brings now, 0 when it does not grow, None when unknown.
    """

    kind: str
    id: str
    model_id: str
    purpose: str
    runs: tuple[str, ...]
    basis: str
    flop: int | None
    flop_low: int
    flop_high: int
    reaches: tuple[Reach, ...]
    planned_flop: int | None = None
    flop_per_hour: int | None = None
    coverage: float | None = None
    last_at_ns: int | None = None
    alerts: int = 0

    @property
    def point(self) -> int:
        """The estimate, or the upper bound where there is none."""
        return self.flop_high if self.flop is None else self.flop

    @property
    def ahead(self) -> Reach | None:
        """The lowest line that is not crossed yet."""
        left = [reach for reach in self.reaches if not reach.over and reach.state != "condition not declared"]
        return min(left, key=lambda reach: reach.line_flop, default=None)

    @property
    def behind(self) -> Reach | None:
        """The highest line that is crossed."""
        return max((r for r in self.reaches if r.over), key=lambda reach: reach.line_flop, default=None)


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
    """Asks all of it. What is dear to ask (where everything stands at every line) is asked again after a pause that
    grows with what it took, and at once when there is a run that it does not know.
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
        declared = {row["run_id"]: row for row in reader.query(RUNS).dicts()}
        standings = self._stand(declared.keys(), now_ns)
        totals = _by_run(reader.query(OVERVIEW).dicts())
        forecasts = forecast_runs(reader, sorted(totals), now_ns)
        alerts = reader.query(ALERTS).dicts()
        known = _Known(
            standings,
            forecasts,
            {run: at_ns for run, at_ns in reader.query(LAST).rows},  # noqa: C416 - rows are lists to the type checker
            Counter((row["subject_kind"], row["subject"]) for row in alerts),
        )
        subjects = [known.run(run_id, row, totals.get(run_id, [])) for run_id, row in declared.items()]
        subjects += [known.group(kind, name) for kind, name in standings.rows if kind in {"model", "system"}]
        return Overview(
            now_ns,
            tuple(marks(standings.lines.values(), _day(now_ns))),
            tuple(sorted(subjects, key=nearness)),
            tuple(alerts),
            forecasts,
        )

    def _stand(self, runs: Collection[str], now_ns: int) -> Standings:
        before = self._standings
        began = self._monotonic()
        if before is not None and began < self._due and before.runs == frozenset(runs):
            return before
        self._standings = found = _standings(self._reader, frozenset(runs), _day(now_ns))
        ended = self._monotonic()
        self._due = ended + max(DEAR_EVERY_S, DEAR_SHARE * (ended - began))
        return found


@dataclass(frozen=True, slots=True)
class Standings:
    """Where every subject stands at every line, and which runs are behind it."""

    runs: frozenset[str]
    lines: Mapping[str, Threshold]
    rows: Mapping[tuple[str, str], Sequence[Row]]
    members: Mapping[tuple[str, str], tuple[str, ...]]
    coverage: Mapping[str, float | None]


def _standings(reader: Reader, runs: frozenset[str], today: date) -> Standings:
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in standing(reader, today):
        rows[row["subject_kind"], row["subject"]].append(row)
    return Standings(
        runs,
        {line.id: line for line in lines_on_record(reader)},
        rows,
        {(kind, name): tuple(members) for kind, name, members in reader.query(MEMBERS).rows},
        dict(map(tuple, reader.query(COVERAGE).rows)),
    )


def _day(now_ns: int) -> date:
    return datetime.fromtimestamp(now_ns // 10**9, UTC).date()


def nearness(subject: Subject) -> tuple[float, ...]:
    """Order of the page: who crosses next comes first, then who is nearest, then who has crossed already."""
    ahead = subject.ahead
    at_ns = None if ahead is None else ahead.expected_at_ns
    share = 0.0 if ahead is None else ahead.share or ahead.share_high
    crossed = subject.behind is not None
    return (not crossed, at_ns is None, float(at_ns or 0), -share, -float(subject.point), KINDS.index(subject.kind))


def chosen(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The basis that speaks for a total: what was measured, else what was reported, else bounds."""
    return max(rows, key=lambda row: (row["flop"] is not None, row["basis"] == "hardware"), default=None)


@dataclass(frozen=True, slots=True)
class _Known:
    """Answers by subject, to put subjects together from."""

    standings: Standings
    forecasts: Mapping[str, Forecast]
    last_at_ns: Mapping[str, int]
    alerts: Mapping[tuple[str, str], int]

    def run(self, run_id: str, declared: Row, totals: Sequence[Row]) -> Subject:
        total = chosen(totals)
        forecast = self.forecasts.get(run_id)
        return Subject(
            kind="run",
            id=run_id,
            model_id=declared["model_id"],
            purpose=declared["purpose"],
            runs=(run_id,),
            basis="" if total is None else total["basis"],
            flop=None if total is None else total["flop"],
            flop_low=0 if total is None else total["flop_low"],
            flop_high=0 if total is None else total["flop_high"],
            reaches=self._reaches("run", run_id, total, (run_id,)),
            planned_flop=declared["planned_flop"],
            flop_per_hour=None if forecast is None else forecast.flop_per_hour,
            coverage=self.standings.coverage.get(run_id),
            last_at_ns=self.last_at_ns.get(run_id),
            alerts=self.alerts.get(("run", run_id), 0),
        )

    def group(self, kind: str, name: str) -> Subject:
        """Of what its lowest line counts; each line may count by another policy."""
        rows = self.standings.rows[kind, name]
        runs = self.standings.members.get((kind, name), ())
        total = chosen(rows)
        rates = [self.forecasts[run].flop_per_hour for run in runs if run in self.forecasts]
        seen = [self.last_at_ns[run] for run in runs if run in self.last_at_ns]
        return Subject(
            kind=kind,
            id=name,
            model_id="",
            purpose="",
            runs=runs,
            basis="" if total is None else total["basis"],
            flop=None if total is None else total["flop"],
            flop_low=0 if total is None else total["flop_low"],
            flop_high=0 if total is None else total["flop_high"],
            reaches=self._reaches(kind, name, total, runs),
            flop_per_hour=sum(rates) if rates else None,
            last_at_ns=max(seen, default=None),
            alerts=self.alerts.get((kind, name), 0),
        )

    def _reaches(self, kind: str, name: str, total: Mapping[str, Any] | None, runs: Sequence[str]) -> tuple[Reach, ...]:
        if total is None:
            return ()
        rows = [row for row in self.standings.rows.get((kind, name), ()) if row["basis"] == total["basis"]]
        found = sorted(reaches(rows, self.standings.lines), key=lambda reach: (reach.line_flop, reach.line.id))
        return tuple(self._foreseen(reach, runs) for reach in found)

    def _foreseen(self, reach: Reach, runs: Sequence[str]) -> Reach:
        """With the date at which it is expected to be crossed, where it is one run that grows towards it."""
        growing = [f for f in (self.forecasts.get(run) for run in runs) if f is not None and f.flop_per_hour > 0]
        if reach.flop is None or reach.over or len(growing) != 1:
            return reach
        (forecast,) = growing
        # What counts towards a line may be more or less than the run's own total: what is missing is the same.
        crossing = forecast.crossing(forecast.flop + reach.line_flop - reach.flop)
        return replace(
            reach,
            expected_at_ns=crossing.expected_at_ns,
            early_at_ns=crossing.early_at_ns,
            late_at_ns=crossing.late_at_ns,
        )


def _by_run(rows: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["run_id"]].append(row)
    return found
