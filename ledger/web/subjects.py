"""Runs, models and systems as the page shows them: a total, how near each line is, and when it will be crossed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledger.forecast import Forecast
from ledger.web.curves import together
from ledger.web.lines import UNDECLARED, Reach, reaches
from ledger.web.standings import Named, Parts, Row, Standings

KINDS = ("model", "system", "run")


@dataclass(frozen=True, slots=True)
class Subject:
    """A run, model or system: its total (FLOP) on the basis that speaks for it, and how near each line is.

    `parts` are the runs behind it with what each is to it, `growing` those whose growth is its own. `flop_per_hour` is
    what an hour brings now, 0 when it does not grow, None when unknown.
    """

    kind: str
    id: str
    model_id: str
    purpose: str
    parts: Parts
    growing: frozenset[str]
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
        left = [reach for reach in self.reaches if not reach.over and reach.state != UNDECLARED]
        return min(left, key=lambda reach: reach.line_flop, default=None)

    @property
    def behind(self) -> Reach | None:
        """The highest line that is crossed."""
        return max((r for r in self.reaches if r.over), key=lambda reach: reach.line_flop, default=None)


def nearness(subject: Subject) -> tuple[float, ...]:
    """Order of the page: who crosses next comes first, then who has crossed, then who is nearest."""
    ahead = subject.ahead
    at_ns = None if ahead is None else ahead.expected_at_ns
    share = 0.0 if ahead is None else ahead.share or ahead.share_high
    crossed = subject.behind is not None
    return (at_ns is None, float(at_ns or 0), not crossed, -share, -float(subject.point), KINDS.index(subject.kind))


def chosen(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The basis that speaks for a total: what was measured, else what was reported, else bounds."""
    return max(rows, key=lambda row: (row["flop"] is not None, row["basis"] == "hardware"), default=None)


@dataclass(frozen=True, slots=True)
class Known:
    """Answers by subject, to put subjects together from."""

    standings: Standings
    forecasts: Mapping[str, Forecast]
    last_at_ns: Mapping[str, int]
    declared: Mapping[str, Row]
    alerts: Mapping[Named, int]

    def run(self, run_id: str, totals: Sequence[Row]) -> Subject:
        """One run; `totals` has a row per basis."""
        declared = self.declared[run_id]
        total = chosen(totals)
        forecast = self.forecasts.get(run_id)
        own = frozenset({run_id})
        return Subject(
            kind="run",
            id=run_id,
            model_id=declared["model_id"],
            purpose=declared["purpose"],
            parts=((run_id, ("own",)),),
            growing=own,
            basis="" if total is None else total["basis"],
            flop=None if total is None else total["flop"],
            flop_low=0 if total is None else total["flop_low"],
            flop_high=0 if total is None else total["flop_high"],
            reaches=self._reaches(("run", run_id), total, own),
            planned_flop=declared["planned_flop"],
            flop_per_hour=None if forecast is None else forecast.flop_per_hour,
            coverage=self.standings.coverage.get(run_id),
            last_at_ns=self.last_at_ns.get(run_id),
            alerts=self.alerts.get(("run", run_id), 0),
        )

    def group(self, kind: str, name: str) -> Subject:
        """A model or system, of what its lowest line counts: each line may count by another policy."""
        total = chosen(self.standings.rows.get((kind, name), ()))
        parts = self.standings.parts.get((kind, name), ())
        growing = frozenset(run for run, roles in parts if {"own", "weights"} & set(roles) and self._counts(run))
        rates = [self.forecasts[run].flop_per_hour for run in growing if run in self.forecasts]
        return Subject(
            kind=kind,
            id=name,
            model_id="",
            purpose="",
            parts=parts,
            growing=growing,
            basis="" if total is None else total["basis"],
            flop=None if total is None else total["flop"],
            flop_low=0 if total is None else total["flop_low"],
            flop_high=0 if total is None else total["flop_high"],
            reaches=self._reaches((kind, name), total, growing),
            flop_per_hour=sum(rates) if rates else None,
            last_at_ns=max((self.last_at_ns[run] for run, _ in parts if run in self.last_at_ns), default=None),
            alerts=self.alerts.get((kind, name), 0),
        )

    def _counts(self, run_id: str) -> bool:
        return self.standings.counted(self.declared[run_id]["purpose"] if run_id in self.declared else "")

    def _reaches(self, subject: Named, total: Mapping[str, Any] | None, runs: frozenset[str]) -> tuple[Reach, ...]:
        if total is None:
            return ()
        rows = [row for row in self.standings.rows.get(subject, ()) if row["basis"] == total["basis"]]
        found = sorted(reaches(rows, self.standings.lines), key=lambda reach: (reach.line_flop, reach.line.id))
        return tuple(self._foreseen(reach, runs) for reach in found)

    def _foreseen(self, reach: Reach, runs: frozenset[str]) -> Reach:
        """With the date at which it is expected to be crossed, where something grows towards it."""
        growing = [f for f in map(self.forecasts.get, sorted(runs)) if f is not None and f.flop_per_hour > 0]
        if reach.flop is None or reach.over or not growing:
            return reach
        # What counts towards a line may be more or less than the runs' own totals: what is missing is the same.
        crossing = together(growing, reach.line_flop - reach.flop)
        return replace(
            reach,
            expected_at_ns=crossing.expected_at_ns,
            early_at_ns=crossing.early_at_ns,
            late_at_ns=crossing.late_at_ns,
        )
