"""The front door: one command line; each part's commands are loaded only when they are used."""

from __future__ import annotations

import importlib
import logging
import platform
import sys
import traceback
from importlib.metadata import version
from typing import Any

import typer

from cli import exits

COMMANDS = {
    "demo": ("standalone.commands:demo", "Count real training on this machine, then watch a run cross a line."),
    "up": ("standalone.commands:up", "Agent, collector and ledger in one process."),
    "simulate": ("standalone.commands:simulate", "Run a scenario through agents, collector and ledger."),
    "agent": ("agent.commands:app", "On a node: measure, count, seal, store."),
    "collector": ("collector.commands:app", "Between agents and the ledger."),
    "ledger": ("ledger.commands:app", "The account: totals, runs, coverage, SQL."),
    "alerts": ("collector.alert_commands:app", "What was raised, what it rests on, who has taken it on."),
    "thresholds": ("ledger.threshold_commands:app", "Lines in law, and where runs stand."),
    "estimate": ("cli.estimates:app", "Compute that nobody measured: by a model's shape, or by device-hours."),
    "import": ("ledger.imports.commands:app", "Compute from before the agents: GPU-hours, Prometheus, Slurm."),
    "web": ("ledger.web.commands:app", "The page on any ledger."),
    "version": ("standalone.commands:version", "Versions of this program, its wire format and its FLOP table."),
}
"""Name → (what holds it, what `flopledger --help` says): an agent's process never loads the database."""

_OUR_PACKAGES = frozenset({"agent", "cli", "collector", "compute", "ledger", "standalone", "wire"})


def main() -> None:
    """Run the command line; exit codes as in `cli.exits`, every expected error as one line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it says every request
    try:
        _root(sys.argv[1:])()
    except Exception as error:
        code = getattr(error, "exit_code", exits.BUG)
        if code == exits.BUG:
            _report(error)
        else:
            sys.stderr.write(f"flopledger: {error}\n")
        sys.exit(code)


def _root(arguments: list[str]) -> typer.Typer:
    root = typer.Typer(
        help="Counts the training compute that GPUs really execute, keeps it in a ledger with evidence, and warns "
        "before a legal threshold is crossed.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    wanted = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, (target, summary) in COMMANDS.items():
        command = _load(target) if name == wanted else _not_loaded
        if isinstance(command, typer.Typer):
            root.add_typer(command, name=name, help=summary)
        else:
            root.command(name, help=summary)(command)
    return root


def _load(target: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in _OUR_PACKAGES:
            raise
        raise exits.Misconfigured(
            f"{error.name} is not installed: this command needs 'flopledger[all]', or [agent] on a node and "
            "[collector] where the ledger is kept"
        ) from error


def _not_loaded() -> None:
    """Stand in the help for a command that is loaded only when used."""


def _report(error: Exception) -> None:
    traceback.print_exception(error)
    sys.stderr.write(
        f"\nflopledger: this is our own mistake. Please report the lines above with: "
        f"flopledger {version('flopledger')}, Python {platform.python_version()}, {platform.platform()}\n"
    )


if __name__ == "__main__":
    main()
