"""Times in other people's tables, as instants in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from wire.rfc3339 import format_ns, parse_ns

if TYPE_CHECKING:
    from compute.tables import Line

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def instant(line: Line, field: str, now_ns: int) -> str | None:
    """RFC 3339, or a date, which begins at midnight in UTC; raises `BadCell`, for the future too."""
    text = line.get(field)
    if text is None:
        return None
    stated = f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text
    try:
        at_ns = parse_ns(stated)
    except ValueError as error:
        raise line.bad(field, f"{text!r}: {error}, such as 2025-01-31T12:00:00Z, nor a date") from error
    if at_ns > now_ns:
        raise line.bad(field, f"{text} lies in the future: only what ran can be imported")
    return format_ns(at_ns)


def local_instant(line: Line, field: str, zone: tzinfo) -> str | None:
    """Slurm's `2025-01-31T12:00:00`, in the time zone that sacct printed it in; None for `Unknown` and `None`."""
    text = line.get(field)
    if text in {None, "Unknown", "None", "N/A"}:
        return None
    try:
        moment = datetime.fromisoformat(str(text))
        stated = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        return format_ns(int(stated.timestamp()) * 10**9)
    except (ValueError, OverflowError) as error:
        raise line.bad(field, f"{text!r} is no time such as 2025-01-31T12:00:00") from error
