"""Everything about one run, asked in a dozen questions that are each quick whatever the ledger's size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compute.reconcile import COUNTED, Facts, reconcile
from ledger import questions
from ledger.reader import Reader
from ledger.web.curves import Ahead, Point, cone, hours, thinned, until
from ledger.web.graph import Graph, around, edges
from ledger.web.overview import Overview
from ledger.web.subjects import Subject

Row = dict[str, Any]
DECLARED = "SELECT * FROM runs WHERE run_id = {run:String}"
ADJUSTMENTS = "SELECT * FROM adjustments WHERE run_id = {run:String} ORDER BY entry_index DESC"
ALERTS = """
SELECT * FROM alert_history WHERE subject_kind = {kind:String} AND subject = {subject:String}
ORDER BY entry_index DESC LIMIT 100
"""
FORESEEABLE = """
SELECT * FROM foreseeable WHERE subject_kind = {kind:String} AND subject = {subject:String} ORDER BY line_flop
"""
PARTS = {
    "purpose": ("by purpose", ("purpose",)),
    "dtype": ("by dtype", ("dtype",)),
    "method": ("by method", ("method",)),
    "node": ("by node", ("cluster", "node")),
    "device": ("by device", ("device",)),
}


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a run's measured total: FLOP with bounds, and device time."""

    name: str
    flop: int
    flop_low: int
    flop_high: int
    observed_ns: int
    gap_ns: int


@dataclass(frozen=True, slots=True)
class Bases:
    """The two totals side by side; `causes` are what usually explains such a ratio."""

    hardware: Row | None
    architecture: Row | None
    ratio: float | None
    causes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Run:
    """One run, as its page and the API show it."""

    subject: Subject
    declared: Row
    bases: Bases
    points: Sequence[Point]
    reported: Sequence[Point]
    ahead: Sequence[Ahead]
    state: str
    parts: dict[str, Sequence[Part]]
    lives: Sequence[Row]
    births: Sequence[Row]
    time: Row
    alerts: Sequence[Row]
    foreseeable: Sequence[Row]
    adjustments: Sequence[Row]
    graph: Graph


def gather(reader: Reader, overview: Overview, subject: Subject, now_ns: int) -> Run:
    """Ask all of it."""
    asked = {"run": subject.id, "kind": "run", "subject": subject.id}

    def ask(sql: str) -> list[Row]:
        return reader.query(sql, {name: value for name, value in asked.items() if f"{{{name}:" in sql}).dicts()

    totals = {row["basis"]: row for row in ask(questions.TOTAL)}
    points = thinned([hours(reader, subject.id, "hardware")], now_ns)
    forecast = overview.forecasts.get(subject.id)
    growing = [forecast] if forecast is not None and forecast.flop_per_hour > 0 else []
    horizon_ns = until(points, [subject.ahead.late_at_ns if subject.ahead else None], now_ns)
    return Run(
        subject=subject,
        declared=ask(DECLARED)[0],
        bases=_bases(totals),
        points=points,
        reported=thinned([hours(reader, subject.id, "architecture")], now_ns),
        ahead=cone(growing, subject.flop or 0, horizon_ns),
        state="" if forecast is None else forecast.state,
        parts={
            name: [_part(row, columns) for row in ask(questions.QUESTIONS[question])]
            for name, (question, columns) in PARTS.items()
        },
        lives=ask(questions.BY_INCARNATION),
        # After the first hour these are restarts, or nodes that joined.
        births=ask(questions.BIRTHS),
        time=ask(questions.COVERAGE)[0],
        alerts=ask(ALERTS),
        foreseeable=ask(FORESEEABLE),
        adjustments=ask(ADJUSTMENTS),
        graph=around(("run", subject.id), edges(reader)),
    )


def _part(row: Row, columns: Sequence[str]) -> Part:
    name = " / ".join(str(row[column]) for column in columns)
    return Part(name, row["total"], row["low"], row["high"], row["observed"] or 0, row["gap"] or 0)


def _bases(totals: dict[str, Row]) -> Bases:
    hardware, architecture = totals.get("hardware"), totals.get("architecture")
    pair = (hardware and hardware["flop"], architecture and architecture["flop"])
    if not all(pair):
        return Bases(hardware, architecture, None, ())
    measured, reported = int(pair[0] or 0), int(pair[1] or 0)
    causes = [cause.name for cause in reconcile(measured, reported, Facts(other_peaks=COUNTED)).causes]
    return Bases(hardware, architecture, measured / reported, causes)
