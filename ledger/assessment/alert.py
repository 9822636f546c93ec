"""An alert: what it says, about whom, and the journal entries that raise, acknowledge and resolve it.

Its id follows from what it is about, so whoever raises it, however often, it is one alert. After it was resolved the
same thing can happen again: that is another alert, told apart by its `occurrence`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cli.output import scientific
from ledger.journal import Statement
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Mapping

SubjectKind = Literal["run", "model", "system", "agent", "device", "collector", "ledger"]
LineKind = Literal["planned", "forecast", "upper_bound", "estimate", "foreseeable"]
Kind = Literal[
    LineKind,
    "coverage_low",
    "agent_silent",
    "unattributed_share",
    "totals_apart",
    "quarantine_storm",
    "device_shared",
    "collector_stopped",
]
RAISED, ACKNOWLEDGED, RESOLVED, FORESEEABLE = "alert", "acknowledgement", "resolution", "foreseeable"
"""Kinds of journal entries."""
_NAMESPACE = uuid.UUID("6b1f4d0e-6f0b-5d0a-9a5e-0f10b1ed6e12")
_SAYS = {
    "planned": "the declared budget reaches {percent} % of {line}",
    "forecast": "at this pace {percent} % of {line} will be reached",
    "upper_bound": "the upper bound has reached {percent} % of {line}",
    "estimate": "the estimate has reached {percent} % of {line}",
    "foreseeable": "crossing {line} has become foreseeable",
}


@dataclass(frozen=True, slots=True)
class Alert:
    """Amounts in FLOP, times in Unix ns. Those about a line have a `threshold` and what belongs to it."""

    subject_kind: SubjectKind
    subject: str
    kind: Kind
    summary: str
    threshold: str | None = None
    policy: str = ""
    percent: int | None = None
    lead_days: int | None = None
    basis: str = ""
    flop: int | None = None
    line_flop: int | None = None
    expected_at_ns: int | None = None
    notify_by_ns: int | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    occurrence: int = 0

    @property
    def about(self) -> str:
        """What it is about: a line with another amount is another line."""
        line = (self.threshold, self.line_flop, self.percent, self.lead_days)
        return "\n".join(
            "" if part is None else str(part) for part in (self.subject_kind, self.subject, self.kind, *line)
        )

    @property
    def alert_id(self) -> str:
        """The same for the same alert, whoever raises it and however often."""
        return alert_id(self.about, self.occurrence)

    def statement(self, author: str) -> Statement:
        """The journal entry that raises it."""
        data: dict[str, Any] = {
            "alert_id": self.alert_id,
            **{
                name: getattr(self, name)
                for name in ("subject_kind", "subject", "threshold", "policy", "kind", "percent", "lead_days", "basis")
            },
            "flop": _text(self.flop),
            "line_flop": _text(self.line_flop),
            "expected_at": _time(self.expected_at_ns),
            "notify_by": _time(self.notify_by_ns),
            "summary": self.summary,
            "evidence": dict(self.evidence),
            "occurrence": self.occurrence,
        }
        return Statement(RAISED, author, data, request=f"alert {self.alert_id}")


def alert_id(about: str, occurrence: int) -> str:
    """The id of the alert on `about` that was raised after so many like it had been resolved."""
    return str(uuid.uuid5(_NAMESPACE, f"{about}\n{occurrence}"))


def acknowledgement(identity: str, note: str, author: str) -> Statement:
    """The journal entry by which somebody takes an alert on. The first one counts."""
    return Statement(ACKNOWLEDGED, author, {"alert_id": identity, "note": note})


def resolution(identity: str, reason: str, author: str) -> Statement:
    """The journal entry by which the ledger says that an alert is over."""
    data = {"alert_id": identity, "reason": reason}
    return Statement(RESOLVED, author, data, request=f"resolved {identity}")


def says(
    kind: LineKind, percent: int | None, line: str, line_flop: int, flop: int | None, lead_days: int | None
) -> str:
    """One sentence for people."""
    amount = f"{line} ({scientific(line_flop)} FLOP)"
    found = _SAYS[kind].format(percent=percent, line=amount)
    if lead_days is not None:
        found = f"at this pace {amount} will be reached within {lead_days} days"
    return found if flop is None else f"{found}: {scientific(flop)} FLOP"


def _text(flop: int | None) -> str | None:
    return None if flop is None else str(flop)


def _time(at_ns: int | None) -> str | None:
    return None if at_ns is None else format_ns(at_ns)
