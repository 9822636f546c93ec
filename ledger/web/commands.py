"""`flopledger web`: the page on any ledger; `web token`: who may see it."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from cli.output import Format, emit
from cli.settings import load
from cli.stopping import stop_on_signals
from ledger.access import Holder, connect
from ledger.gateway.service import reading_beside
from ledger.ledger import Ledger
from ledger.place import Server as ClickHouse
from ledger.place import place
from ledger.web.entry.roles import Role
from ledger.web.entry.tokens import FILE, add
from ledger.web.pool import beside
from ledger.web.service import Server

app = typer.Typer(invoke_without_command=True)


@app.callback()
def web(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="where to listen; 0 picks a free port")] = None,
) -> None:
    """Show the ledger in a browser until stopped: the one on its server, of whoever holds it, or opened here."""
    if context.invoked_subcommand is not None:
        return
    settings = load()
    where = place(settings)
    stop = stop_on_signals()
    with ExitStack() as stack:
        access = stack.enter_context(connect(where, time.time_ns))
        if isinstance(access, Ledger) and not isinstance(where, ClickHouse):
            # Nobody else holds it, so we do, for all: other commands and readers ask us.
            holder = Holder(access, where)
            holder.start()
            stack.callback(holder.stop)
            stack.enter_context(reading_beside(where, settings))
            access = stack.enter_context(beside(access, where))
        server = Server(access, settings, time.time_ns, port)
        server.start()
        stack.callback(server.stop)
        typer.echo(f"the page is at {server.url}")
        stop.wait()


@app.command()
def token(
    role: Annotated[Role, typer.Option(help="what its bearer may do")],
    name: Annotated[str, typer.Option(help="whose it is; stands in the audit log")],
    file: Annotated[Path | None, typer.Option(help="token file; default FLOPLEDGER_WEB_TOKENS_FILE")] = None,
    form: Annotated[Format, typer.Option("--format", help="table, json or csv")] = Format.TABLE,
) -> None:
    """Make a token for the page, keep its hash, and print it once. To take it back, remove its line from the file."""
    settings = load()
    path = file or settings.web_tokens_file or settings.data_dir / FILE
    row = {"name": name, "role": str(role), "token": add(path, name, role), "file": str(path)}
    emit("tokens", [row], ("name", "role", "token", "file"), form)
