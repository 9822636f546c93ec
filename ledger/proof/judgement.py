"""Whether a batch is rightly counted, or rightly not: judged again, with what was on record before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.proof.findings import Finding, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.access import Access
    from ledger.proof.scan import Doubt

KINDS: dict[str, Kind] = {
    "physics": "physics broken",
    "fork": "fork",
    "replay": "replay",
    "prev": "reordered chain",
}
"""What it is to count a batch that such a reason speaks against."""


def settle(ledger: Access, doubt: Doubt) -> Iterator[Finding]:
    """What is wrong with a batch that one page alone does not explain, if anything is."""
    del ledger
    place = (doubt.agent, doubt.chain, doubt.seq)
    if not doubt.stored:
        kind = KINDS.get(doubt.judged.partition(":")[0], "wrongly counted")
        yield Finding(kind, "batches", f"it counts, though: {doubt.judged}", *place)
    elif doubt.judged:
        detail = f"excluded_reason is {doubt.stored!r} where it should be {doubt.judged!r}"
        yield Finding("wrongly excluded", "batches", detail, *place)
    else:
        yield Finding("wrongly excluded", "batches", f"nothing speaks for {doubt.stored!r}", *place)
