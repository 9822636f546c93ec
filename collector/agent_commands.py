"""`flopledger collector agents …`: whose batches count. Each change is an entry of the ledger's journal."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cli.exits import Misconfigured
from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.agents import AGENT_COLUMNS, APPROVED, enrolled, revoked
from ledger.place import place
from wire.rfc3339 import parse_ns

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Agents' keys: whose batches count.")

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
AuthorOption = Annotated[str, typer.Option(help="who decides it")]


@app.callback()
def main() -> None:
    """Agents' keys: whose batches count."""


@app.command("list")
def list_agents(form: FormatOption = Format.TABLE) -> None:
    """Every key on record, how it came to be trusted, and from when on it is not."""
    with connect(place(load()), time.time_ns) as ledger:
        found = ledger.query(f"SELECT {', '.join(AGENT_COLUMNS)} FROM agents ORDER BY cluster, node, agent").dicts()
    emit("agents", found, AGENT_COLUMNS, form)


@app.command()
def approve(
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="as `flopledger agent key` prints them")],
    cluster: Annotated[str, typer.Option(help="only batches of this cluster count [any]")] = "",
    node: Annotated[str, typer.Option(help="only batches of this node count [any]")] = "",
    author: AuthorOption = "command line",
) -> None:
    """Trust keys from now on; a revocation before ends. What lies in quarantine can be replayed then."""
    with connect(place(load()), time.time_ns) as ledger:
        statements = [enrolled(key, APPROVED, author, cluster, node) for key in dict.fromkeys(keys)]
        indices = ledger.append(statements)
    typer.echo(f"{len(indices)} approved in journal entry {indices[0]}" + (f" to {indices[-1]}" * (len(indices) > 1)))


@app.command()
def revoke(
    key: str,
    since: Annotated[str, typer.Option("--from", help="RFC 3339: what it sealed then or later does not count")],
    reason: Annotated[str, typer.Option(help="why, for whoever reads the journal")],
    author: AuthorOption = "command line",
) -> None:
    """End the trust in a key. What was counted already stays counted, and stands in the view `findings`."""
    try:
        from_ns = parse_ns(since)
    except ValueError as error:
        raise Misconfigured(f"--from {since!r}: {error}, such as 2026-11-24T00:00:00Z") from error
    with connect(place(load()), time.time_ns) as ledger:
        (index,) = ledger.append([revoked(key, from_ns, reason, author)])
    typer.echo(f"{key}: revoked from {since} on in journal entry {index}")
