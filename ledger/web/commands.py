"""`flopledger web`: the page on any ledger."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Annotated

import typer

from cli.settings import load
from cli.stopping import stop_on_signals
from ledger.access import Holder, connect
from ledger.gateway.service import reading_beside
from ledger.ledger import Ledger
from ledger.place import Server as ClickHouse
from ledger.place import place
from ledger.web.pool import beside
from ledger.web.service import Server


def web(
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="where to listen; 0 picks a free port")] = None,
) -> None:
    """Show the ledger in a browser until stopped: the one on its server, of whoever holds it, or opened here."""
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
