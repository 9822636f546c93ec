"""`flopledger agent …`."""

from __future__ import annotations

import logging
import time
from typing import Annotated

import typer

from agent.assembly import KEY_FILE, AgentService, make_backends
from agent.attribution.sources import Attribution
from agent.device_listing import list_devices
from agent.preparing import prepare_node
from cli.kafka_settings import kafka_connection
from cli.output import Format
from cli.settings import load
from cli.stopping import stop_on_signals
from wire.keys import load_or_create_key
from wire.seal import key_id

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]


@app.command()
def run() -> None:
    """Measure this node into its outbox, and with FLOPLEDGER_KAFKA_BOOTSTRAP ship it from there, until stopped."""
    settings = load()
    ship_to = kafka_connection(settings)
    stop = stop_on_signals()
    with AgentService(settings, ship_to) as service:
        service.run(stop.wait)


@app.command()
def devices(form: FormatOption = Format.TABLE) -> None:
    """What each device can be measured by, and why the better ways are not available."""
    # What the backends warn of is part of what is printed.
    logging.getLogger("agent").setLevel(logging.ERROR)
    list_devices(make_backends(load(), Attribution([], time.monotonic_ns), time.time_ns), form)


@app.command()
def prepare(
    owner: Annotated[int, typer.Option(min=0, help="user id that the agent runs as")],
) -> None:
    """Give this node's folders to the user that the agent runs as, and print its key. Run as root, with CHOWN alone."""
    settings = load()
    typer.echo(f"{prepare_node(settings, owner)} {settings.node}")


@app.command()
def key() -> None:
    """This node's name in the ledger: its public key, made on first use."""
    typer.echo(key_id(load_or_create_key(load().data_dir / KEY_FILE).public_key()))
