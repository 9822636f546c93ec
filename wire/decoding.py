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

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from operator import gt
from typing import Any, NoReturn

from wire.batch import BIG_COLUMNS, COLUMNS, KEY_COLUMNS, MAX_COUNTER, MAX_FLOP, REQUIRED_COLUMNS, Key, Readings
from wire.errors import Malformed

MAX_ROWS = 65_536
"""Readings of one batch: a body of few bytes could claim any number."""
ROWS = "rows"

Values = list[Any]
Span = tuple[int, int]

_LONGEST = {"run": 512, "purpose": 64, "device": 512, "basis": 64, "method": 64, "dtype": 64, "attribution": 64}
_ALLOWED = {"basis": {"hardware", "architecture"}, "attribution": {"exact", "split", "low"}}
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,38})", re.ASCII)
_COUNTED = ("at_ns", *COLUMNS[8:])


def decode(body: object) -> Readings:
    """The readings in the part of a body under that name; raises `Malformed`."""
    if type(body) is not dict:
        raise Malformed("not an object", "readings")
    meters = _meters(body.get("meters"))
    counts = _counts(body.get("count"), len(meters))
    table = _Table(body, counts)
    last = {name: table.last(name) for name in _COUNTED}
    _check_bounds(table, last)
    return Readings(meters, counts, _Columns(meters, counts, table), last)


def _meters(table: object) -> list[Key]:
    if type(table) is not dict:
        raise Malformed("not an object", "readings.meters")
    number = 1
    for name in KEY_COLUMNS:
        part = table.get(name)
        if type(part) is list:
            number = len(part)
            break
    parts = [_texts(table.get(name), number, name) for name in KEY_COLUMNS]
    meters = list(zip(*parts, strict=True))
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


class _Rule:
    """How a column is made: of which others, and what is added from reading to reading."""

    __slots__ = ("per", "plus", "terms")

    def __init__(self, terms: dict[str, int], per: int, plus: Values) -> None:
        self.terms = terms
        self.per = per
        self.plus = plus


class _Table:
    """The columns as they were sent, and their counters as far as somebody asked for them."""

    def __init__(self, body: dict[str, Any], counts: list[int]) -> None:
        self._body = body
        self._counts = counts
        self._rows = sum(counts)
        ends = list(accumulate(counts, initial=0))
        self._spans: list[Span] = list(pairwise(ends))
        self._uniform = counts[0] if counts and counts.count(counts[0]) == len(counts) else 0
        self._values: dict[str, Values] = {}
        self._rules: dict[str, _Rule | None] = {name: self._rule(name) for name in _COUNTED}

    def last(self, name: str) -> Values:
        """What each meter stands at in the end."""
        rule = self._rules[name]
        limit = MAX_FLOP if name in BIG_COLUMNS else MAX_COUNTER
        if rule is None:
            return [None] * len(self._counts)
        if _plain(rule) and None not in rule.plus:
            plus, step = rule.plus, rule.terms.get(ROWS, 0)
            last: Values = [sum(plus[i:j]) + step * (j - i) for i, j in self._spans]
        else:
            values = self.values(name)
            last = [values[end - 1] for _, end in self._spans]
        if max((value for value in last if value is not None), default=0) > limit:
            raise Malformed(f"past 2^{limit.bit_length()}", f"readings.{name}")
        return last

    def values(self, name: str) -> Values:
        """The counter in every reading."""
        values = self._values.get(name)
        if values is None:
            values = self._values[name] = self._counter(name)
        return values

    def _counter(self, name: str) -> Values:
        rule = self._rules[name]
        if rule is None:
            return [None] * self._rows
        summed = self._summed(rule.plus, name)
        if not rule.terms:
            return summed
        total = [0] * self._rows
        for of, times in rule.terms.items():
            if of == ROWS:
                total = [so_far + times * n for so_far, n in zip(total, self._numbers(), strict=True)]
            else:
                total = [so_far + times * (n or 0) for so_far, n in zip(total, self.values(of), strict=True)]
        per = rule.per
        values: Values = [
            None if plus is None else so_far // per + plus for so_far, plus in zip(total, summed, strict=True)
        ]
        if not _plain(rule):
            self._check_growth(values, name)
        return values

    def _summed(self, plus: Values, name: str) -> Values:
        if None not in plus:
            return list(chain.from_iterable(accumulate(plus[i:j]) for i, j in self._spans))
        summed: Values = []
        for i, j in self._spans:
            measured = next((n for n in range(i, j) if plus[n] is not None), j)
            if None in plus[measured:j]:
                row = plus.index(None, measured)
                raise Malformed("not measured any more", f"readings.{name}[{row}]")
            summed += [None] * (measured - i)
            summed += accumulate(plus[measured:j])
        return summed

    def _check_growth(self, values: Values, name: str) -> None:
        for i, j in self._spans:
            before = 0
            for row in range(i, j):
                value = values[row]
                if value is not None:
                    if value < before:
                        raise Malformed("a counter that goes back", f"readings.{name}[{row}]")
                    before = value

    def _numbers(self) -> Iterator[int]:
        return chain.from_iterable(range(1, count + 1) for count in self._counts)

    def _rule(self, name: str) -> _Rule | None:
        sent = self._body.get(name)
        field = f"readings.{name}"
        if sent is None:
            if name in REQUIRED_COLUMNS:
                raise Malformed("missing", field)
            return None
        rule = self._made(sent, name, field) if type(sent) is dict else _Rule({}, 1, self._list(sent, name, field))
        if _plain(rule):
            step = rule.terms.get(ROWS, 0)
            numbers = [value for value in rule.plus if value is not None] if None in rule.plus else rule.plus
            if step < 0 or (numbers and min(numbers) < 0):
                row = next((n for n, value in enumerate(rule.plus) if (value or 0) < 0), 0)
                raise Malformed("a counter that goes back", f"{field}[{row}]")
            if None in rule.plus:
                self._summed(rule.plus, name)
        if name in REQUIRED_COLUMNS and None in rule.plus:
            raise Malformed("missing", f"{field}[{rule.plus.index(None)}]")
        return rule

    def _made(self, sent: dict[str, Any], name: str, field: str) -> _Rule:
        of, per = sent.get("of"), sent.get("per", 1)
        if type(of) is not dict or not of:
            raise Malformed("not an object that names columns", f"{field}.of")
        for part, times in of.items():
            if part != ROWS and (part not in _COUNTED or part in BIG_COLUMNS or not self._is_plain(part)):
                raise Malformed("not a column that is listed here", f"{field}.of.{part[:64]}")
            if type(times) is not int or not -MAX_COUNTER <= times <= MAX_COUNTER:
                raise Malformed("not a whole number below 2^63", f"{field}.of.{part}")
        if type(per) is not int or not 1 <= per <= MAX_COUNTER:
            raise Malformed("not a whole number from 1", f"{field}.per")
        if per != 1 and of.keys() == {ROWS}:
            raise Malformed("rows are not divided", f"{field}.per")
        return _Rule(of, per, self._list(sent.get("plus", 0), name, f"{field}.plus"))

    def _is_plain(self, name: str) -> bool:
        sent = self._body.get(name)
        if type(sent) is not dict:
            return True
        of = sent.get("of")
        return type(of) is dict and of.keys() == {ROWS}

    def _list(self, sent: object, name: str, field: str) -> Values:
        """What was sent as one number, or as many as there are readings, or as one meter has: as many as readings."""
        if type(sent) is not list:
            return [_number(sent, name, field)] * self._rows
        values: Values = sent
        if set(map(type, sent)) != {int}:
            values = [None if value is None else _number(value, name, f"{field}[{n}]") for n, value in enumerate(sent)]
        if len(values) == self._rows:
            return values
        if len(values) == self._uniform:
            return values * len(self._counts)
        raise Malformed(f"{len(values)} values where there are {self._rows} readings", field)


class _Columns(Mapping[str, Sequence[Any]]):
    """The columns of `Readings`, made when somebody asks for them."""

    __slots__ = ("_counts", "_meters", "_table")

    def __init__(self, meters: list[Key], counts: list[int], table: _Table) -> None:
        self._meters = meters
        self._counts = counts
        self._table = table

    def __getitem__(self, name: str) -> Sequence[Any]:
        if name in KEY_COLUMNS:
            part = KEY_COLUMNS.index(name)
            return [key[part] for key, count in zip(self._meters, self._counts, strict=True) for _ in range(count)]
        return self._table.values(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COLUMNS)

    def __len__(self) -> int:
        return len(COLUMNS)


def _plain(rule: _Rule) -> bool:
    return not rule.terms or rule.terms.keys() == {ROWS}


def _number(value: object, name: str, field: str) -> int:
    if type(value) is int:
        return value
    if name not in BIG_COLUMNS:
        _refuse("not a whole number", field)
    if type(value) is not str or _DECIMAL.fullmatch(value) is None:
        _refuse("neither a whole number nor the decimal digits of one", field)
    return int(value)


def _refuse(reason: str, field: str) -> NoReturn:
    raise Malformed(reason, field)


def _check_bounds(table: _Table, last: Mapping[str, Values]) -> None:
    """flop_low ≤ flop ≤ flop_high, in every reading."""
    low, high = table.values("flop_low"), table.values("flop_high")
    flop: Values = table.values("flop") if set(last["flop"]) != {None} else low
    if None in flop:
        flop = [at if value is None else value for value, at in zip(flop, low, strict=True)]
    if any(map(gt, low, flop)) or any(map(gt, flop, high)):
        row = next(n for n, (a, b, c) in enumerate(zip(low, flop, high, strict=True)) if not a <= b <= c)
        raise Malformed("flop_low ≤ flop ≤ flop_high does not hold", f"readings.flop[{row}]")
