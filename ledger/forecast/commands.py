"""`flopledger ledger forecast RUN`: when a run will cross which line, and how sure that is."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.exits import Misconfigured
from cli.output import Format, emit
from cli.settings import load
from ledger.access import connect
from ledger.adjustments import known_run
from ledger.catalogue_record import lines
from ledger.forecast.forecast import Crossing, Forecast, forecast_run
from ledger.place import place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.reader import Reader
    from ledger.thresholds import Threshold

AHEAD_NS = 90 * 24 * 3_600_000_000_000
"""How far a probability looks where no end is planned, or it is over and the run goes on."""
FORECAST_COLUMNS = (
    "run_id",
    "threshold",
    "answer",
    "expected_at",
    "early_at",
    "late_at",
    "probability",
    "until",
    "beyond_budget",
    "basis",
    "flop",
    "flop_per_hour",
    "line_flop",
    "at",
    "method",
)
TABLE_COLUMNS = ("threshold", "line_flop", "answer", "expected_at", "early_at", "late_at", "probability", "until")


def forecast(
    run_id: Annotated[str, typer.Argument(metavar="RUN")],
    threshold: Annotated[
        str, typer.Option(help="one line, in force or not; all that alerts speak of if left out")
    ] = "",
    form: Annotated[Format, typer.Option("--format", help="table, json or csv")] = Format.TABLE,
) -> None:
    """When a run will cross each line: the day at even odds, the 90 % interval, and how likely it is before the planned
    end, or within 90 days where none is declared.
    """
    now_ns = time.time_ns()
    with connect(place(load()), time.time_ns) as ledger:
        wanted = _wanted(lines(ledger), threshold, now_ns)
        if not known_run(ledger, run_id):
            raise Misconfigured(f"no run {run_id!r} was measured or declared: see `flopledger ledger runs list`")
        made = forecast_run(ledger, run_id, now_ns)
        said = _unforeseen(ledger, run_id) if made is None else ""
    found = [_row(made, run_id, line, said, now_ns) for line in wanted]
    if form is Format.TABLE and made is not None:
        as_of = f"as of {_at(made.at_ns):%Y-%m-%d %H:%M} UTC"
        typer.echo(f"{run_id}: {made.state}, {as_of}; {made.basis} basis, method {made.method}")
    emit("forecasts", found, TABLE_COLUMNS if form is Format.TABLE else FORECAST_COLUMNS, form)


def _wanted(recorded: Sequence[Threshold], threshold: str, now_ns: int) -> list[Threshold]:
    if not threshold:
        day = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date()
        return [line for line in recorded if line.applies_on(day)]
    for line in recorded:
        if line.id == threshold:
            if line.subject != "model" or line.amount is None:
                raise Misconfigured(f"{threshold} is a line on a {line.subject}, with no amount that a run could cross")
            return [line]
    raise Misconfigured(f"no line {threshold!r} on record: see `flopledger thresholds list`")


def _row(made: Forecast | None, run_id: str, line: Threshold, said: str, now_ns: int) -> dict[str, Any]:
    row: dict[str, Any] = {"run_id": run_id, "threshold": line.id, "line_flop": line.amount_flop, "answer": said}
    if made is None:
        return row
    # The first whole FLOP at which the line is crossed, by its own operator.
    amount_flop = line.amount_flop + (line.operator == ">")
    crossing = made.crossing(amount_flop)
    until_ns = made.planned_end_ns
    if until_ns is None or until_ns <= now_ns:
        until_ns = now_ns + AHEAD_NS
    reached = made.flop >= amount_flop
    return row | {
        "answer": "crossed" if reached else _answer(made, crossing),
        "expected_at": None if reached else _at(crossing.expected_at_ns),
        "early_at": None if reached else _at(crossing.early_at_ns),
        "late_at": None if reached else _at(crossing.late_at_ns),
        "probability": made.probability_before(amount_flop, until_ns),
        "until": _at(until_ns),
        "beyond_budget": None if made.planned_flop is None else amount_flop > made.planned_flop,
        "basis": made.basis,
        "flop": made.flop,
        "flop_per_hour": made.flop_per_hour,
        "at": _at(made.at_ns),
        "method": made.method,
    }


def _answer(made: Forecast, crossing: Crossing) -> str:
    if made.history is None:
        return made.state
    return "not within a year" if crossing.expected_at_ns is None else "foreseen"


def _unforeseen(reader: Reader, run_id: str) -> str:
    measured = reader.query("SELECT count() FROM run_totals WHERE run_id = {run:String}", {"run": run_id}).rows[0][0]
    return "bounds only" if measured else "not measured yet"


def _at(at_ns: int | None) -> datetime | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
