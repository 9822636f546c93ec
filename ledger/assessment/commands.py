"""`flopledger alerts …`: what was raised, what it rests on, and who has taken it on."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Misconfigured
from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.assessment.alert import acknowledgement
from ledger.place import place

if TYPE_CHECKING:
    from ledger.reader import Reader

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
ALERT_COLUMNS = (
    "alert_id",
    "state",
    "first_seen",
    "kind",
    "subject_kind",
    "subject",
    "threshold",
    "percent",
    "lead_days",
    "basis",
    "flop",
    "line_flop",
    "expected_at",
    "notify_by",
    "summary",
    "acknowledged_at",
    "acknowledged_by",
    "resolved_at",
    "runbook",
)
TABLE_COLUMNS = ("alert_id", "state", "first_seen", "subject", "summary", "expected_at", "notify_by")
MORE_COLUMNS = ("policy", "acknowledged_note", "resolved_reason", "occurrence", "evidence", "entry_index")
SHOWN_COLUMNS = (*ALERT_COLUMNS, *MORE_COLUMNS)
_NOTIFICATION = "SELECT notification FROM thresholds WHERE id = {id:String}"


@app.command("list")
def list_alerts(
    everything: Annotated[bool, typer.Option("--all", help="those that are resolved too")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Alerts that are not resolved, in the order of raising."""
    columns = TABLE_COLUMNS if form is Format.TABLE else ALERT_COLUMNS
    view = "alert_history" if everything else "alerts"
    with connect(place(load()), time.time_ns) as ledger:
        found = ledger.query(f"SELECT {', '.join(columns)} FROM {view} ORDER BY entry_index").dicts()
    emit("alerts", found, columns, form)


@app.command()
def show(
    alert: Annotated[str, typer.Argument(help="its id, or how it begins")], form: FormatOption = Format.TABLE
) -> None:
    """One alert with all that it rests on, and what the law asks by when."""
    with connect(place(load()), time.time_ns) as ledger:
        found = _found(ledger, alert)
        line = ledger.query(_NOTIFICATION, {"id": found["threshold"] or ""})
    found["notification"] = line.rows[0][0] if line.rows else None
    if form is Format.TABLE:
        emit("alert", [{"what": name, "is": value} for name, value in found.items()], ("what", "is"), form)
        return
    if form is Format.JSON:
        found["evidence"] = json.loads(found["evidence"] or "{}")
    emit("alerts", [found], (*SHOWN_COLUMNS, "notification"), form)


@app.command()
def ack(
    alert: Annotated[str, typer.Argument(help="its id, or how it begins")],
    note: Annotated[str, typer.Option(help="what is being done about it")],
    author: Annotated[str, typer.Option(help="who takes it on")] = "command line",
) -> None:
    """Take an alert on: a journal entry. It stays until what it says is so no longer."""
    with connect(place(load()), time.time_ns) as ledger:
        found = _found(ledger, alert)
        if found["state"] != "raised":
            by = f" by {found['acknowledged_by']}" if found["state"] == "acknowledged" else ""
            typer.echo(f"{found['alert_id']}: {found['state']} already{by}")
            return
        (index,) = ledger.append([acknowledgement(found["alert_id"], note, author)])
    typer.echo(f"{found['alert_id']}: acknowledged in journal entry {index}")


def _found(reader: Reader, start: str) -> dict[str, Any]:
    """The one alert whose id begins so; raises `Misconfigured` for none or several."""
    rows = reader.query(
        f"SELECT {', '.join(SHOWN_COLUMNS)} FROM alert_history WHERE startsWith(alert_id, {{start:String}}) LIMIT 2",
        {"start": start},
    ).dicts()
    if not rows:
        raise Misconfigured(f"no alert {start!r} is on record: see `flopledger alerts list --all`")
    if len(rows) > 1:
        raise Misconfigured(f"more than one alert begins with {start!r}: give more of its id")
    return rows[0]
