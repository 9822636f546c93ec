"""Durations as people write them: `3d 4h`, `90m`, `250ms`."""

from __future__ import annotations

import re

SECOND_NS = 1_000_000_000
_UNITS_NS = {
    "d": 86_400 * SECOND_NS,
    "h": 3_600 * SECOND_NS,
    "m": 60 * SECOND_NS,
    "s": SECOND_NS,
    "ms": SECOND_NS // 1_000,
}
_PART = re.compile(r"(\d+)(d|h|ms|m|s)")


def parse_duration_ns(text: object) -> int:
    """Nanoseconds of a duration in whole days, hours, minutes, seconds and milliseconds; raises ValueError."""
    parts = text.split() if isinstance(text, str) else []
    matches = [_PART.fullmatch(part) for part in parts]
    if not matches or None in matches:
        raise ValueError("not a duration such as '3d 4h', '90m' or '250ms'")
    return sum(int(match[1]) * _UNITS_NS[match[2]] for match in matches if match)
