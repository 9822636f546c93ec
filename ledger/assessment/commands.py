"""`flopledger alerts …`: what was raised, what it rests on, and who has taken it on."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Misconfigured
from cli.numbers import whole
from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.assessment.alert import acknowledgement
from ledger.assessment.rules import Rules
from ledger.assessment.simulate import Supposed, simulated
from ledger.catalogue_record import lines
from ledger.declarations import declared
from ledger.forecast import forecast_run
from ledger.place import place
from wire.rfc3339 import format_ns, parse_ns

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
SIMULATED_COLUMNS = (
    "at",
    "kind",
    "threshold",
    "percent",
    "lead_days",
    "flop",
    "line_flop",
    "expected_at",
    "notify_by",
    "summary",
)
HOUR_NS = 3_600_000_000_000
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


@app.command()
def simulate(
    run_id: Annotated[str, typer.Argument(help="a run on record, whose total, pace and budget hold where not given")],
    planned_flop: Annotated[str | None, typer.Option(help="budget, FLOP: 3.8e25")] = None,
    flop_per_hour: Annotated[str | None, typer.Option(help="pace, FLOP per hour: 2e22")] = None,
    flop: Annotated[str | None, typer.Option(help="what it has taken so far, FLOP")] = None,
    planned_end: Annotated[str | None, typer.Option(help="RFC 3339: 2026-11-23T00:00:00Z")] = None,
    days: Annotated[int, typer.Option(min=1, max=730, help="how far ahead")] = 180,
    form: FormatOption = Format.TABLE,
) -> None:
    """What a budget and a pace would raise, and when; nothing is written. The run need not exist."""
    settings, now_ns = load(), time.time_ns()
    with connect(place(settings), time.time_ns) as ledger:
        known = forecast_run(ledger, run_id, now_ns)
        plan = declared(ledger, run_id)
        today = datetime.fromtimestamp(now_ns // 10**9, UTC).date()
        applying = [line for line in lines(ledger) if line.applies_on(today)]
    supposed = Supposed(
        run_id,
        _given(flop, "--flop", 0 if known is None else known.flop),
        _given(flop_per_hour, "--flop-per-hour", 0 if known is None else known.flop_per_hour),
        plan.planned_flop if planned_flop is None else whole(planned_flop, "--planned-flop"),
        _time_ns(planned_end or plan.planned_end),
        now_ns // HOUR_NS * HOUR_NS,
    )
    if supposed.planned_flop == 0:
        raise Misconfigured("a budget of 0 FLOP makes no sense: leave it out, or give what is planned")
    if not supposed.flop_per_hour and not supposed.planned_flop:
        raise Misconfigured(f"{run_id} has neither a pace nor a budget: give --flop-per-hour, --planned-flop or both")
    rows = [
        {"at": format_ns(at_ns), **{name: getattr(alert, name) for name in SIMULATED_COLUMNS if hasattr(alert, name)}}
        | {"expected_at": _text(alert.expected_at_ns), "notify_by": _text(alert.notify_by_ns)}
        for at_ns, alert in simulated(supposed, applying, Rules.of(settings), days * 24)
    ]
    emit("alerts", rows, SIMULATED_COLUMNS, form)


def _given(text: str | None, option: str, otherwise: int) -> int:
    if text is None:
        return otherwise
    number = whole(text, option)
    if number < 0:
        raise Misconfigured(f"{option}: {text} is less than nothing")
    return number


def _time_ns(text: str | None) -> int | None:
    try:
        return None if text is None else parse_ns(text)
    except ValueError as error:
        raise Misconfigured(f"--planned-end: {error}") from error


def _text(at_ns: int | None) -> str | None:
    return None if at_ns is None else format_ns(at_ns)


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
