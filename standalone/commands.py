"""`flopledger demo`, `up`, `simulate` and `version`."""

from __future__ import annotations

import json
from importlib.metadata import version as distribution_version
from pathlib import Path
from typing import Annotated

import typer

from cli.exits import NO
from cli.output import Format, emit, print_json, progress_bar
from cli.settings import load
from cli.stopping import stop_on_signals

FormatOption = Annotated[Format, typer.Option("--format", help="table or json")]


def demo(form: FormatOption = Format.TABLE) -> None:
    """Count real training on this machine, then watch Llama 3.1 405B cross the EU's line in fast motion."""
    from standalone.demo import run_demo
    from standalone.story import Story

    result = run_demo(load(), Story(quiet=form is not Format.TABLE))
    if form is not Format.TABLE:
        print_json(result.as_json())
    if not result.exact:
        raise typer.Exit(NO)


def up() -> None:
    """Count this machine: agent, collector and ledger in one process, until stopped."""
    from standalone.up import up as run_up

    run_up(load(), stop_on_signals())


def simulate(
    scenario: Annotated[str, typer.Argument(help="a scenario's file, or the name of one that comes along")],
    truth: Annotated[Path | None, typer.Option(help="write the scenario's truth to this file")] = None,
    form: FormatOption = Format.TABLE,
) -> None:
    """Play a scenario into the ledger. Exits 1 when a total differs from the truth."""
    from agent.devices.simulated.scenario_file import load as load_file
    from agent.devices.simulated.scenario_file import load_shipped, shipped
    from agent.devices.simulated.truth import write_truth
    from collector.service import announce
    from standalone.fleet_process import FleetProcess
    from standalone.simulate import simulate as play

    found = load_shipped(scenario) if scenario in shipped() else load_file(Path(scenario))
    if truth is not None:
        write_truth(found, truth)
    with FleetProcess(found) as fleet, progress_bar("simulating") as advanced:
        outcome = play(found, fleet, load().data_dir, lambda _, alerts: announce(alerts), advanced)
    emit(
        "runs",
        [
            {"run_id": run_id, "flop": outcome.counted.get(run_id), "truth_flop": flop}
            for run_id, flop in outcome.truth.items()
        ],
        ("run_id", "flop", "truth_flop"),
        form,
    )
    if not outcome.exact:
        raise typer.Exit(NO)


def version(form: FormatOption = Format.TABLE) -> None:
    """Versions of this program, its wire format and its FLOP table."""
    from compute.accelerators import VERSION
    from wire.batch import SCHEMA

    versions = {"flopledger": distribution_version("flopledger"), "wire": SCHEMA, "flop_table": VERSION}
    if form is Format.JSON:
        typer.echo(json.dumps(versions))
    else:
        for name, value in versions.items():
            typer.echo(f"{name} {value}")
