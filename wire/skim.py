"""A body read as it almost always comes: its columns as machine words, without an object for every number.

What is unusual in any way, wrong or not, is left to `opening`, which says what is wrong with it: unknown keys, a
counter past 2^62, digits in a text, what was not measured in some readings only.
"""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from wire.batch import BIG_COLUMNS, KEY_COLUMNS, MAX_COUNTER, REQUIRED_COLUMNS, SCHEMA
from wire.decoding import MAX_ROWS, known_meters
from wire.errors import Malformed
from wire.identifiers import known_uuid
from wire.rfc3339 import parse_ns
from wire.sheet import COUNTED, ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from wire.batch import Key

simdjson: Any = None
# It has no wheel for the newest Python at first.
with suppress(ImportError):
    import simdjson

MAX_NUMBER = 2**62
_ROOT_KEYS = 11
_RECORDS = ("devices", "events")
_NOTHING: dict[str, Any] = {}
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_COUNTED = frozenset(COUNTED)
_PARTS = _COUNTED.difference(BIG_COLUMNS) | {ROWS}
_FIRST_NAMES = ("meters", "count")
_ROWS_ONLY = (ROWS,)
_INTS = {int}
_MADE_KEYS = {("of",), ("of", "plus"), ("of", "per"), ("of", "per", "plus")}
_REMEMBERED_TABLES = 32_768
_REMEMBERED_FORMS = 1_024


class ColumnForm(NamedTuple):
    """How a column was sent. Plain ones grow by a number and what is listed; others are made of `parts`."""

    name: str
    listed: bool
    parts: tuple[str, ...] = ()


Form = tuple[ColumnForm, ...]
_Sent = tuple[str, bool, tuple[str, ...]]


class Skimmed(NamedTuple):
    """A body whose structure and names are checked, and whose counters are not.

    `numbers` holds for each column of `form` in turn what every reading adds, and where it is made of others, then the
    divisor and a factor for each part. `arrays` holds for each listed column eight bytes a reading.
    """

    cluster: str
    node: str
    chain: UUID
    incarnation: UUID
    seq: int
    prev: str | None
    sealed_at_ns: int
    rates: str
    meters: Sequence[Key]
    counts: list[int]
    form: Form
    numbers: list[int]
    arrays: list[bytes]
    records: dict[str, Any]
    """What was sent as devices and events, not looked at."""


class Unusual(Exception):
    """Not for this module."""


_local = threading.local()


def available() -> bool:
    """Whether anything can be skimmed here."""
    return simdjson is not None


def skim(body: bytes, agent: str) -> Skimmed | None:
    """The batch of this agent in a body; None where it is unusual."""
    if b"\\" in body:
        return None
    try:
        parser = _local.parser
    except AttributeError:
        parser = _local.parser = simdjson.Parser()
    try:
        return _skimmed(parser.parse(body), body, agent)
    except (Unusual, Malformed, ValueError, TypeError, LookupError, AttributeError, RuntimeError):
        return None


def _skimmed(said: Any, body: bytes, agent: str) -> Skimmed:
    seq, prev, readings = said["seq"], said["prev"], said["readings"]
    records, lists = _records(said) if len(said) > _ROOT_KEYS else (_NOTHING, 0)
    if len(said) != _ROOT_KEYS + len(records) or said["schema"] != SCHEMA or said["agent"] != agent:
        raise Unusual
    if type(seq) is not int or not 0 <= seq <= MAX_COUNTER or (seq == 0) != (prev is None):
        raise Unusual
    if prev is not None and _HASH.fullmatch(prev) is None:
        raise Unusual
    sealed_at_ns = parse_ns(said["sealed_at"])
    names = tuple(readings)
    table = readings["meters"]
    if sealed_at_ns > MAX_COUNTER or names[:2] != _FIRST_NAMES or len(table) != len(KEY_COLUMNS):
        raise Unusual
    meters, lists_of_names = _known_table(table.mini)
    count = readings["count"]
    counts = _counts(count, len(meters))
    form, numbers, arrays = _columns(readings, names[2:], counts)
    if body.count(b"[") != lists + lists_of_names + len(arrays) + (type(count) is not int):
        # A list within a list.
        raise Unusual
    return Skimmed(
        _name(said["cluster"], 512),
        _name(said["node"], 512),
        known_uuid(said["chain"], "chain"),
        known_uuid(said["incarnation"], "incarnation"),
        seq,
        prev,
        sealed_at_ns,
        _name(said["rates"], 64),
        meters,
        counts,
        _known_form(form),
        numbers,
        arrays,
        records,
    )


def _records(said: Any) -> tuple[dict[str, Any], int]:
    """Devices and events, and how many lists they hold."""
    found, lists = {}, 0
    for name in tuple(said):
        if name in _RECORDS:
            written = said[name].mini
            found[name] = orjson.loads(written)
            if orjson.dumps(found[name]) != written:
                # A key given twice, perhaps.
                raise Unusual
            lists += written.count(b"[")
    return found, lists


def _counts(count: Any, meters: int) -> list[int]:
    counts: list[int] = [count] * meters if type(count) is int else count.as_list()
    if not counts or len(counts) != meters or set(map(type, counts)) != _INTS:
        raise Unusual
    if min(counts) < 1 or sum(counts) > MAX_ROWS:
        raise Unusual
    return counts


def _columns(
    readings: Any, names: tuple[str, ...], counts: list[int]
) -> tuple[tuple[_Sent, ...], list[int], list[bytes]]:
    # A proxy costs as much as what it stands for: each place is asked for once.
    an_array, an_object = simdjson.Array, simdjson.Object
    bytes_listed = 8 * sum(counts)
    bytes_of_one = 8 * counts[0] if counts.count(counts[0]) == len(counts) else 0
    numbers: list[int] = []
    arrays: list[bytes] = []
    form: list[_Sent] = []
    for name in names:
        plus = readings[name]
        parts: tuple[str, ...] = ()
        kind = type(plus)
        if kind is an_object:
            plus, parts = _made(plus, numbers)
            kind = type(plus)
        elif kind is an_array:
            numbers.append(0)
        else:
            numbers.append(plus)
        listed = kind is an_array
        if listed:
            words = bytes(plus.as_buffer(of_type="i"))
            if len(words) != bytes_listed:
                if len(words) != bytes_of_one:
                    raise Unusual
                words *= len(counts)
            arrays.append(words)
        form.append((name, listed, parts))
    if set(map(type, numbers)) != _INTS or min(numbers) <= -MAX_NUMBER or max(numbers) >= MAX_NUMBER:
        raise Unusual
    return tuple(form), numbers, arrays


def _made(sent: Any, numbers: list[int]) -> tuple[Any, tuple[str, ...]]:
    """What is added, if it is a list, and of what the column is made; the numbers go to the others."""
    keys = tuple(sent)
    if keys not in _MADE_KEYS:
        raise Unusual
    of = sent["of"]
    parts = tuple(of)
    plus = sent["plus"] if "plus" in keys else 0
    listed = type(plus) is simdjson.Array
    if parts == _ROWS_ONLY:
        step = of[ROWS]
        if type(step) is not int or step < 0 or "per" in keys or not (listed or plus >= 0):
            raise Unusual
        numbers.append(step if listed else step + plus)
        return plus, ()
    numbers.append(0 if listed else plus)
    numbers.append(sent["per"] if "per" in keys else 1)
    for part in parts:
        numbers.append(of[part])
    return plus, parts


def _name(value: Any, longest: int) -> str:
    if type(value) is not str or not 0 < len(value) <= longest:
        raise Unusual
    return value


@lru_cache(_REMEMBERED_TABLES)
def _known_table(written: bytes) -> tuple[Sequence[Key], int]:
    """The meters, and how many lists their table holds."""
    table = orjson.loads(written)
    if table.keys() != set(KEY_COLUMNS):
        raise Unusual
    return known_meters(table), sum(type(part) is list for part in table.values())


@lru_cache(_REMEMBERED_FORMS)
def _known_form(sent: tuple[_Sent, ...]) -> Form:
    """The form, where no column comes twice, none is missing, and columns are made only of plain ones."""
    form = tuple(ColumnForm(*column) for column in sent)
    plain = {column.name for column in form if not column.parts}
    names = [column.name for column in form]
    if len(set(names)) < len(names) or not _REQUIRED <= set(names) <= _COUNTED:
        raise Unusual
    for column in form:
        if len(set(column.parts)) < len(column.parts) or not set(column.parts) <= (_PARTS & plain) | {ROWS}:
            raise Unusual
    return form


_REQUIRED = REQUIRED_COLUMNS & _COUNTED
