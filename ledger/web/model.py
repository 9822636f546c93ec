"""Everything about one model or system: what counts towards each line, the runs behind it, and what came from what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledger.reader import Reader
from ledger.report.questions import PARTS, UNKNOWN_MODELS
from ledger.web.curves import Ahead, Point, cone, hours, thinned, until
from ledger.web.graph import Graph, around, edges
from ledger.web.overview import Overview
from ledger.web.run import ALERTS, FORESEEABLE
from ledger.web.subjects import Subject

Row = dict[str, Any]
MODEL = "SELECT traits, declared FROM models WHERE model_id = {subject:String}"
MOST_RUNS = 60
"""Curves of more runs are not added up for a chart."""


@dataclass(frozen=True, slots=True)
class Group:
    """A model or system. `points` add up the runs that its lowest line counts, on the hardware basis."""

    subject: Subject
    traits: Sequence[str]
    runs: Sequence[tuple[Subject, Sequence[str]]]
    parts: Sequence[Row]
    unknown_models: Sequence[str]
    points: Sequence[Point]
    ahead: Sequence[Ahead]
    alerts: Sequence[Row]
    foreseeable: Sequence[Row]
    graph: Graph


def gather(reader: Reader, overview: Overview, subject: Subject, now_ns: int) -> Group:
    """Ask all of it."""
    asked = {"subject": subject.id, "kind": subject.kind}

    def ask(sql: str) -> list[Row]:
        return reader.query(sql, {name: value for name, value in asked.items() if f"{{{name}:" in sql}).dicts()

    roles = dict(subject.parts)
    runs = [(found, roles[found.id]) for found in overview.subjects if found.kind == "run" and found.id in roles]
    counted = [found for found, _ in runs if found.id in subject.growing]
    points = thinned([hours(reader, run.id, "hardware") for run in counted[:MOST_RUNS]], now_ns)
    growing = [f for f in (overview.forecasts.get(run.id) for run in counted) if f is not None and f.flop_per_hour > 0]
    horizon_ns = until(points, [subject.ahead.late_at_ns if subject.ahead else None], now_ns)
    traits = ask(MODEL)
    return Group(
        subject=subject,
        traits=traits[0]["traits"] if traits and subject.kind == "model" else (),
        runs=runs,
        parts=ask(PARTS),
        unknown_models=[row["model_id"] for row in ask(UNKNOWN_MODELS)],
        points=points,
        ahead=cone(growing, points[-1].flop if points else 0, horizon_ns),
        alerts=ask(ALERTS),
        foreseeable=ask(FORESEEABLE),
        graph=around((subject.kind, subject.id), edges(reader)),
    )
