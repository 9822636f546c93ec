"""What holds for every table that is imported: each line makes sense by itself, and is there once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compute.tables import BadCell
from ledger.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from compute.tables import Line
    from ledger.adjustments import Adjustment


PER_WORD = 100
"""Lines between two words about how far it is."""


def sensible(line: Line, made: Adjustment) -> Adjustment:
    """The same, if the journal would take it; raises `BadCell` naming the line and the field otherwise."""
    try:
        made.statement("import")
    except Refused as error:
        field, _, sentence = str(error).partition(": ")
        raise BadCell(line.number, field, sentence) from error
    return made


def followed(lines: Sequence[Line], progress: Callable[[float], object]) -> Iterator[Line]:
    """These, while `progress` hears now and then of the share that is done."""
    for done, line in enumerate(lines):
        if done % PER_WORD == 0:
            progress(done / len(lines))
        yield line
    progress(1.0)


def once_each(made: Sequence[tuple[Line, Adjustment]], field: str) -> list[Adjustment]:
    """All of these; raises `BadCell` for a line that says what another one of the table says."""
    seen: dict[str, int] = {}
    for line, adjustment in made:
        if adjustment.key in seen:
            raise line.bad(field, f"the same as line {seen[adjustment.key]}: it would count once")
        seen[adjustment.key] = line.number
    return [adjustment for _, adjustment in made]
