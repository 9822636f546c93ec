"""The same as JSON, for programs: FLOP as decimal strings, times as RFC 3339 in UTC."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from ledger.web.schema import (
    Alert,
    CurvePoint,
    FleetAnswer,
    GroupAnswer,
    Listed,
    OverviewAnswer,
    PartOf,
    Problem,
    RunAnswer,
    SubjectsAnswer,
)
from ledger.web.state import Page, PageOf

MOST = 1_000
PROBLEMS: dict[int | str, dict[str, Any]] = {
    422: {"model": Problem, "description": "not understood"},
    503: {"model": Problem, "description": "the ledger does not answer; try again"},
}
MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem, "description": "nothing of this name"}}
Name = Annotated[str, Path(min_length=1, max_length=512)]

router = APIRouter(tags=["ledger"], responses=PROBLEMS)


@router.get("/overview", response_model=OverviewAnswer)
def overview(page: PageOf) -> Response:
    """Every run, model and system against every line, nearest first; and open alerts."""
    return Response(page.answers.get("overview.json", lambda: _overview(page)), media_type="application/json")


@router.get("/subjects")
def subjects(
    page: PageOf,
    q: Annotated[str, Query(max_length=512)] = "",
    kind: Annotated[str, Query(pattern="^(run|model|system)?$")] = "",
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> SubjectsAnswer:
    """Those whose name holds `q`, nearest to a line first."""
    seen = page.overview()
    wanted = q.strip().casefold()
    found = [s for s in seen.subjects if (not kind or s.kind == kind) and wanted in s.id.casefold()]
    return SubjectsAnswer(
        at=seen.at_ns,
        total=len(found),
        subjects=[Listed.of(subject) for subject in found[offset : offset + limit]],
    )


@router.get("/runs/{run_id:path}", responses=MISSING)
def run(page: PageOf, run_id: Name) -> RunAnswer:
    """One run: total on both bases, curve, forecast, and what it is made of."""
    found = page.run(run_id)
    pair = found.bases.hardware, found.bases.architecture
    hardware, architecture = (None if row is None else row["flop"] for row in pair)
    return RunAnswer(
        at=page.overview().at_ns,
        run=Listed.of(found.subject),
        hardware_flop=hardware,
        architecture_flop=architecture,
        ratio=found.bases.ratio,
        likely_causes=list(found.bases.causes),
        parts={name: [PartOf.model_validate(part) for part in parts] for name, parts in found.parts.items()},
        curve=[CurvePoint.of(point) for point in found.points],
        reported=[CurvePoint.of(point) for point in found.reported],
        forecast=[CurvePoint.of(point) for point in found.ahead],
        alerts=[Alert.model_validate(row) for row in found.alerts],
    )


@router.get("/models/{model_id:path}", responses=MISSING)
def model(page: PageOf, model_id: Name) -> GroupAnswer:
    """One model with all that went into it."""
    return _group(page, "model", model_id)


@router.get("/systems/{system_id:path}", responses=MISSING)
def system(page: PageOf, system_id: Name) -> GroupAnswer:
    """One system of several models."""
    return _group(page, "system", system_id)


@router.get("/fleet")
def fleet(page: PageOf) -> FleetAnswer:
    """Devices by method, silent nodes, and device time that belongs to nobody."""
    found = page.fleet()
    return FleetAnswer.model_validate(
        {
            "at": page.overview().at_ns,
            "devices": found.devices,
            "nodes": found.nodes,
            "silent_nodes": found.silent_nodes,
            "methods": found.methods,
            "silent": found.silent,
            "observed_ns": found.time["observed"] or 0,
            "unattributed_ns": found.time["unattributed"] or 0,
            "gap_ns": found.time["gap"] or 0,
        }
    )


def _overview(page: Page) -> bytes:
    seen = page.overview()
    return (
        OverviewAnswer(
            at=seen.at_ns,
            subjects=[Listed.of(subject) for subject in seen.subjects],
            alerts=[Alert.model_validate(row) for row in seen.alerts],
        )
        .model_dump_json()
        .encode()
    )


def _group(page: Page, kind: str, name: str) -> GroupAnswer:
    found = page.group(kind, name)
    return GroupAnswer(
        at=page.overview().at_ns,
        subject=Listed.of(found.subject),
        traits=list(found.traits),
        unknown_models=list(found.unknown_models),
        runs=[Listed.of(run) for run, _ in found.runs],
        curve=[CurvePoint.of(point) for point in found.points],
        forecast=[CurvePoint.of(point) for point in found.ahead],
        alerts=[Alert.model_validate(row) for row in found.alerts],
    )
