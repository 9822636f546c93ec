"""Published dense peaks: what a board is sold as doing per second, by number format, found by name.

`compute.accelerators` holds rates per cycle, for measured cycles; this is for estimates from device-hours, and knows
boards too for which no formula holds (H20, TPUs, other vendors). Datasheets print figures for sparse matrices, twice as
large: these are the dense ones.
"""

from __future__ import annotations

import csv
import difflib
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Mapping

_FLOATING = (Dtype.FP64, Dtype.FP32, Dtype.TF32, Dtype.FP16, Dtype.BF16, Dtype.FP8, Dtype.FP4)
_NEAR = 0.6
"""How alike a name must be to be worth a hint."""


class UnknownDevice(ValueError):
    """No row of the table has this name; the message names those that are near."""


@dataclass(frozen=True, slots=True)
class Board:
    """One accelerator: published dense peaks in FLOP per second by format, and where they were found."""

    name: str
    aliases: tuple[str, ...]
    peak_flop_per_s: Mapping[Dtype, int]
    evidence: str
    source: str
    note: str

    def peak(self, dtype: Dtype) -> int:
        """FLOP per second in `dtype`, dense; raises ValueError naming the formats that are known."""
        if dtype is Dtype.INT8:
            raise ValueError("int8 counts integer operations, and those are no FLOP")
        found = self.peak_flop_per_s.get(dtype)
        if found is None:
            known = ", ".join(self.peak_flop_per_s)
            raise ValueError(f"no peak of {self.name} in {dtype} is known; known are: {known}")
        return found


@cache
def boards() -> tuple[Board, ...]:
    """Every row of the table."""
    text = (files("compute") / "data" / "accelerators.csv").read_text(encoding="utf-8")
    return tuple(_board(row) for row in csv.DictReader(text.splitlines()))


def board(name: str) -> Board:
    """The board of this name, as we or its driver call it; raises `UnknownDevice`."""
    found = _by_name().get(_folded(name))
    if found is None:
        raise UnknownDevice(f"{name!r} is in no row of the accelerator table{_suggestion(name)}")
    return found


def precision(text: str) -> Dtype:
    """The format of this name; raises ValueError naming those there are."""
    wanted = text.strip().lower()
    if wanted not in _FLOATING:
        raise ValueError(f"{text!r} is none of: {', '.join(_FLOATING)}")
    return Dtype(wanted)


def _suggestion(name: str) -> str:
    alike: dict[str, float] = {}
    for key, found in _by_name().items():
        alike[found.name] = max(_alike(_folded(name), key), alike.get(found.name, 0))
    near = sorted((row for row, likeness in alike.items() if likeness >= _NEAR), key=lambda row: -alike[row])[:4]
    return f"; near it: {', '.join(near)}" if near else ": name one that is, or give the peak itself"


def _alike(wanted: str, known: str) -> float:
    """How alike two names are, from 0 to 1: as a whole, and by their first word, which names the chip."""
    whole = difflib.SequenceMatcher(None, wanted, known).ratio()
    first = difflib.SequenceMatcher(None, wanted.partition(" ")[0], known.partition(" ")[0]).ratio()
    return (whole + 2 * first) / 3


@cache
def _by_name() -> Mapping[str, Board]:
    return {_folded(name): found for found in boards() for name in (found.name, *found.aliases)}


def _folded(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _board(row: Mapping[str, str]) -> Board:
    peaks = {
        dtype: int(Fraction(row[f"peak_tflop_{dtype}"]) * 10**12) for dtype in _FLOATING if row[f"peak_tflop_{dtype}"]
    }
    aliases = tuple(filter(None, row["aliases"].split("|")))
    return Board(row["name"], aliases, peaks, row["evidence"], row["source"], row["note"])
