"""Where the meters of many batches stand in the end, column by column, and which batches plainly hold what they must.

The same that `sheet` finds out batch by batch: sums per meter say where a counter stands; the least that any reading
adds says that it never goes back and that bounds hold. Where that does not say so, where a number could leave its word,
or where something is wrong, the batch is not `plain`, and `sheet` has to look at it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from wire.batch import BIG_COLUMNS
from wire.sheet import COUNTED, FIRST, ROWS
from wire.wide import MAX_FACTOR, Wide, quotient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wire.skim import ColumnForm, Form, Skimmed

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

_SAFE = 2.0**62
"""No word holds more, nor does any sum of two."""
_SECOND_NS = 1e9


class Ends:
    """The last values of all meters of some batches, one batch after the other.

    `columns` holds words, or `Wide` ones for FLOP; a column that was not sent is not in it. Meters of batch `n` lie
    from `starts[n]` to `starts[n + 1]`. What is said of a batch that is not `plain` means nothing. By batch,
    `latest_ns` and `earliest_ns` are its ends, and `flop_per_s` is the rate that its fastest meter would take for all
    its FLOP in all its time.
    """

    __slots__ = ("_goes_on", "columns", "earliest_ns", "first_ns", "flop_per_s", "latest_ns", "plain", "starts")

    def __init__(self, columns: Mapping[str, Ints | Wide], first_ns: Ints, starts: Ints, plain: list[bool]) -> None:
        self.columns = columns
        self.first_ns = first_ns
        self.starts: list[int] = starts.tolist()
        self.plain = plain
        at_ns = columns["at_ns"]
        assert not isinstance(at_ns, Wide)
        self.latest_ns: list[int] = np.maximum.reduceat(at_ns, starts[:-1]).tolist()
        self.earliest_ns: list[int] = np.minimum.reduceat(first_ns, starts[:-1]).tolist()
        self._goes_on: list[bool] | None = None
        self.flop_per_s: list[float] = np.maximum.reduceat(self._rates(), starts[:-1]).tolist()

    def _rates(self) -> NDArray[np.float64]:
        """FLOP per second of each meter; without end where no time is stated."""
        flop = _floats(self.columns["flop_high"])
        time_ns = np.zeros(len(flop))
        for name in ("observed_ns", "gap_ns"):
            if name in self.columns:
                time_ns += _floats(self.columns[name])
        rates = np.full(len(flop), np.inf)
        np.divide(flop * _SECOND_NS, time_ns, out=rates, where=time_ns > 0)
        return rates

    def of(self, batch: int) -> LastValues:
        """The last values of one batch."""
        return LastValues(self, batch)

    def goes_on(self, batch: int) -> bool:
        """Whether no counter of a batch is below that of the batch before it, meter by meter as they come."""
        if self._goes_on is None:
            meters = np.diff(self.starts)
            if (meters == meters[0]).all():
                goes_on = np.ones(len(meters) - 1, bool)
                for column in (self.first_ns, *self.columns.values()):
                    goes_on &= _grown(column, len(meters)).all(axis=1)
                self._goes_on = [False, *goes_on.tolist()]
            else:
                self._goes_on = [False] * len(meters)
        return self._goes_on[batch]

    def ints(self, name: str, start: int, stop: int) -> list[Any]:
        """Some values of a column; None where it was not sent."""
        column = self.first_ns if name == FIRST else self.columns.get(name)
        if column is None:
            return [None] * (stop - start)
        if isinstance(column, Wide):
            return column.ints(start, stop)
        values: list[Any] = column[start:stop].tolist()
        return values


class LastValues(Mapping[str, Sequence[Any]]):
    """The last values of one batch's meters by column, as Python's numbers."""

    __slots__ = ("batch", "ends")

    def __init__(self, ends: Ends, batch: int) -> None:
        self.ends = ends
        self.batch = batch

    def __getitem__(self, name: str) -> Sequence[Any]:
        start, stop = self.ends.starts[self.batch : self.batch + 2]
        return self.ends.ints(name, start, stop)

    def __iter__(self) -> Iterator[str]:
        return iter((FIRST, *COUNTED))

    def __len__(self) -> int:
        return 1 + len(COUNTED)


def _grown(column: Ints | Wide, batches: int) -> Flags:
    """By batch from the second one on, and by meter: whether the value is not below the one before."""
    if isinstance(column, Wide):
        high, low = column.high.reshape(batches, -1), column.low.reshape(batches, -1)
        grown: Flags = (high[1:] > high[:-1]) | ((high[1:] == high[:-1]) & (low[1:] >= low[:-1]))
    else:
        values = column.reshape(batches, -1)
        grown = values[1:] >= values[:-1]
    return grown


def _floats(values: Ints | Wide) -> NDArray[np.float64]:
    return values.floats() if isinstance(values, Wide) else values.astype(np.float64)


def ends(batches: Sequence[Skimmed]) -> Ends:
    """Where the meters of batches of one form stand."""
    return _Reckoning(batches).ends()


class _Reckoning:
    """All counters of some batches of one form at once."""

    def __init__(self, batches: Sequence[Skimmed]) -> None:
        self._batches = batches
        self._form = {column.name: column for column in batches[0].form}
        meters = np.array([len(batch.counts) for batch in batches])
        self._starts = np.concatenate(([0], np.cumsum(meters)))
        self._owner = np.repeat(np.arange(len(batches)), meters)
        self._first = self._starts[:-1]
        self._counts: Ints = np.fromiter(chain.from_iterable(b.counts for b in batches), np.int64, self._starts[-1])
        self._rows = np.cumsum(self._counts) - self._counts
        self._plain = np.ones(len(batches), bool)
        self._columns: dict[str, Ints | Wide] = {}
        self._read(batches[0].form)

    def ends(self) -> Ends:
        # Those that others are made of come first.
        for column in sorted(self._form.values(), key=lambda column: bool(column.parts)):
            self._end(column)
        self._check_bounds()
        return Ends(self._columns, self._first_of(self._form["at_ns"]), self._starts, self._plain.tolist())

    def _read(self, form: Form) -> None:
        """Numbers by column and batch, and by column what each reading adds as listed."""
        numbers = np.array([batch.numbers for batch in self._batches], np.int64).T
        self._step: dict[str, Ints] = {}
        self._per: dict[str, Ints] = {}
        self._factors: dict[str, list[tuple[str, Ints]]] = {}
        self._listed: dict[str, Ints] = {}
        self._least: dict[str, Ints] = {}
        self._most: dict[str, Ints] = {}
        at = listed = 0
        row_starts = self._rows[self._first]
        for column in form:
            name = column.name
            step = self._step[name] = numbers[at]
            at += 1
            if column.parts:
                self._per[name] = numbers[at]
                self._factors[name] = list(zip(column.parts, numbers[at + 1 :], strict=False))
                at += 1 + len(column.parts)
            self._least[name] = self._most[name] = step
            if column.listed:
                flat = np.frombuffer(b"".join([batch.arrays[listed] for batch in self._batches]), np.int64)
                listed += 1
                self._listed[name] = flat
                least, most = np.minimum.reduceat(flat, row_starts), np.maximum.reduceat(flat, row_starts)
                self._keep((least > -_SAFE) & (most < _SAFE))
                if not column.parts:
                    self._keep(least >= 0)
                self._least[name], self._most[name] = step + least, step + most
            if not column.parts:
                self._keep(step >= 0)

    def _keep(self, holds: Flags) -> None:
        self._plain &= holds

    def _keep_meters(self, holds: Flags) -> None:
        if not holds.all():
            self._plain &= np.logical_and.reduceat(holds, self._first)

    def _added(self, name: str) -> Ints:
        """What all readings of each meter add by themselves."""
        step = self._step[name]
        added: Ints = step[self._owner] * self._counts
        largest = float(np.abs(step).max()) * float(self._counts.max())
        flat = self._listed.get(name)
        if flat is not None:
            added = added + np.add.reduceat(flat, self._rows)
            largest += max(abs(float(flat.min())), abs(float(flat.max()))) * float(self._counts.max())
        if largest >= _SAFE:
            exact = np.abs(step[self._owner].astype(np.float64)) * self._counts
            if flat is not None:
                exact += np.add.reduceat(np.abs(flat.astype(np.float64)), self._rows)
            self._keep_meters(exact < _SAFE)
        return added

    def _end(self, column: ColumnForm) -> None:
        name = column.name
        added = self._added(name)
        if not column.parts:
            self._columns[name] = added
            return
        per, factors = self._per[name], self._factors[name]
        self._keep((per >= 1) & (per < MAX_FACTOR))
        per = np.maximum(per, 1)
        least = np.zeros(len(per), np.int64)
        bound = np.zeros(len(per))
        for part, times in factors:
            self._keep((times >= 0) & (times < MAX_FACTOR))
            grown = self._grown(part)
            least = least + times * grown
            bound += times * grown.astype(np.float64)
        # No reading takes anything away: ⌊a + b⌋ is never below ⌊a⌋ + ⌊b⌋.
        self._keep((bound < _SAFE) & (least // per + self._least[name] >= 0))
        terms = [(times[self._owner], self._counted(part)) for part, times in factors]
        if name in BIG_COLUMNS:
            self._columns[name] = quotient(terms, per[self._owner]).plus(added)
            return
        total = np.zeros(len(added), np.int64)
        size = np.zeros(len(added))
        for times, value in terms:
            total = total + times * value
            size += times * value.astype(np.float64)
        self._keep_meters(size + np.abs(added.astype(np.float64)) < _SAFE)
        self._columns[name] = total // per[self._owner] + added

    def _grown(self, part: str) -> Ints:
        """The least that a reading adds to a part, by batch."""
        return np.ones(len(self._first), np.int64) if part == ROWS else self._least[part]

    def _counted(self, part: str) -> Ints:
        if part == ROWS:
            return self._counts
        column = self._columns[part]
        assert not isinstance(column, Wide)
        return column

    def _first_of(self, column: ColumnForm) -> Ints:
        """Where each meter stands in its first reading."""
        name = column.name
        first: Ints = self._step[name][self._owner]
        if column.listed:
            first = first + self._listed[name][self._rows]
        if not column.parts:
            return first
        total = np.zeros(len(first), np.int64)
        for part, times in self._factors[name]:
            begun: Ints = np.ones(len(first), np.int64)
            if part != ROWS:
                begun = self._step[part][self._owner]
                if part in self._listed:
                    begun = begun + self._listed[part][self._rows]
            total = total + times[self._owner] * begun
        return total // np.maximum(self._per[name], 1)[self._owner] + first

    def _check_bounds(self) -> None:
        """flop_low ≤ flop ≤ flop_high, in every reading."""
        form = self._form
        low, high = form["flop_low"], form["flop_high"]
        flop = form.get("flop")
        if flop is None:
            self._check_below(low, high)
        else:
            self._check_below(low, flop)
            self._check_below(flop, high)

    def _check_below(self, low: ColumnForm, high: ColumnForm) -> None:
        """Every reading adds no more to `low` than to `high`."""
        if not low.parts and not high.parts:
            apart = (self._step[high.name] - self._step[low.name])[self._owner].repeat(self._counts)
            apart = apart + self._listed.get(high.name, 0) - self._listed.get(low.name, 0)
            self._keep(np.minimum.reduceat(apart, self._rows[self._first]) >= 0)
            return
        one = np.ones(len(self._first), np.int64)
        low_per, high_per = self._per.get(low.name, one), self._per.get(high.name, one)
        low_of, high_of = dict(self._factors.get(low.name, ())), dict(self._factors.get(high.name, ()))
        apart, size = np.zeros_like(one), np.zeros(len(one))
        for part in low_of.keys() | high_of.keys():
            more = high_of.get(part, 0) * low_per - low_of.get(part, 0) * high_per
            self._keep(more >= 0)
            grown = self._grown(part)
            apart = apart + more * grown
            size += np.abs(more * grown.astype(np.float64))
        # Rounding down takes less than one from what is above, and leaves less than one too much of what is below.
        rounded = (low_per != 1).astype(np.int64) + (high_per != 1)
        needed = self._most[low.name] - self._least[high.name] + rounded
        size += np.abs(needed.astype(np.float64)) * low_per * high_per
        self._keep((size < _SAFE) & (apart >= needed * low_per * high_per))
