"""Walking agents' chains: each batch names the hash of the one before, so what is missing or out of place shows.

Batches come in order of agent, chain and seq, in pages that different processes look at; a walk over one page can be
joined to the walk over the page before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ledger.proof.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator

ChainName = tuple[str, str]
"""An agent, and one of its chains."""
_NOT_IN_PLACE = ("fork", "prev", "replay", "collision")
"""Kinds of exclusion of a batch that the chain has no place for."""


@dataclass(frozen=True, slots=True)
class Link:
    """A batch as a link of its chain. Hashes are hex; `excluded_reason` is empty where the batch counts."""

    chain: ChainName
    seq: int
    sha256: str
    prev: str | None
    excluded_reason: str = ""

    @property
    def in_place(self) -> bool:
        """It takes its place in the chain, counted or not: it was not excluded for claiming another's."""
        return not self.excluded_reason.startswith(_NOT_IN_PLACE)


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers of a chain, first to last, that no batch has in its place."""

    chain: ChainName
    first: int
    last: int


@dataclass(slots=True)
class Walk:
    """What a stretch of links showed. `first` and `last` are its ends, to be joined to other stretches."""

    findings: list[Finding] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    explained: list[Gap] = field(default_factory=list)
    """Places that an agent declared as thinned out, or whose batch is there and was reported as broken."""
    first: Link | None = None
    last: list[Link] = field(default_factory=list)
    """The links at the last place: one, or several where the chain forks."""

    def step(self, link: Link) -> None:
        """Go on to the next link in order."""
        if self.first is None:
            self.first = link
            self.last = [link]
        else:
            self._follow(link)

    def join(self, later: Walk) -> None:
        """Go on with another stretch, which begins where this one ends."""
        self.explained += later.explained
        if later.first is not None:
            if self.first is None:
                self.begin(later.first)
            else:
                self._follow(later.first)
            self.last = later.last
        self.findings += later.findings
        self.gaps += later.gaps

    def begin(self, link: Link) -> None:
        """Start with this link, which no link stands before."""
        self.first = link
        self.last = [link]
        self._open(link)

    def missing(self) -> Iterator[Finding]:
        """The gaps that no agent has declared."""
        for gap in self.gaps:
            at = gap.first
            for declared in sorted(self.explained, key=lambda item: item.first):
                if declared.chain == gap.chain and declared.first <= at:
                    at = max(at, declared.last + 1)
            if at <= gap.last:
                many = f", nor any up to {gap.last}" if gap.last > at else ""
                yield _finding("deleted row", gap.chain, at, f"batch {at} of the chain is not there{many}")

    def _follow(self, link: Link) -> None:
        before = self.last[0]
        if link.chain != before.chain:
            self.last = [link]
            self._open(link)
        elif link.seq == before.seq:
            if link.in_place and any(other.in_place for other in self.last):
                detail = f"two batches in one place: {before.sha256} and {link.sha256}"
                self.findings.append(_finding("fork", link.chain, link.seq, detail))
            self.last.append(link)
        else:
            if link.seq > before.seq + 1:
                self.gaps.append(Gap(link.chain, before.seq + 1, link.seq - 1))
            elif link.in_place and link.prev not in {other.sha256 for other in self.last}:
                self.findings.append(
                    _finding(
                        "reordered chain",
                        link.chain,
                        link.seq,
                        f"it follows {link.prev}, but batch {before.seq} is {before.sha256}",
                    )
                )
            self.last = [link]

    def _open(self, link: Link) -> None:
        if link.seq > 0:
            self.gaps.append(Gap(link.chain, 0, link.seq - 1))


def _finding(kind: str, chain: ChainName, seq: int, detail: str) -> Finding:
    return Finding(kind, "batches", detail, *chain, seq)  # type: ignore[arg-type]
