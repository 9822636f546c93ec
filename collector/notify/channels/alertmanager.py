"""Alertmanager's API v2. It forgets an alert that is not said again, so what holds is repeated until it is resolved.

Labels say which alert it is and never change while it lives; annotations say the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from collector.notify.channels.http import post
from collector.notify.errors import NotDelivered, Unreached
from collector.notify.secret_file import read_secret
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from collector.notify.message import Message

API = "/api/v2/alerts"
REPEAT_EVERY_S = 60.0
HOLDS_NS = 300_000_000_000
"""How long one message holds without being repeated: four may be lost."""
RESOLVED_FOR_NS = 900_000_000_000
"""How long an end is repeated as well, as Prometheus does it."""
MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """All instances of one Alertmanager: each is told, and one that accepts is enough, since they tell one another."""

    name: str
    sha256: str
    urls: tuple[str, ...]
    username: str | None
    password_file: Path | None
    token_file: Path | None
    ca_file: Path | None
    kinds: frozenset[str] | None
    source: str
    now_ns: Callable[[], int]
    repeat_every_s: float | None = REPEAT_EVERY_S

    def wants(self, message: Message) -> bool:
        """By kind."""
        return self.kinds is None or message.alert.kind in self.kinds

    def send(self, message: Message) -> str:
        """Say how it stands with one alert."""
        return self._post([message])

    def repeat(self, latest: Sequence[Message]) -> None:
        """Say what holds, and what ended a moment ago."""
        now_ns = self.now_ns()
        due = [
            message
            for message in latest
            if not message.test and (message.name != "resolved" or abs(now_ns - message.change.at_ns) < RESOLVED_FOR_NS)
        ]
        for first in range(0, len(due), MOST_AT_ONCE):
            self._post(due[first : first + MOST_AT_ONCE])

    def _post(self, messages: Sequence[Message]) -> str:
        now_ns = self.now_ns()
        body = orjson.dumps([alert(message, self.source, now_ns) for message in messages])
        headers = {"content-type": "application/json", "user-agent": "flopledger"}
        token = None if self.token_file is None else read_secret(self.token_file)
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        password = None if self.password_file is None else read_secret(self.password_file)
        auth = None if password is None else (self.username or "", password)
        accepted, failures = [], []
        for url in self.urls:
            try:
                accepted.append(post(url.rstrip("/") + API, body, headers, self.ca_file, auth))
            except NotDelivered as error:
                failures.append(error)
        if accepted:
            return "; ".join([*accepted, *map(str, failures)])
        raise next((error for error in failures if isinstance(error, Unreached)), failures[0])


def labels(message: Message, source: str) -> dict[str, str]:
    """What Alertmanager tells alerts apart, groups and routes by."""
    alert = message.alert
    found = {
        "alertname": "Flopledger" + "".join(part.capitalize() for part in alert.kind.split("_")),
        "severity": alert.severity,
        "kind": alert.kind,
        "subject_kind": alert.subject_kind,
        "subject": alert.subject,
        "threshold": alert.threshold,
        "policy": alert.policy,
        "percent": alert.percent,
        "lead_days": alert.lead_days,
        "alert_id": alert.alert_id,
        "source": source,
        "test": "true" if message.test else None,
    }
    return {name: str(value) for name, value in found.items() if value not in {None, ""}}


def alert(message: Message, source: str, now_ns: int) -> dict[str, Any]:
    """One element of what is posted. A clock that was set back must not let it end before it starts."""
    began_ns = min(message.change.raised_at_ns, now_ns)
    if message.name == "resolved":
        ends_ns = max(min(message.change.at_ns, now_ns), began_ns + 1_000_000)
    else:
        ends_ns = now_ns + HOLDS_NS
    data = message.data()
    told = ("basis", "flop", "line_flop", "expected_at", "notify_by", "acknowledged_by", "change", "journal_entry")
    notes = {
        "summary": message.title() if message.test else message.alert.summary,
        "description": message.text(),
        "runbook_url": message.alert.runbook,
        "message_id": message.message_id,
        **{name: data[name] for name in told},
    }
    return {
        "labels": labels(message, source),
        "annotations": {name: str(value) for name, value in notes.items() if value not in {None, ""}},
        "startsAt": format_ns(began_ns),
        "endsAt": format_ns(ends_ns),
    }
