"""`flopledger ledger …`: questions to the account, and what people declare."""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from cli.exits import Misconfigured
from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.declarations import Declaration, declared
from ledger.readonly import check
from ledger.totals import (
    COVERAGE_COLUMNS,
    RECONCILIATION_COLUMNS,
    RUN_COLUMNS,
    TOTAL_COLUMNS,
    UNATTRIBUTED_COLUMNS,
    rows,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
runs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What is known and declared of each run.")
app.add_typer(runs_app, name="runs")

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]


@app.command()
def migrate(form: FormatOption = Format.TABLE) -> None:
    """Bring the ledger's tables to this version; done already when nothing is missing."""
    with connect(load().data_dir, time.time_ns) as ledger:
        found = ledger.query("SELECT number, name, sha256, applied_at FROM migrations ORDER BY number").dicts()
    emit("migrations", found, ("number", "name", "sha256", "applied_at"), form)


@app.command()
def totals(form: FormatOption = Format.TABLE) -> None:
    """Cumulative training compute per run and basis, with bounds."""
    _print_view("totals", "run_totals", TOTAL_COLUMNS, "run_id, basis", form)


@app.command()
def coverage(form: FormatOption = Format.TABLE) -> None:
    """How much of each run's device time was observed, and against what."""
    _print_view("coverage", "coverage", COVERAGE_COLUMNS, "run_id", form)


@app.command()
def unattributed(form: FormatOption = Format.TABLE) -> None:
    """Device time and compute that belong to no known run."""
    _print_view("unattributed", "unattributed", UNATTRIBUTED_COLUMNS, "cluster, node, device", form)


@app.command()
def reconciliation(form: FormatOption = Format.TABLE) -> None:
    """Hardware and architecture totals side by side."""
    _print_view("reconciliation", "reconciliation", RECONCILIATION_COLUMNS, "run_id", form)


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help="one SELECT, DESCRIBE or SHOW")], form: FormatOption = Format.TABLE
) -> None:
    """Ask the ledger anything that reads."""
    with connect(load().data_dir, time.time_ns) as ledger:
        result = ledger.query(check(statement))
    emit("rows", result.dicts(), result.columns, form)


@runs_app.command("list")
def list_runs(form: FormatOption = Format.TABLE) -> None:
    """Every run that was declared or measured."""
    _print_view("runs", "runs", RUN_COLUMNS, "run_id", form)


@runs_app.command("set")
def set_run(
    run_id: str,
    model: Annotated[str | None, typer.Option(help="model that the run belongs to")] = None,
    purpose: Annotated[str | None, typer.Option(help="pre-training, fine-tuning, …")] = None,
    dtype: Annotated[str | None, typer.Option(help="format it multiplies in: bf16, fp8, …")] = None,
    planned_flop: Annotated[str | None, typer.Option(help="declared budget, FLOP: 3.8e25")] = None,
    planned_end: Annotated[str | None, typer.Option(help="RFC 3339: 2026-11-23T00:00:00Z")] = None,
    devices: Annotated[int | None, typer.Option(help="world size, for coverage")] = None,
    author: Annotated[str, typer.Option(help="who declares it")] = "command line",
) -> None:
    """Declare a run; what is not given stays as it was. A journal entry: nothing is overwritten."""
    given: dict[str, Any] = {
        "model_id": model,
        "purpose": purpose,
        "dtype": dtype,
        "planned_flop": None if planned_flop is None else _whole_flop(planned_flop),
        "planned_end": planned_end,
        "devices": devices,
    }
    with connect(load().data_dir, time.time_ns) as ledger:
        before = declared(ledger, run_id)
        after: Declaration = replace(before, **{name: value for name, value in given.items() if value is not None})
        index = ledger.append([after.statement(author)])[0]
    typer.echo(f"{run_id}: declared in journal entry {index}")


def _print_view(noun: str, view: str, columns: tuple[str, ...], order: str, form: Format) -> None:
    with connect(load().data_dir, time.time_ns) as ledger:
        found = rows(ledger, view, columns, order)
    emit(noun, found, columns, form)


def _whole_flop(text: str) -> int:
    """`3.8e25` exactly, not by way of a float."""
    try:
        number = Decimal(text)
    except InvalidOperation as error:
        raise Misconfigured(f"--planned-flop {text!r} is not a number such as 3.8e25") from error
    if not number.is_finite() or number != number.to_integral_value():
        raise Misconfigured(f"--planned-flop {text!r} is not a whole number of FLOP")
    return int(number)
