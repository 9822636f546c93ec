"""Columns of integers from 0 to 2^128 - 1, two machine words each: what FLOP of many meters are computed in at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Words = NDArray[np.uint64]
    Signed = NDArray[np.int64]

MAX_FACTOR = 2**31
"""Factors and divisors lie below this."""

_HALF = np.uint64(32)
_LOW = np.uint64(2**32 - 1)
_WORD = 2.0**64


@dataclass(frozen=True, slots=True)
class Wide:
    """`high` × 2^64 + `low`, element by element."""

    low: Words
    high: Words

    @classmethod
    def of(cls, values: Signed) -> Wide:
        """The same integers, none of them negative."""
        return cls(values.astype(np.uint64), np.zeros(len(values), np.uint64))

    def plus(self, added: Signed) -> Wide:
        """Each with a signed integer added; no sum may be negative or reach 2^128."""
        low = self.low + added.view(np.uint64)
        carried = (added >= 0) & (low < self.low)
        borrowed = (added < 0) & (low > self.low)
        return Wide(low, self.high + carried.astype(np.uint64) - borrowed.astype(np.uint64))

    def floats(self) -> NDArray[np.float64]:
        """Each, to 52 bits."""
        return self.high.astype(np.float64) * _WORD + self.low.astype(np.float64)

    def take(self, rows: Signed) -> Wide:
        """These elements."""
        return Wide(self.low[rows], self.high[rows])

    def ints(self, start: int, stop: int) -> list[int]:
        """Some of them as Python's integers."""
        low: list[int] = self.low[start:stop].tolist()
        if not self.high[start:stop].any():
            return low
        high: list[int] = self.high[start:stop].tolist()
        return [(above << 64) | below for above, below in zip(high, low, strict=True)]

    def little_endian(self) -> bytes:
        """Sixteen bytes each."""
        return np.column_stack((self.low, self.high)).astype("<u8").tobytes()


def quotient(terms: Sequence[tuple[Signed, Signed]], per: Signed) -> Wide:
    """⌊Σ factor × value ÷ per⌋. No value is negative, factors lie in 0 … 2^31 - 1, divisors in 1 … 2^31 - 1."""
    zero = np.zeros(len(per), np.uint64)
    first, second, third = zero, zero, zero
    for factor, value in terms:
        times, word = factor.astype(np.uint64), value.astype(np.uint64)
        below, above = (word & _LOW) * times, (word >> _HALF) * times
        first = first + (below & _LOW)
        second = second + (below >> _HALF) + (above & _LOW)
        third = third + (above >> _HALF)
    # Digits to the base of 2^32, carried, then divided from the top.
    second = second + (first >> _HALF)
    third = third + (second >> _HALF)
    by = per.astype(np.uint64)
    top, rest = np.divmod(third, by)
    middle, rest = np.divmod((rest << _HALF) | (second & _LOW), by)
    bottom = ((rest << _HALF) | (first & _LOW)) // by
    return Wide((middle << _HALF) | bottom, top)
