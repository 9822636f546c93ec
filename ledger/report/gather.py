"""Everything that a report says, as plain values: what the JSON holds and what the pages are made from."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compute.reconcile import COUNTED, Facts, reconcile
from ledger.errors import Refused
from ledger.report import questions
from ledger.report.methods import METHOD_LIMITS
from ledger.report.treatment import in_order, summed, treated
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.reader import Reader

KINDS = ("model", "system", "run")
"""What a name is taken for first where it is several: a run is often called as its model."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """One subject against one line. FLOP are integers, times are in UTC; every list is in the order to be shown."""

    made_at: str
    subject_kind: str
    subject: str
    line: Row
    policy: Row
    standing: list[Row]
    treatments: list[Row]
    purposes: list[Row]
    parts: list[Row]
    runs: list[Row]
    lineage: list[Row]
    unknown_models: list[str]
    methods: list[Row]
    method_limits: list[Row]
    coverage: list[Row]
    unattributed: Row
    bases: list[Row]
    adjustments: list[Row]
    alerts: list[Row]
    foreseeable: list[Row]
    days: list[Row]
    evidence: Row
    checkpoint: Row | None


def gather(reader: Reader, subject: str, line_id: str, kind: str, now_ns: int) -> Report:
    """Ask all of it; raises `Refused` for a subject or a line that is not on record. `kind` may be empty."""
    line = _line(reader, line_id)
    kind = _kind(reader, subject, kind)
    asked = {"subject": subject, "kind": kind}

    def ask(sql: str, **more: Any) -> list[Row]:
        return reader.query(sql, {**asked, **more}).dicts()

    policy = ask(questions.POLICY, policy=line["policy"])
    treatment = {row["purpose"]: row["treatment"] for row in policy}
    parts = sorted((treated(part, treatment) for part in ask(questions.PARTS)), key=in_order)
    runs = sorted({part["run_id"] for part in parts}) or [subject]
    counted = sorted({part["run_id"] for part in parts if part["treatment"] == "counted"})
    methods = ask(questions.METHODS, runs=runs)
    return Report(
        made_at=format_ns(now_ns // 10**9 * 10**9),
        subject_kind=kind,
        subject=subject,
        line=line,
        policy={
            **{name: policy[0][name] if policy else "" for name in ("policy", "title", "source")},
            "treatment": treatment,
        },
        standing=ask(questions.STANDING, line=line_id, of=line["subject"]),
        treatments=summed(parts, "basis", "treatment"),
        purposes=summed(parts, "basis", "use", "treatment"),
        parts=parts,
        runs=ask(questions.RUNS, runs=runs),
        lineage=[] if kind == "run" else ask(questions.LINEAGE),
        unknown_models=[] if kind == "run" else [row["model_id"] for row in ask(questions.UNKNOWN_MODELS)],
        methods=methods,
        method_limits=_limits({row["method"] for row in methods}, {part["known_by"] for part in parts}),
        coverage=ask(questions.COVERAGE, runs=runs),
        unattributed=ask(questions.UNATTRIBUTED)[0],
        bases=[_with_causes(row) for row in ask(questions.BASES, runs=runs)],
        adjustments=ask(questions.ADJUSTMENTS, runs=runs),
        alerts=ask(questions.ALERTS, runs=runs, line=line_id),
        foreseeable=ask(questions.FORESEEABLE, runs=runs, line=line_id),
        days=[{**row, "day": row["day"].date()} for row in ask(questions.DAYS, runs=counted)],
        evidence=ask(questions.EVIDENCE)[0],
        checkpoint=next(iter(ask(questions.CHECKPOINT)), None),
    )


def _line(reader: Reader, line_id: str) -> Row:
    found = reader.query(questions.LINE, {"line": line_id}).dicts()
    if not found:
        known = [str(row[0]) for row in reader.query(questions.LINES).rows]
        near = difflib.get_close_matches(line_id, known, n=3, cutoff=0.4) or known
        raise Refused(f"no line {line_id!r} is on record; near it: {', '.join(near)}")
    if found[0]["subject"] == "cluster":
        raise Refused(f"{line_id} is a line on what a cluster can do: see `flopledger thresholds assess`")
    return found[0]


def _kind(reader: Reader, subject: str, kind: str) -> str:
    kinds = [str(row[0]) for row in reader.query(questions.SUBJECTS, {"subject": subject}).rows]
    if kind and kind not in kinds:
        raise Refused(f"no {kind} {subject!r} is on record: see `flopledger ledger runs list` and `models list`")
    if not kinds:
        raise Refused(
            f"{subject!r} is no run, model or system on record: see `flopledger ledger runs list` and `models list`"
        )
    return kind or next(name for name in KINDS if name in kinds)


def _limits(methods: set[str], known_by: set[str]) -> list[Row]:
    names = [name for name in METHOD_LIMITS if name in methods | known_by]
    unknown = sorted(methods - METHOD_LIMITS.keys())
    return [{"method": name, "says": METHOD_LIMITS.get(name, "")} for name in (*names, *unknown)]


def _with_causes(row: Mapping[str, Any]) -> Row:
    pair = (row["hardware_flop"], row["architecture_flop"])
    causes = reconcile(*pair, Facts(other_peaks=COUNTED)).causes if all(pair) else ()
    return {**row, "likely_causes": [cause.name for cause in causes]}
