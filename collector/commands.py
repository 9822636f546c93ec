"""`flopledger collector …`."""

from __future__ import annotations

import time

import typer

from cli.settings import load
from cli.stopping import stop_on_signals
from collector.service import announce, collecting
from collector.sources.outbox import OutboxSource
from collector.sources.outbox_file import OutboxFile

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def main() -> None:
    """Between agents and the ledger."""


@app.command()
def run() -> None:
    """Record what the agent of the same data directory stores, until stopped."""
    settings = load()
    stop = stop_on_signals()
    source = OutboxSource([OutboxFile(settings.data_dir / "outbox.db")], stop.wait)
    with collecting(source, settings.data_dir, announce, time.time_ns) as (collector, _):
        collector.run(stop.wait, settings.assess_every_s)
