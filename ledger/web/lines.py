"""Lines of law as the page speaks of them: short names, their order, and where a subject stands at each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from ledger.thresholds import Threshold

SHORT = {"European Union": "EU", "California": "CA", "New York": "NY", "Republic of Korea": "KR", "United States": "US"}
UNDECLARED = "condition not declared"
APPLYING = ("in force", "guidance", "coming")


@dataclass(frozen=True, slots=True)
class Mark:
    """Lines of one amount (FLOP), which are one mark on a scale."""

    amount_flop: int
    lines: tuple[Threshold, ...]

    @property
    def short(self) -> str:
        """Whose they are, in a few letters."""
        return " · ".join(dict.fromkeys(short(line) for line in self.lines))


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a subject has come towards one line on one basis. FLOP; `share` is None where there are bounds only."""

    line: Threshold
    applies: str
    basis: str
    line_flop: int
    flop: int | None
    flop_low: int
    flop_high: int
    share: float | None
    state: str
    original: str = ""
    expected_at_ns: int | None = None
    early_at_ns: int | None = None
    late_at_ns: int | None = None

    @property
    def share_high(self) -> float:
        """The upper bound over the line."""
        return self.flop_high / self.line_flop if self.line_flop else 0.0

    @property
    def over(self) -> bool:
        """The estimate has crossed it."""
        return self.state == "crossed"


def short(line: Threshold) -> str:
    """Who set the line."""
    return SHORT.get(line.jurisdiction, line.jurisdiction if line.catalogue else line.id)


def marks(lines: Iterable[Threshold], today: date) -> list[Mark]:
    """What a scale shows: lines for models that apply or will, by amount, those for some models alone last."""
    shown = [
        line
        for line in lines
        if line.subject == "model" and line.amount is not None and line.standing_on(today) in APPLYING
    ]
    shown.sort(key=lambda line: (line.amount_flop, bool(line.requires_any), line.id))
    return [Mark(amount, tuple(group)) for amount, group in groupby(shown, key=lambda line: line.amount_flop)]


def reaches(rows: Sequence[Mapping[str, Any]], lines: Mapping[str, Threshold]) -> list[Reach]:
    """From rows of `ledger.standing` of one subject: one per line and basis."""
    return [
        Reach(
            line=lines[row["threshold"]],
            applies=row["applies"],
            basis=row["basis"],
            line_flop=row["line_flop"],
            flop=row["flop"],
            flop_low=row["flop_low"],
            flop_high=row["flop_high"],
            share=row["share"],
            state=_state(row),
            original=row.get("original") or "",
        )
        for row in rows
        if row["line_flop"]
    ]


def _state(row: Mapping[str, Any]) -> str:
    if row["condition"] == "not declared":
        return UNDECLARED
    if row["crossed"]:
        return "crossed"
    if row["crossed_by_upper_bound"]:
        return "upper bound crossed"
    if row.get("crossed_with_disputed"):
        return "crossed with disputed"
    return "below"
