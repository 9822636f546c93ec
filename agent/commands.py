"""`flopledger agent …`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from agent.assembly import KEY_FILE, AgentService, make_backends
from agent.attribution.sources import Attribution
from cli.kafka_settings import kafka_connection
from cli.output import Format, emit
from cli.settings import load
from cli.stopping import stop_on_signals
from wire.keys import load_or_create_key
from wire.seal import key_id

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
DEVICE_COLUMNS = (
    "device",
    "kind",
    "name",
    "accelerator",
    "units",
    "clock_max_mhz",
    "flop_per_s_max",
    "method",
    "not_available",
)


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
    backends = make_backends(load(), Attribution([], time.monotonic_ns), time.time_ns)
    found = []
    for backend in backends:
        for device in backend.devices():
            ways = backend.capabilities(device)
            found.append(
                {
                    "device": device.id,
                    "kind": device.kind,
                    "name": device.name,
                    "accelerator": device.accelerator,
                    "units": device.units,
                    "clock_max_mhz": device.clock_max_mhz,
                    "flop_per_s_max": device.flop_per_s_max,
                    "method": next((way.method.value for way in ways if way.available), None),
                    "not_available": "; ".join(
                        f"{way.method.value}: {way.reason}" for way in ways if not way.available
                    ),
                }
            )
        for notice in backend.notices:
            typer.echo(notice, err=True)
        backend.close()
    emit("devices", found, DEVICE_COLUMNS, form)


@app.command()
def key() -> None:
    """This node's name in the ledger: its public key, made on first use."""
    typer.echo(key_id(load_or_create_key(load().data_dir / KEY_FILE).public_key()))
