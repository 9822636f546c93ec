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
MAX_PER_PLACE = 5
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
    """Keeps the first records of each fault in each place, and counts the rest: a broken ledger is not listed whole."""

    def __init__(self) -> None:
        self._first: dict[tuple[Any, ...], list[Finding]] = {}
        self._more: dict[tuple[Any, ...], int] = {}
        self._records: set[tuple[Any, ...]] = set()

    def add(self, found: Iterable[Finding]) -> None:
        """Take these in the order in which they were found."""
        for finding in found:
            self._records.add((finding.table, finding.agent, finding.chain, finding.seq))
            place = (finding.kind, finding.table, finding.agent, finding.chain)
            first = self._first.setdefault(place, [])
            if len(first) < MAX_PER_PLACE:
                first.append(finding)
            else:
                self._more[place] = self._more.get(place, 0) + 1

    def about(self, table: str, agent: str | None, chain: str | None, seq: int) -> bool:
        """Something was found about this record already."""
        return (table, agent, chain, seq) in self._records

    def rows(self) -> list[Finding]:
        """The first of each fault, with how many of the same kind followed in the same place."""
        found = []
        for place, (*others, last) in self._first.items():
            more = self._more.get(place, 0)
            found += [*others, replace(last, detail=f"{last.detail}; and {more} more") if more else last]
        return found
