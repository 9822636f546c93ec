"""`flopledger thresholds …`: the lines, what counts towards them, and where everything stands."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.exits import NO
from cli.output import Format, console, emit
from cli.settings import load
from ledger.access import connect
from ledger.catalogue_file import catalogue
from ledger.catalogue_record import add, lines
from ledger.place import place
from ledger.standing import STANDING_COLUMNS, crossed_in_force, standing

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
LINE_COLUMNS = (
    "id",
    "subject",
    "amount_flop",
    "operator",
    "unit",
    "policy",
    "status",
    "today",
    "in_force_from",
    "in_force_until",
    "jurisdiction",
    "instrument",
    "citation",
)
LINE_TABLE_COLUMNS = ("id", "subject", "operator", "amount_flop", "unit", "policy", "today", "in_force_from")
POLICY_COLUMNS = ("policy", "purpose", "treatment", "title", "source", "shipped")
TABLE_COLUMNS = (
    "subject",
    "threshold",
    "applies",
    "basis",
    "flop",
    "flop_high",
    "disputed_flop",
    "excluded_flop",
    "operator",
    "line_flop",
    "share",
    "crossed",
    "notify_by",
)
TABLE_ROWS = 200
"""A table with more is for nobody to read."""


@app.command("list")
def list_lines(form: FormatOption = Format.TABLE) -> None:
    """Every line on record, those out of force too; without a ledger, those that come with this version."""
    where = place(load())
    if isinstance(where, Path) and not where.exists():
        found = list(catalogue())
    else:
        with connect(where, time.time_ns) as ledger:
            found = lines(ledger)
    today = _today()
    rows = [
        {name: _cell(getattr(line, name)) for name in LINE_COLUMNS if name not in {"amount_flop", "today"}}
        | {"amount_flop": line.amount, "today": line.standing_on(today)}
        for line in found
    ]
    emit("thresholds", rows, LINE_TABLE_COLUMNS if form is Format.TABLE else LINE_COLUMNS, form)


@app.command("policies")
def list_policies(form: FormatOption = Format.TABLE) -> None:
    """What counts towards a line, is excluded or disputed, by policy and purpose."""
    with connect(place(load()), time.time_ns) as ledger:
        found = ledger.query(f"SELECT {', '.join(POLICY_COLUMNS)} FROM policies ORDER BY policy, treatment, purpose")
    emit("policies", found.dicts(), POLICY_COLUMNS, form)


@app.command("add")
def add_lines(
    file: Annotated[Path, typer.Argument(help="TOML with [[line]] and [[policy]] tables")],
    author: Annotated[str, typer.Option(help="who adds it")] = "command line",
) -> None:
    """Put lines and policies of your own on record. What has an id that is there already takes its place."""
    with connect(place(load()), time.time_ns) as ledger:
        new = add(ledger, file, author)
    typer.echo(f"on record: {', '.join(new)}" if new else "all of it is on record already")


@app.command("assess")
def assess_all(
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="as things stood at the end of this day, UTC")
    ] = None,
    policy: Annotated[str, typer.Option(help="count by this policy, not by each line's own")] = "",
    every_line: Annotated[bool, typer.Option("--all", help="lines that do not apply on the day too")] = False,
    form: FormatOption = Format.TABLE,
) -> None:
    """Where every run, model, system and cluster stands against every line. Exits 1 when an estimate has crossed one
    that is in force on the day.
    """
    with connect(place(load()), time.time_ns) as ledger:
        found = standing(ledger, _today(), None if as_of is None else as_of.date(), policy, every_line=every_line)
    if form is Format.TABLE:
        _print_nearest(found)
    else:
        emit("standing", found, STANDING_COLUMNS, form)
    if crossed_in_force(found):
        raise typer.Exit(NO)


def _print_nearest(rows: list[dict[str, Any]]) -> None:
    """In a table, subjects carry their kind, and what is farthest from its line goes first when there is too much."""
    left_out = len(rows) - TABLE_ROWS
    if left_out > 0:
        rows = sorted(rows, key=lambda row: row["share"] or 0, reverse=True)[:TABLE_ROWS]
    named = [{**row, "subject": f"{row['subject_kind']} {row['subject']}"} for row in rows]
    emit("standing", named, TABLE_COLUMNS, Format.TABLE)
    if left_out > 0:
        console(stderr=True).print(f"{left_out} more are farther from their lines: --format json or csv has them")


def _today() -> date:
    return datetime.now(UTC).date()


def _cell(value: object) -> object:
    return value if isinstance(value, int | str) or value is None else str(value)
