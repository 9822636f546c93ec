"""The counters of one batch: where they stand in the end, whether they ever went back, and every one on request.

Most batches are never looked at row by row. Sums per meter say where a counter stands; the least that any reading adds
says that it never goes back, and that bounds hold, whenever it says so at all; only else is every reading looked at.
"""

from __future__ import annotations

import re
from itertools import accumulate, chain, pairwise
from operator import add, le
from typing import Any, NoReturn

from wire.batch import BIG_COLUMNS, COLUMNS, MAX_COUNTER, MAX_FLOP, REQUIRED_COLUMNS
from wire.errors import Malformed

ROWS = "rows"
FIRST = "first_at_ns"
"""Among last values: when the first reading of each meter was."""

Values = list[Any]
"""Integers, and None for what was not measured."""

_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,38})", re.ASCII)
COUNTED = ("at_ns", *COLUMNS[8:])
_PARTS = frozenset(COUNTED).difference(BIG_COLUMNS)
_LIMIT = {name: MAX_FLOP if name in BIG_COLUMNS else MAX_COUNTER for name in COUNTED}
_NOTHING: dict[str, int] = {}


class _Column:
    """A column as it was sent. `plus` is what each reading adds: a list, or a number where all add the same.

    `least` is the smallest of them. `sparse` says that some are None; then nothing else is known.
    """

    __slots__ = ("least", "per", "plain", "plus", "sparse", "terms")

    def __init__(self, plus: Values | int, terms: dict[str, int], per: int, plain: bool) -> None:
        self.plus = plus
        self.terms = terms
        self.per = per
        self.plain = plain
        if type(plus) is list:
            try:
                least = min(plus, default=0)
            except TypeError:
                least = None
            # None cannot be compared: there is a least only where every reading adds a number.
            self.sparse = least is None
            self.least: int = least or 0
        else:
            self.sparse = False
            self.least = plus  # type: ignore[assignment]

    @property
    def most(self) -> int:
        """The largest of what readings add."""
        return max(self.plus, default=0) if type(self.plus) is list else self.plus  # type: ignore[return-value]


class Sheet:
    """The columns under `readings`, for so many readings of each meter. Raises `Malformed`."""

    def __init__(self, body: dict[str, Any], counts: list[int]) -> None:
        self._body = body
        self._counts = counts
        self._rows = sum(counts)
        self._uniform = counts[0] if counts and counts.count(counts[0]) == len(counts) else 0
        self._spans = [slice(*ends) for ends in pairwise(accumulate(counts, initial=0))]
        self._values: dict[str, Values] = {}
        self._columns = {name: self._column(name, body.get(name)) for name in COUNTED}

    def checked(self) -> dict[str, Values]:
        """Where each meter stands in the end, by column, once all that must hold was found to hold."""
        last: dict[str, Values] = {}
        made = []
        for name, column in self._columns.items():
            if column is None:
                last[name] = [None] * len(self._counts)
            elif column.plain:
                last[name] = self._last(name, column)
            else:
                made.append((name, column))
        for name, column in made:
            last[name] = self._made_last(name, column, last)
        for name, values in last.items():
            if max(filter(None, values), default=0) > _LIMIT[name]:
                raise Malformed(f"past 2^{_LIMIT[name].bit_length()}", f"readings.{name}")
        self._check_bounds()
        last[FIRST] = self._first("at_ns")
        return last

    def _first(self, name: str) -> Values:
        """Where each meter stood in its first reading, in a column that every reading has."""
        column = self._columns[name]
        assert column is not None
        first = self._first_added(column)
        if not column.terms:
            return first
        total = [0] * len(first)
        for of, times in column.terms.items():
            part = self._columns.get(of)
            if of == ROWS:
                starts = [1] * len(first)
            elif part is None:
                continue
            else:
                step = part.terms.get(ROWS, 0)
                starts = [0 if start is None else start + step for start in self._first_added(part)]
            total = [so_far + times * (start or 0) for so_far, start in zip(total, starts, strict=True)]
        per = column.per
        return [so_far // per + plus for so_far, plus in zip(total, first, strict=True)]

    def _first_added(self, column: _Column) -> Values:
        plus = column.plus
        return [plus[span.start] for span in self._spans] if type(plus) is list else [plus] * len(self._spans)

    def values(self, name: str) -> Values:
        """The counter in every reading."""
        values = self._values.get(name)
        if values is None:
            values = self._values[name] = self._counter(name)
        return values

    def _last(self, name: str, column: _Column) -> Values:
        if column.sparse:
            return self._last_of_all(name)
        added = self._added(column.plus)
        step = column.terms.get(ROWS)
        if step is None:
            return added
        return [value + step * count for value, count in zip(added, self._counts, strict=True)]

    def _made_last(self, name: str, column: _Column, last: dict[str, Values]) -> Values:
        if column.sparse or not self._grows(column):
            return self._last_of_all(name)
        total: Values | None = None
        for of, times in column.terms.items():
            ends = self._counts if of == ROWS else last[of]
            if None in ends:
                ends = [end or 0 for end in ends]
            if total is None:
                total = [times * end for end in ends]
            else:
                total = [so_far + times * end for so_far, end in zip(total, ends, strict=True)]
        assert total is not None
        if column.per != 1:
            per = column.per
            total = [so_far // per for so_far in total]
        return total if column.plus == 0 else list(map(add, total, self._added(column.plus)))

    def _last_of_all(self, name: str) -> Values:
        values = self.values(name)
        return [values[span.stop - 1] for span in self._spans]

    def _added(self, plus: Values | int) -> Values:
        """What all readings of each meter add."""
        if type(plus) is not list:
            return [plus * count for count in self._counts]
        return [sum(plus[span]) for span in self._spans]

    def _grows(self, column: _Column) -> bool:
        """Whether it is plain to see that no reading takes anything away. ⌊a + b⌋ is never below ⌊a⌋ + ⌊b⌋."""
        least = 0
        for of, times in column.terms.items():
            if times < 0:
                return False
            least += times * self._least(of)
        return least // column.per + column.least >= 0

    def _least(self, of: str) -> int:
        """The least that a reading adds to a column that is not made of others."""
        if of == ROWS:
            return 1
        column = self._columns[of]
        return 0 if column is None or column.sparse else column.least + column.terms.get(ROWS, 0)

    def _check_bounds(self) -> None:
        """flop_low ≤ flop ≤ flop_high, in every reading."""
        low, flop, high = (self._columns[name] for name in ("flop_low", "flop", "flop_high"))
        assert low is not None
        assert high is not None
        if self._below(low, high) if flop is None else self._below(low, flop) and self._below(flop, high):
            return
        for row, (least, point, most) in enumerate(
            zip(self.values("flop_low"), self.values("flop"), self.values("flop_high"), strict=True)
        ):
            if not least <= (least if point is None else point) <= most:
                raise Malformed("flop_low ≤ flop ≤ flop_high does not hold", f"readings.flop[{row}]")

    def _below(self, low: _Column, high: _Column) -> bool:
        """Whether it is plain to see that every reading adds no more to `low` than to `high`."""
        if low.sparse or high.sparse:
            return False
        if not (low.terms or high.terms) and type(low.plus) is type(high.plus) is list:
            return all(map(le, low.plus, high.plus))
        apart = 0
        for of in low.terms.keys() | high.terms.keys():
            more = high.terms.get(of, 0) * low.per - low.terms.get(of, 0) * high.per
            if more < 0:
                return False
            apart += more * self._least(of)
        # Rounding down takes less than one from what is above, and leaves less than one too much of what is below.
        rounded = (low.per != 1) + (high.per != 1)
        return apart >= (low.most - high.least + rounded) * low.per * high.per

    def _counter(self, name: str) -> Values:
        column = self._columns[name]
        if column is None:
            return [None] * self._rows
        plus = column.plus if type(column.plus) is list else [column.plus] * self._rows
        summed = self._summed(plus, name)
        if not column.terms:
            return summed
        total = [0] * self._rows
        for of, times in column.terms.items():
            part = chain.from_iterable(range(1, n + 1) for n in self._counts) if of == ROWS else self.values(of)
            total = [so_far + times * (value or 0) for so_far, value in zip(total, part, strict=True)]
        per = column.per
        values = [None if own is None else so_far // per + own for so_far, own in zip(total, summed, strict=True)]
        self._check_growth(values, name)
        return values

    def _summed(self, plus: Values, name: str) -> Values:
        summed: Values = []
        for span in self._spans:
            added = plus[span]
            unmeasured = next((n for n, value in enumerate(added) if value is not None), len(added))
            if None in added[unmeasured:]:
                row = span.start + added.index(None, unmeasured)
                _refuse("not measured any more", f"readings.{name}[{row}]")
            summed += added[:unmeasured]
            summed += accumulate(added[unmeasured:])
        return summed

    def _check_growth(self, values: Values, name: str) -> None:
        for span in self._spans:
            before = 0
            for row in range(span.start, span.stop):
                value = values[row]
                if value is not None:
                    if value < before:
                        _refuse("a counter that goes back", f"readings.{name}[{row}]")
                    before = value

    def _column(self, name: str, sent: object) -> _Column | None:
        if sent is None:
            if name in REQUIRED_COLUMNS:
                _refuse("missing", f"readings.{name}")
            return None
        if type(sent) is dict:
            column = self._made(sent, name)
        else:
            column = _Column(self._list(sent, name, f"readings.{name}"), _NOTHING, 1, plain=True)
        if column.sparse:
            self._check_sparse(column, name)
        elif column.least < 0 and column.plain:
            row = column.plus.index(column.least) if type(column.plus) is list else 0
            _refuse("a counter that goes back", f"readings.{name}[{row}]")
        return column

    def _check_sparse(self, column: _Column, name: str) -> None:
        plus = column.plus
        assert type(plus) is list
        if name in REQUIRED_COLUMNS:
            _refuse("missing", f"readings.{name}[{plus.index(None)}]")
        self._summed(plus, name)
        if column.plain:
            row = next((n for n, value in enumerate(plus) if value is not None and value < 0), None)
            if row is not None:
                _refuse("a counter that goes back", f"readings.{name}[{row}]")

    def _made(self, sent: dict[str, Any], name: str) -> _Column:
        of, per = sent.get("of"), sent.get("per", 1)
        field = f"readings.{name}"
        if type(of) is not dict or not of:
            raise Malformed("not an object that names columns", f"{field}.of")
        for part, times in of.items():
            if part != ROWS and (part not in _PARTS or not self._listed(part)):
                _refuse("not a column that is listed here", f"{field}.of.{part[:64]}")
            if type(times) is not int or not -MAX_COUNTER <= times <= MAX_COUNTER:
                _refuse("not a whole number below 2^63", f"{field}.of.{part}")
        if type(per) is not int or not 1 <= per <= MAX_COUNTER:
            raise Malformed("not a whole number from 1", f"{field}.per")
        plain = len(of) == 1 and ROWS in of
        if plain and per != 1:
            _refuse("rows are not divided", f"{field}.per")
        if plain and of[ROWS] < 0:
            _refuse("a counter that goes back", f"{field}[0]")
        return _Column(self._list(sent.get("plus", 0), name, f"{field}.plus"), of, per, plain)

    def _listed(self, name: str) -> bool:
        sent = self._body.get(name)
        if type(sent) is not dict:
            return True
        of = sent.get("of")
        return type(of) is dict and of.keys() == {ROWS}

    def _list(self, sent: object, name: str, field: str) -> Values | int:
        """What was sent as one number, or as many as one meter has readings, or as many as there are readings."""
        if type(sent) is not list:
            return _number(sent, name, field)
        values: Values = sent
        if set(map(type, sent)) != {int}:
            values = [None if value is None else _number(value, name, f"{field}[{n}]") for n, value in enumerate(sent)]
        if len(values) == self._rows:
            return values
        if len(values) == self._uniform:
            return values * len(self._counts)
        _refuse(f"{len(values)} values where there are {self._rows} readings", field)


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
