"""What verification found, by kind; and where the first record of each fault stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

Kind = Literal[
    "changed byte",
    "deleted row",
    "deleted tail",
    "inserted batch",
    "fork",
    "replay",
    "reordered chain",
    "forged signature",
    "revoked key",
    "wrongly counted",
    "wrongly excluded",
    "re-derived value differs",
    "physics broken",
    "device counted twice",
    "device-seconds not conserved",
    "checkpoint disagrees",
    "checkpoint of another ledger",
    "journal broken",
]
COLUMNS = ("kind", "table", "agent", "chain", "seq", "detail")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: the first record that has it. `seq` is the place in the chain, in the journal or in the log."""

    kind: Kind
    table: str
    detail: str
    agent: str | None = None
    chain: str | None = None
    seq: int | None = None

    def row(self) -> dict[str, Any]:
        """As it is printed."""
        return asdict(self)


class Findings:
    """Keeps the first record of each fault in each place, and counts the rest: a broken ledger is not listed whole."""

    def __init__(self) -> None:
        self._first: dict[tuple[Any, ...], Finding] = {}
        self._more: dict[tuple[Any, ...], int] = {}
        self._records: set[tuple[Any, ...]] = set()

    def add(self, found: Iterable[Finding]) -> None:
        """Take these in the order in which they were found."""
        for finding in found:
            self._records.add((finding.table, finding.agent, finding.chain, finding.seq))
            place = (finding.kind, finding.table, finding.agent, finding.chain)
            if place in self._first:
                self._more[place] = self._more.get(place, 0) + 1
            else:
                self._first[place] = finding

    def about(self, table: str, agent: str | None, chain: str | None, seq: int) -> bool:
        """Something was found about this record already."""
        return (table, agent, chain, seq) in self._records

    def rows(self) -> list[Finding]:
        """The first of each fault, with how many of the same kind followed in the same place."""
        return [
            replace(first, detail=f"{first.detail}; and {more} more") if (more := self._more.get(place)) else first
            for place, first in self._first.items()
        ]
