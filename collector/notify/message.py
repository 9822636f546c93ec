"""One change of one alert, as people and programs are told of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from collector.notify.changes import Change, ChangeName, unix_ns
from collector.notify.kinds import OPERATIONAL
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.reader import Reader

Severity = Literal["critical", "warning"]
IDS_AT_ONCE = 1_000
_TOLD = ("subject", "threshold", "percent", "lead_days", "flop", "line_flop", "basis", "expected_at", "notify_by")
_URGENT_PERCENT = 100
_URGENT_DAYS = 14
_ALERTS = (
    "SELECT alert_id, first_seen, acknowledged_at, acknowledged_by, resolved_at, subject_kind, subject, threshold, "
    "policy, kind, percent, lead_days, basis, flop, line_flop, expected_at, notify_by, summary, runbook, evidence "
    "FROM alert_history WHERE alert_id IN {ids:Array(String)} ORDER BY first_seen"
)


@dataclass(frozen=True, slots=True)
class Alert:
    """What the ledger says of one raising. FLOP are exact; None is what such an alert has not."""

    alert_id: str
    kind: str
    subject_kind: str
    subject: str
    summary: str
    threshold: str | None = None
    policy: str | None = None
    percent: int | None = None
    lead_days: int | None = None
    basis: str | None = None
    flop: int | None = None
    line_flop: int | None = None
    expected_at_ns: int | None = None
    notify_by_ns: int | None = None
    acknowledged_by: str | None = None
    runbook: str = ""
    evidence: Mapping[str, Any] | None = None

    @property
    def severity(self) -> Severity:
        """The same for as long as the alert lives; critical where a legal period runs or nears, or counting stopped."""
        if self.kind in {"foreseeable", "collector_stopped", "quarantine_storm"}:
            return "critical"
        if self.kind in OPERATIONAL:
            return "warning"
        near = self.lead_days is not None and 0 < self.lead_days <= _URGENT_DAYS
        return "critical" if near or (self.percent or 0) >= _URGENT_PERCENT else "warning"


@dataclass(frozen=True, slots=True)
class Message:
    """One change, with what the ledger knows of its alert. `message_id` is what receivers tell a repetition by."""

    change: Change
    alert: Alert
    test: bool = False

    @property
    def message_id(self) -> str:
        """Of the change."""
        return self.change.message_id

    @property
    def name(self) -> ChangeName:
        """Of the change."""
        return self.change.name

    def data(self) -> dict[str, Any]:
        """Everything, as JSON has it: FLOP as decimal strings, times as RFC 3339 in UTC."""
        alert = self.alert
        return {
            "change": self.change.name,
            "alert_id": alert.alert_id,
            "raising": self.change.raising,
            "raised_at": format_ns(self.change.raised_at_ns),
            "kind": alert.kind,
            "severity": alert.severity,
            "subject_kind": alert.subject_kind,
            "subject": alert.subject,
            "threshold": alert.threshold,
            "policy": alert.policy,
            "percent": alert.percent,
            "lead_days": alert.lead_days,
            "basis": alert.basis,
            "flop": _decimal(alert.flop),
            "line_flop": _decimal(alert.line_flop),
            "expected_at": _time(alert.expected_at_ns),
            "notify_by": _time(alert.notify_by_ns),
            "acknowledged_by": alert.acknowledged_by,
            "summary": alert.summary,
            "runbook": alert.runbook,
            "evidence": alert.evidence,
            "journal_entry": self.change.entry_index,
            "test": self.test,
        }

    def title(self) -> str:
        """One line."""
        mark = "TEST, nothing happened: " if self.test else ""
        return f"{mark}[{self.alert.severity}] {self.alert.summary}, {self.change.name}"

    def text(self) -> str:
        """For people, in lines of `what: value`."""
        said = self.data()
        known = [f"{name.replace('_', ' ')}: {said[name]}" for name in _TOLD if said[name] is not None]
        acknowledged = [f"acknowledged by: {said['acknowledged_by']}"] if said["acknowledged_by"] else []
        what_to_do = [f"what to do: {self.alert.runbook}"] if self.alert.runbook else []
        return "\n".join(
            [
                "This is a test of the channel. Nothing happened." if self.test else self.alert.summary,
                *known,
                *acknowledged,
                *what_to_do,
                f"alert {self.alert.alert_id}, message {self.message_id}",
            ]
        )


def messages(reader: Reader, changes: Sequence[Change], runbook_url: str) -> list[Message]:
    """These changes with what the ledger says of their alerts; one it does not show yet is left out."""
    ids = sorted({change.alert_id for change in changes})
    raisings: dict[str, list[dict[str, Any]]] = {}
    for first in range(0, len(ids), IDS_AT_ONCE):
        for row in reader.query(_ALERTS, {"ids": ids[first : first + IDS_AT_ONCE]}).dicts():
            raisings.setdefault(row["alert_id"], []).append(row)
    found = []
    for change in changes:
        rows = raisings.get(change.alert_id)
        if rows:
            row = next((row for row in rows if unix_ns(row["first_seen"]) == change.raised_at_ns), rows[-1])
            found.append(Message(change, _alert(row, runbook_url)))
    return found


def _alert(row: Mapping[str, Any], runbook_url: str) -> Alert:
    kind = row["kind"]
    runbook = row["runbook"] or f"{kind}.md"
    return Alert(
        alert_id=row["alert_id"],
        kind=kind,
        subject_kind=row["subject_kind"],
        subject=row["subject"],
        summary=row["summary"],
        threshold=row["threshold"] or None,
        policy=row["policy"] or None,
        percent=row["percent"] or None,
        lead_days=row["lead_days"] or None,
        basis=row["basis"] or None,
        flop=None if row["flop"] is None else int(row["flop"]),
        line_flop=None if row["line_flop"] is None else int(row["line_flop"]),
        expected_at_ns=None if row["expected_at"] is None else unix_ns(row["expected_at"]),
        notify_by_ns=None if row["notify_by"] is None else unix_ns(row["notify_by"]),
        acknowledged_by=row["acknowledged_by"] or None,
        runbook=runbook if "://" in runbook else runbook_url.rstrip("/") + "/" + runbook.rpartition("/")[2],
        evidence=json.loads(row["evidence"]) if row["evidence"] else None,
    )


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else format_ns(at_ns)


def _decimal(flop: int | None) -> str | None:
    return None if flop is None else str(flop)
