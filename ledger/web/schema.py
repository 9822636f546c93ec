"""What the JSON API answers with. FLOP are decimal strings: they are past what JSON's numbers hold in most readers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema

from ledger.web.curves import Ahead, Point
from ledger.web.lines import Reach
from ledger.web.subjects import Subject
from wire.rfc3339 import format_ns

Flop = Annotated[
    int, PlainSerializer(str, return_type=str), WithJsonSchema({"type": "string", "pattern": "^-?[0-9]+$"})
]
"""An exact integer, FLOP."""


def _instant(at: Any) -> Any:
    if isinstance(at, int):
        return format_ns(at)
    return format_ns(int(at.timestamp()) * 10**9) if isinstance(at, datetime) else at


Instant = Annotated[str, BeforeValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
"""RFC 3339, UTC."""


class Shown(BaseModel):
    """Built from our own values."""

    model_config = ConfigDict(from_attributes=True, extra="ignore")


class Standing(Shown):
    """How far a subject has come towards one line, and when it is expected to cross it."""

    threshold: str
    applies: str
    basis: str
    line_flop: Flop
    flop: Flop | None
    flop_low: Flop
    flop_high: Flop
    share: float | None
    state: str
    expected_at: Instant | None
    early_at: Instant | None
    late_at: Instant | None

    @classmethod
    def of(cls, reach: Reach) -> Standing:
        """From what the page shows."""
        return cls(
            threshold=reach.line.id,
            applies=reach.applies,
            basis=reach.basis,
            line_flop=reach.line_flop,
            flop=reach.flop,
            flop_low=reach.flop_low,
            flop_high=reach.flop_high,
            share=reach.share,
            state=reach.state,
            expected_at=reach.expected_at_ns,
            early_at=reach.early_at_ns,
            late_at=reach.late_at_ns,
        )


class Listed(Shown):
    """A run, model or system: its total on the basis that speaks for it. `flop_per_hour` is null when unknown."""

    kind: str
    id: str
    model_id: str
    purpose: str
    basis: str
    flop: Flop | None
    flop_low: Flop
    flop_high: Flop
    planned_flop: Flop | None
    flop_per_hour: Flop | None
    coverage: float | None
    last_at: Instant | None
    alerts: int
    standings: list[Standing]

    @classmethod
    def of(cls, subject: Subject) -> Listed:
        """From what the page shows."""
        return cls(
            kind=subject.kind,
            id=subject.id,
            model_id=subject.model_id,
            purpose=subject.purpose,
            basis=subject.basis,
            flop=subject.flop,
            flop_low=subject.flop_low,
            flop_high=subject.flop_high,
            planned_flop=subject.planned_flop,
            flop_per_hour=subject.flop_per_hour,
            coverage=subject.coverage,
            last_at=subject.last_at_ns,
            alerts=subject.alerts,
            standings=[Standing.of(reach) for reach in subject.reaches],
        )


class Alert(Shown):
    """One row of the view `alerts`."""

    alert_id: str
    state: str
    kind: str
    subject_kind: str
    subject: str
    threshold: str | None
    percent: int | None
    basis: str
    flop: Flop | None
    line_flop: Flop | None
    expected_at: Instant | None
    first_seen: Instant
    summary: str
    runbook: str


class CurvePoint(Shown):
    """A total by a time, and its mean rate since the point before."""

    at: Instant
    flop: Flop
    flop_low: Flop
    flop_high: Flop
    flop_per_hour: Flop | None

    @classmethod
    def of(cls, point: Point | Ahead) -> CurvePoint:
        """Of the past, or of the forecast."""
        per_hour = point.flop_per_hour if isinstance(point, Point) else None
        return cls(
            at=point.at_ns,
            flop=point.flop,
            flop_low=point.flop_low,
            flop_high=point.flop_high,
            flop_per_hour=per_hour,
        )


class PartOf(Shown):
    """A share of a run's measured total."""

    name: str
    flop: Flop
    flop_low: Flop
    flop_high: Flop
    observed_ns: int
    gap_ns: int


class OverviewAnswer(Shown):
    """Everything on record, nearest to a line first."""

    at: Instant
    subjects: list[Listed]
    alerts: list[Alert]


class SubjectsAnswer(Shown):
    """One page of subjects; `total` fit what was asked for."""

    at: Instant
    total: int
    subjects: list[Listed]


class RunAnswer(Shown):
    """One run. `parts` by purpose, dtype, method, node and device hold the twenty largest each."""

    at: Instant
    run: Listed
    hardware_flop: Flop | None
    architecture_flop: Flop | None
    ratio: float | None
    likely_causes: list[str]
    parts: dict[str, list[PartOf]]
    curve: list[CurvePoint]
    reported: list[CurvePoint]
    forecast: list[CurvePoint]
    alerts: list[Alert]


class GroupAnswer(Shown):
    """One model or system, with the runs behind it."""

    at: Instant
    subject: Listed
    traits: list[str]
    unknown_models: list[str]
    runs: list[Listed]
    curve: list[CurvePoint]
    forecast: list[CurvePoint]
    alerts: list[Alert]


class Method(Shown):
    """Devices that are measured in one way."""

    cluster: str
    kind: str
    name: str
    method: str
    devices: int
    flop_per_s_max: Flop | None


class Node(Shown):
    """A node without a reading for a quarter of an hour."""

    cluster: str
    node: str
    last_at: Instant


class FleetAnswer(Shown):
    """Devices by method, silent nodes (the twenty longest), and time that belongs to nobody."""

    at: Instant
    devices: int
    nodes: int
    silent_nodes: int
    methods: list[Method]
    silent: list[Node]
    observed_ns: Flop
    unattributed_ns: Flop
    gap_ns: Flop


class Problem(BaseModel):
    """What went wrong, and what to do."""

    error: str
