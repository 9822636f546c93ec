"""Readings out of a batch's body: what was added from reading to reading becomes counters again, or an error.

A column is one of

    a list               what each reading adds to the one before it of the same meter; the first of a meter to nothing
    a shorter list       the same, where all meters have as many readings and all add the same
    a number             every reading adds this much
    {"of": {column: times, …}, "per": p, "plus": …}
                         the counter is ⌊Σ times × that column's counter ÷ p⌋, plus what is listed under "plus"

`of` may name columns that are not made of others themselves, and `rows`, the number of the reading within its meter
from 1. null is not measured; after a value no null may come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from wire.batch import COLUMNS, KEY_COLUMNS, Key, Readings
from wire.errors import Malformed
from wire.sheet import Sheet

MAX_ROWS = 65_536
"""Readings of one batch: a body of few bytes could claim any number."""

REMEMBERED_TABLES = 32_768
"""Of meters: an agent sends the same one with every batch."""

_LONGEST = {"run": 512, "purpose": 64, "device": 512, "basis": 64, "method": 64, "dtype": 64, "attribution": 64}
_ALLOWED = {"basis": {"hardware", "architecture"}, "attribution": {"exact", "split", "low"}}


def decode(body: object, again: Callable[[], dict[str, Any]] | None = None) -> Readings:
    """The readings in the part of a body under that name; raises `Malformed`.

    Only where each meter stands in the end is kept. Whoever asks for whole columns has the body read once more, by
    `again` when it is given: few do, and thousands of batches are held at a time.
    """
    if type(body) is not dict:
        raise Malformed("not an object", "readings")
    meters = known_meters(body.get("meters"))
    counts = _counts(body.get("count"), len(meters))
    last = Sheet(body, counts).checked()
    return Readings(meters, counts, LateColumns(meters, counts, again or (lambda: body)), last)


def known_meters(table: object) -> Sequence[Key]:
    """The meters that a table names; raises `Malformed`."""
    if type(table) is not dict:
        raise Malformed("not an object", "readings.meters")
    parts = [table.get(name) for name in KEY_COLUMNS]
    try:
        return _known_meters(*(tuple(part) if type(part) is list else part for part in parts))
    except TypeError:
        # Something that has no hash is no text either; which one it is, the check itself says.
        return _checked_meters(parts)


@lru_cache(REMEMBERED_TABLES)
def _known_meters(*parts: object) -> Sequence[Key]:
    return _checked_meters([list(part) if type(part) is tuple else part for part in parts])


def _checked_meters(table: Sequence[object]) -> Sequence[Key]:
    number = 1
    for part in table:
        if type(part) is list:
            number = len(part)
            break
    parts = [_texts(part, number, name) for part, name in zip(table, KEY_COLUMNS, strict=True)]
    meters = tuple(zip(*parts, strict=True))
    if len(set(meters)) != number:
        raise Malformed("the same meter twice", "readings.meters")
    return meters


def _texts(part: object, number: int, name: str) -> list[str]:
    field = f"readings.meters.{name}"
    if type(part) is str:
        texts = [part]
    elif type(part) is list:
        texts = part
        if len(texts) != number:
            raise Malformed(f"{len(texts)} values where another column has {number}", field)
    else:
        raise Malformed("neither a text nor a list of texts", field)
    distinct = set(texts) if set(map(type, texts)) <= {str} else None
    if distinct is None:
        raise Malformed("not a text", field)
    allowed = _ALLOWED.get(name)
    if allowed is not None and not distinct <= allowed:
        raise Malformed(f"none of {', '.join(sorted(allowed))}", field)
    if distinct and ("" in distinct or max(map(len, distinct)) > _LONGEST[name]):
        raise Malformed(f"empty, or longer than {_LONGEST[name]}", field)
    return texts if type(part) is list else texts * number


def _counts(count: object, meters: int) -> list[int]:
    counts = [count] * meters if type(count) is int else count
    if type(counts) is not list or set(map(type, counts)) - {int} or (counts and min(counts) < 1):
        raise Malformed("not a number of readings from 1, nor a list of such", "readings.count")
    if len(counts) != meters:
        raise Malformed(f"{len(counts)} values where there are {meters} meters", "readings.count")
    if sum(counts) > MAX_ROWS:
        raise Malformed(f"more than {MAX_ROWS} readings", "readings.count")
    return counts


class LateColumns(Mapping[str, Sequence[Any]]):
    """The columns of `Readings`, made when somebody asks for them."""

    __slots__ = ("_again", "_counts", "_meters", "_sheet")

    def __init__(self, meters: Sequence[Key], counts: list[int], again: Callable[[], dict[str, Any]]) -> None:
        self._meters = meters
        self._counts = counts
        self._again = again
        self._sheet: Sheet | None = None

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name in KEY_COLUMNS:
            part = KEY_COLUMNS.index(name)
            return [key[part] for key, count in zip(self._meters, self._counts, strict=True) for _ in range(count)]
        if self._sheet is None:
            self._sheet = Sheet(self._again(), self._counts)
        return self._sheet.values(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)
