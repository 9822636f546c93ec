"""What commands print: a table for people, JSON or CSV for programs; large numbers as 3.8 × 10²⁵.

The library that draws tables is loaded when one is drawn: an agent never draws one.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from rich.console import Console
    from rich.table import Table

_SUPERSCRIPT = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_BIG = 10**6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Format(StrEnum):
    """How to print."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def emit(noun: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], form: Format) -> None:
    """Print `rows` under `noun`; JSON is one object with the list in it, FLOP as decimal strings."""
    if form is Format.JSON:
        print_json({noun: [{name: row.get(name) for name in columns} for row in rows]})
    elif form is Format.CSV:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(name, row.get(name)) for name in columns] for row in rows)
        sys.stdout.write(text.getvalue())
    else:
        console().print(table(rows, columns))


def console(*, stderr: bool = False) -> Console:
    """Where tables go. Not cut to eighty columns when the output is no terminal."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, width=160)
    return made


@contextmanager
def progress_bar(label: str, on: Console | None = None) -> Iterator[Callable[[float], None]]:
    """A bar that follows the share given to it, from 0 to 1; none where the output is no terminal."""
    shown = on or console(stderr=True)
    if shown.quiet or not shown.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(label), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn())
    with Progress(*columns, console=shown, transient=True) as progress:
        task = progress.add_task(label, total=1.0)
        yield lambda share: progress.update(task, completed=share)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], title: str | None = None) -> Table:
    """A table for people: numbers to the right, unknown as a dash."""
    from rich.table import Table

    made = Table(title=title, title_justify="left", header_style="bold")
    for name in columns:
        numeric = any(isinstance(row.get(name), int | float) for row in rows)
        made.add_column(name.replace("_", " "), justify="right" if numeric else "left")
    for row in rows:
        made.add_row(*(human(name, row.get(name)) for name in columns))
    return made


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout."""
    sys.stdout.write(json_text(value))


def json_text(value: Mapping[str, Any]) -> str:
    """One JSON object, with a line's end."""
    return json.dumps(_jsonable("", value), ensure_ascii=False, indent=2) + "\n"


def scientific(number: int, digits: int = 2) -> str:
    """`38000000000000000000000000` as `3.8 × 10²⁵`, rounded half to even, exact until the last step."""
    if number == 0:
        return "0"
    mantissa, _, exponent = f"{Decimal(number):.{digits - 1}e}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def human(name: str, value: Any) -> str:
    """A cell of a table."""
    if value is None:
        return "–"
    if isinstance(value, int) and abs(value) >= _BIG and not name.endswith("_index"):
        return scientific(value, 3)
    if isinstance(value, bool):
        return ("no", "yes")[value]
    if isinstance(value, float):
        return f"{value:.1%}" if name.endswith(("share", "coverage")) else f"{value:.3g}"
    if isinstance(value, datetime):
        return _utc(value).strftime("%Y-%m-%d %H:%M:%S")
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def plain(name: str, value: Any) -> Any:
    """A value for programs: FLOP as decimal strings, times as RFC 3339 in UTC, no number as None."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return str(value) if _is_flop(name) or abs(value) >= 1 << 53 else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return _rfc3339(value)
    return value.hex() if isinstance(value, bytes) else str(value)


def _rfc3339(value: datetime) -> str:
    micros = (_utc(value) - _EPOCH) // timedelta(microseconds=1)
    return format_ns(micros * 1_000) if micros >= 0 else _utc(value).isoformat().replace("+00:00", "Z")


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def _is_flop(name: str) -> bool:
    return name == "flop" or name.startswith("flop_") or name.endswith(("_flop", "_flop_low", "_flop_high"))


def _cell(name: str, value: Any) -> Any:
    if isinstance(value, list | tuple):
        return ", ".join(str(plain(name, item)) for item in value)
    return plain(name, value)


def _jsonable(name: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(name, item) for item in value]
    return plain(name, value)
