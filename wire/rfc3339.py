"""Instants as RFC 3339 in UTC with nanoseconds, exactly, both ways."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

_PATTERN = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}):([0-5]\d)(?:\.(\d{1,9}))?Z", re.ASCII)
_REMEMBERED_MINUTES = 4_096


def format_ns(at_ns: int) -> str:
    """Unix nanoseconds as `2026-11-23T14:25:00.000000001Z`; raises ValueError outside years 1970 to 9999."""
    if at_ns < 0:
        raise ValueError(f"before 1970: {at_ns}")
    seconds, nanos = divmod(at_ns, 1_000_000_000)
    try:
        stem = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, OSError) as error:
        raise ValueError(f"past year 9999: {at_ns}") from error
    return f"{stem}.{nanos:09d}Z" if nanos else f"{stem}Z"


def parse_ns(text: str) -> int:
    """The inverse of `format_ns`; raises ValueError for anything that is not UTC RFC 3339 from 1970 on."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 time in UTC")
    minute, second, fraction = match.groups()
    seconds = _begin_s(minute) + int(second)
    if seconds < 0:
        raise ValueError("before 1970")
    return seconds * 1_000_000_000 + int((fraction or "").ljust(9, "0"))


@lru_cache(_REMEMBERED_MINUTES)
def _begin_s(minute: str) -> int:
    """Unix time at the beginning of a minute."""
    return int(datetime.fromisoformat(minute).replace(tzinfo=UTC).timestamp())
