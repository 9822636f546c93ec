"""A message about nothing, to try a channel with."""

from __future__ import annotations

from collector.notify.changes import Change
from collector.notify.message import Alert, Message


def trial(identity: str, now_ns: int, runbook_url: str) -> Message:
    """One that says in every place that it is a test."""
    alert = Alert(
        alert_id=f"test-{identity}",
        kind="estimate",
        subject_kind="ledger",
        subject="test",
        summary="this is a test of the channel",
        runbook=runbook_url.rstrip("/") + "/README.md",
    )
    return Message(Change(alert.alert_id, 1, "raised", 0, now_ns, now_ns), alert, test=True)
