"""CSV tables that people fill in: read strictly, and what is wrong is told by line and field."""

from __future__ import annotations

import csv
import difflib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compute.exact import fraction

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

_MISSPELT = 0.85
"""How alike a column's name must be to be taken for a misspelt one."""
MAX_BYTES = 256 * 2**20


class BadCell(ValueError):
    """A table says something that makes no sense; the message names line and field."""

    def __init__(self, line: int, field: str, sentence: str) -> None:
        super().__init__(f"line {line}, {field}: {sentence}")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a table: `number` as an editor counts them; an empty cell is not given."""

    number: int
    cells: Mapping[str, str]

    def get(self, field: str) -> str | None:
        """What the cell says, without spaces around it; None when it is empty or the column is not there."""
        return self.cells.get(field, "").strip() or None

    def need(self, field: str) -> str:
        """The same, for a cell that must say something."""
        found = self.get(field)
        if found is None:
            raise self.bad(field, "must be given")
        return found

    def number_or_none(self, field: str, *, least: int = 0) -> Fraction | None:
        """The exact number in a cell, `least` or more."""
        text = self.get(field)
        if text is None:
            return None
        try:
            found = fraction(text)
        except ValueError as error:
            raise self.bad(field, f"{text!r} is {error}") from error
        if found < least:
            raise self.bad(field, f"{text} is less than {least}")
        return found

    def bad(self, field: str, sentence: str) -> BadCell:
        """What to raise when a cell makes no sense."""
        return BadCell(self.number, field, sentence)


def read_table(
    data: bytes, required: Sequence[str], optional: Sequence[str] = (), *, delimiter: str = ",", others: bool = False
) -> list[Line]:
    """Lines below the header of a UTF-8 table; blank ones are passed over.

    A column that is missing, doubled or, unless `others`, unknown is refused: a misspelt one would be passed over
    without a sign of it. Raises `BadCell`.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadCell(line, f"byte {error.start + 1}", "not UTF-8 text: save the file as UTF-8") from error
    rows = io.StringIO(text, newline="")
    if delimiter == ",":
        reader = csv.reader(rows, strict=True)
    else:  # Slurm's tables know no quotes.
        reader = csv.reader(rows, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    lines: list[Line] = []
    header: list[str] | None = None
    begins = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                if header is None:
                    header = _header(begins, cells, required, optional, others=others)
                elif len(cells) != len(header):
                    raise BadCell(begins, "cells", f"{len(cells)} of them, under {len(header)} columns")
                else:
                    lines.append(Line(begins, dict(zip(header, cells, strict=True))))
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadCell(begins, "quotes", str(error)) from error
    if header is None:
        raise BadCell(1, "header", f"the table is empty; its columns are: {', '.join([*required, *optional])}")
    return lines


def _header(
    number: int, cells: list[str], required: Sequence[str], optional: Sequence[str], *, others: bool
) -> list[str]:
    names = [cell.strip() for cell in cells]
    doubled = [name for name in names if name and names.count(name) > 1]
    if doubled:
        raise BadCell(number, doubled[0], "this column is there twice")
    unknown = [name for name in names if name not in (*required, *optional)]
    missing = [name for name in required if name not in names]
    if missing:
        near = difflib.get_close_matches(missing[0], unknown, n=1, cutoff=_MISSPELT)
        hint = f"; is it the one called {near[0]!r}?" if near else f"; needed are: {', '.join(required)}"
        raise BadCell(number, missing[0], f"this column is missing{hint}")
    if unknown and not others:
        known = ", ".join([*required, *optional])
        raise BadCell(number, unknown[0] or "header", f"no column that is known here; known are: {known}")
    return names
