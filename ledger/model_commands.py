"""`flopledger ledger models …`, `systems …` and `runs apply`: what belongs to what."""

from __future__ import annotations

import time
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import typer

from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.declaration_file import read
from ledger.declare import Wanted, declare
from ledger.errors import Refused
from ledger.models import MODEL_COLUMNS, MODEL_TOTAL_COLUMNS, SYSTEM_COLUMNS, SYSTEM_TOTAL_COLUMNS
from ledger.place import place
from ledger.traits import TRAITS

models_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Models, and what each was made with.")
systems_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Systems of several models.")

FormatOption = Annotated[Format, typer.Option("--format", help="table, json or csv")]
AuthorOption = Annotated[str, typer.Option(help="who declares it")]
PolicyOption = Annotated[str, typer.Option(help="only by this policy")]
AUTHOR = "command line"

_MODELS = """
SELECT m.model_id AS model_id, m.traits AS traits, e.edges AS edges, s.systems AS systems, r.runs AS runs,
    m.declared AS declared
FROM models AS m
LEFT JOIN (SELECT model_id, arraySort(groupArray(concat(kind, ' ', parent))) AS edges FROM lineage GROUP BY model_id)
    AS e ON e.model_id = m.model_id
LEFT JOIN (SELECT model_id, arraySort(groupArray(system_id)) AS systems FROM systems GROUP BY model_id)
    AS s ON s.model_id = m.model_id
LEFT JOIN (SELECT model_id, count() AS runs FROM runs GROUP BY model_id) AS r ON r.model_id = m.model_id
ORDER BY model_id
"""
_SYSTEMS = """
SELECT system_id, arraySort(groupArray(model_id)) AS models FROM systems GROUP BY system_id ORDER BY system_id
"""


@models_app.command("list")
def list_models(form: FormatOption = Format.TABLE) -> None:
    """Every model that was declared or named, and what it was made with."""
    with connect(place(load()), time.time_ns) as ledger:
        found = ledger.query(_MODELS).dicts()
    emit("models", found, MODEL_COLUMNS, form)


@models_app.command("totals")
def model_totals(policy: PolicyOption = "", form: FormatOption = Format.TABLE) -> None:
    """Compute of every model with all that went into it, per basis and policy: counted, disputed and excluded."""
    _print_totals("model_totals", MODEL_TOTAL_COLUMNS, policy, form)


@models_app.command("set")
def set_model(
    model_id: str,
    base: Annotated[list[str] | None, typer.Option(help="it began with the weights of this model")] = None,
    merge: Annotated[list[str] | None, typer.Option(help="the weights of this model were merged in")] = None,
    data_from: Annotated[list[str] | None, typer.Option(help="this model wrote training data for it")] = None,
    teacher: Annotated[list[str] | None, typer.Option(help="it was distilled from this model")] = None,
    reward: Annotated[list[str] | None, typer.Option(help="this model gave rewards or values")] = None,
    trait: Annotated[list[str] | None, typer.Option(help=f"what lines ask about: {', '.join(TRAITS)}")] = None,
    author: AuthorOption = AUTHOR,
) -> None:
    """Declare a model; what is not given stays. Options may be repeated, and replace all of their kind; '' empties."""
    given = {"base": base, "merge": merge, "data": data_from, "teacher": teacher, "reward": reward, "traits": trait}
    changes = {kind: [name for name in names if name] for kind, names in given.items() if names is not None}
    if not changes:
        raise Refused(
            "nothing is declared: give at least one of --base, --merge, --data-from, --teacher, --reward, --trait"
        )
    _declare(Wanted(models={model_id: changes}), model_id, author)


@systems_app.command("list")
def list_systems(form: FormatOption = Format.TABLE) -> None:
    """Every system and the models in it."""
    with connect(place(load()), time.time_ns) as ledger:
        found = ledger.query(_SYSTEMS).dicts()
    emit("systems", found, SYSTEM_COLUMNS, form)


@systems_app.command("totals")
def system_totals(policy: PolicyOption = "", form: FormatOption = Format.TABLE) -> None:
    """Compute of every system, each run once whichever of its models it belongs to."""
    _print_totals("system_totals", SYSTEM_TOTAL_COLUMNS, policy, form)


@systems_app.command("set")
def set_system(
    system_id: str,
    model: Annotated[list[str], typer.Option(help="a model in it; repeat for each")],
    author: AuthorOption = AUTHOR,
) -> None:
    """Declare a system by all of its models."""
    _declare(Wanted(systems={system_id: frozenset(model)}), system_id, author)


def apply_file(
    file: Annotated[Path, typer.Argument(help="YAML with runs, models and systems")], author: AuthorOption = AUTHOR
) -> None:
    """Declare all that a YAML file says, or nothing if any of it is wrong. What is so already is not written again."""
    _declare(read(file), str(file), author)


def _declare(wanted: Wanted, what: str, author: str) -> None:
    with connect(place(load()), time.time_ns) as ledger:
        indices = declare(ledger, wanted, author)
    entries = ", ".join(map(str, indices))
    noun = "entry" if len(indices) == 1 else "entries"
    typer.echo(f"{what}: declared in journal {noun} {entries}" if indices else f"{what}: all of it is declared already")


def _print_totals(view: str, columns: tuple[str, ...], policy: str, form: Format) -> None:
    with connect(place(load()), time.time_ns) as ledger:
        found = ledger.query(
            f"SELECT {', '.join(columns)} FROM {view} WHERE {{policy:String}} IN ('', policy) ORDER BY 1, 2, 3",
            {"policy": policy},
        ).dicts()
    emit("totals", found, columns, form)
