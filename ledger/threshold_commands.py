"""`flopledger thresholds …`: the lines, and where runs stand against them."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.exits import NO
from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.assess import ALERT_COLUMNS, assess
from ledger.place import place
from ledger.standing import STANDING_COLUMNS, standing
from ledger.thresholds import catalogue

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
LINE_COLUMNS = (
    "id",
    "amount_flop",
    "operator",
    "unit",
    "status",
    "in_force_from",
    "in_force_until",
    "jurisdiction",
    "instrument",
    "citation",
)


@app.command("list")
def list_lines(form: FormatOption = Format.TABLE) -> None:
    """Every line in the catalogue, those out of force too."""
    found = [{name: _cell(getattr(line, name)) for name in LINE_COLUMNS} for line in catalogue()]
    emit("thresholds", found, LINE_COLUMNS, form)


@app.command("assess")
def assess_runs(form: FormatOption = Format.TABLE) -> None:
    """Where every run stands against every line now. Exits 1 when an estimate has crossed one."""
    with connect(place(load()), time.time_ns) as ledger:
        alerts = assess(ledger, catalogue(), time.time_ns())
        found = standing(ledger, catalogue())
    emit("standing", found, STANDING_COLUMNS, form)
    if any(alert.kind == "estimate" and alert.percent == 100 for alert in alerts):
        raise typer.Exit(NO)


@app.command("alerts")
def list_alerts(form: FormatOption = Format.TABLE) -> None:
    """Every alert on record, in the order of raising."""
    with connect(place(load()), time.time_ns) as ledger:
        found = ledger.query(f"SELECT {', '.join(ALERT_COLUMNS)} FROM alerts ORDER BY entry_index").dicts()
    emit("alerts", found, ALERT_COLUMNS, form)


def _cell(value: object) -> object:
    return value if isinstance(value, int | str) or value is None else str(value)
