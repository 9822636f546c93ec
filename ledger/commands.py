"""`flopledger ledger …`: questions to the account, and what people declare."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Annotated, Any

import typer

from cli.exits import Misconfigured
from cli.numbers import whole
from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.adjustments import ADJUSTMENT_COLUMNS, append_new, correction, known_run
from ledger.declare import Wanted, declare
from ledger.forecast.commands import forecast
from ledger.migrate import migrate as migrate_store
from ledger.model_commands import apply_file, models_app, systems_app
from ledger.place import Server, place, server_of
from ledger.proof import commands as proof_commands
from ledger.readonly import check
from ledger.report.commands import report
from ledger.roles import statements as role_statements
from ledger.store import Store
from ledger.totals import (
    COVERAGE_COLUMNS,
    RECONCILED_COLUMNS,
    RUN_COLUMNS,
    TOTAL_COLUMNS,
    UNATTRIBUTED_COLUMNS,
    rows,
)
from ledger.totals import reconciliation as both_bases
from wire.keys import load_or_create_key

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
runs_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="What is known and declared of each run.")
runs_app.command("apply")(apply_file)
app.add_typer(runs_app, name="runs")
app.add_typer(models_app, name="models")
app.add_typer(systems_app, name="systems")
app.command()(forecast)
app.command()(report)
app.command()(proof_commands.checkpoint)
app.command()(proof_commands.verify)
app.command()(proof_commands.rebuild)
app.command()(proof_commands.journal)

MIGRATE_S = 180
"""A statement for a whole cluster waits for every node."""
FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]


@app.command()
def migrate(form: FormatOption = Format.TABLE) -> None:
    """Bring the ledger's tables to this version; done already when nothing is missing. On a server this is never done
    by the way, and it makes the ledger's key where there is none and no journal either.
    """
    where = place(load())
    if isinstance(where, Server):
        with closing(Store.server(where, MIGRATE_S)) as store:
            migrate_store(store)
            if not where.key_file.exists() and not store.query("SELECT 1 FROM journal LIMIT 1").rows:
                load_or_create_key(where.key_file)
                typer.echo(f"made {where.key_file}: give it to every collector as a secret, and keep a copy", err=True)
    with connect(where, time.time_ns) as ledger:
        found = ledger.query("SELECT number, name, sha256, applied_at FROM migrations ORDER BY number").dicts()
    emit("migrations", found, ("number", "name", "sha256", "applied_at"), form)


@app.command()
def roles(
    apply: Annotated[bool, typer.Option("--apply", help="make them on the server, instead of printing them")] = False,
) -> None:
    """The roles that a ClickHouse server should know: who audits, who collects, who may ask for journal entries."""
    server = server_of(load())
    if server is None:
        raise Misconfigured("a ledger in a data directory has no roles: name a server in FLOPLEDGER_CLICKHOUSE_URL")
    if apply:
        with closing(Store.server(server, MIGRATE_S)) as store:
            for statement in role_statements(server):
                store.command(statement)
    typer.echo(";\n\n".join(role_statements(server)) + ";")


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
    """Hardware and architecture totals side by side, with likely causes of a gap."""
    with connect(place(load()), time.time_ns) as ledger:
        found = both_bases(ledger)
    emit("reconciliation", found, RECONCILED_COLUMNS, form)


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(help="one SELECT, DESCRIBE or SHOW")], form: FormatOption = Format.TABLE
) -> None:
    """Ask the ledger anything that reads."""
    with connect(place(load()), time.time_ns) as ledger:
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
    parent: Annotated[str | None, typer.Option(help="run whose weights it began with")] = None,
    author: Annotated[str, typer.Option(help="who declares it")] = "command line",
) -> None:
    """Declare a run; what is not given stays as it was. A journal entry: nothing is overwritten."""
    given: dict[str, Any] = {
        "model_id": model,
        "purpose": purpose,
        "dtype": dtype,
        "planned_flop": None if planned_flop is None else whole(planned_flop, "--planned-flop"),
        "planned_end": planned_end,
        "devices": devices,
        "parent": parent,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    with connect(place(load()), time.time_ns) as ledger:
        indices = declare(ledger, Wanted(runs={run_id: changes}), author)
    said = f"declared in journal entry {indices[0]}" if indices else "all of it is declared already"
    typer.echo(f"{run_id}: {said}")


@app.command()
def adjustments(form: FormatOption = Format.TABLE) -> None:
    """What was imported or corrected, entry by entry, as signed amounts."""
    _print_view("adjustments", "adjustments", ADJUSTMENT_COLUMNS, "entry_index", form)


@app.command()
def correct(
    run_id: str,
    reason: Annotated[str, typer.Option(help="why, in a sentence that an auditor can follow")],
    author: Annotated[str, typer.Option(help="who says so")],
    flop: Annotated[str | None, typer.Option(help="FLOP to add; negative to take away: -1.2e24")] = None,
    low: Annotated[str | None, typer.Option(help="lower bound of that amount; the amount itself if left out")] = None,
    high: Annotated[str | None, typer.Option(help="upper bound of that amount; the amount itself if left out")] = None,
    start: Annotated[str | None, typer.Option("--from", help="begin of the time it is about: RFC 3339")] = None,
    end: Annotated[str | None, typer.Option("--to", help="end of the time it is about: RFC 3339")] = None,
    basis: Annotated[str, typer.Option(help="hardware or architecture")] = "hardware",
    purpose: Annotated[str, typer.Option(help="purpose it counts under, if not the run's own")] = "",
) -> None:
    """Correct the total of a run by a signed amount, beside what was measured: a journal entry, never an edit."""
    point = None if flop is None else whole(flop, "--flop")
    flop_low, flop_high = (
        point if text is None else whole(text, option) for text, option in ((low, "--low"), (high, "--high"))
    )
    if flop_low is None or flop_high is None:
        raise Misconfigured("give --flop, or both --low and --high where no single amount can be named")
    made = correction(
        run_id, point, flop_low, flop_high, reason, period_start=start, period_end=end, basis=basis, purpose=purpose
    )
    made.statement(author)
    with connect(place(load()), time.time_ns) as ledger:
        if not known_run(ledger, run_id):
            raise Misconfigured(
                f"no run {run_id!r} was measured, declared or imported: see `flopledger ledger runs list`"
            )
        indices = append_new(ledger, [made], author).indices
    typer.echo(f"{run_id}: {f'corrected in journal entry {indices[0]}' if indices else 'this is on record already'}")


def _print_view(noun: str, view: str, columns: tuple[str, ...], order: str, form: Format) -> None:
    with connect(place(load()), time.time_ns) as ledger:
        found = rows(ledger, view, columns, order)
    emit(noun, found, columns, form)
