"""Agents' keys: how each came to be trusted, and from when on it is not. All of it lies in the journal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import orjson

from ledger.errors import Refused
from ledger.journal import Statement
from wire.errors import Unauthentic
from wire.rfc3339 import format_ns, parse_ns
from wire.signature import public_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.reader import Reader

How = Literal["first use", "approved"]
FIRST_USE: How = "first use"
APPROVED: How = "approved"

AGENT_COLUMNS = ("agent", "enrolment", "cluster", "node", "enrolled_at", "revoked_from", "revoked_reason")

_ENTRIES = """
SELECT entry_index, kind, body FROM journal
WHERE entry_index >= {since:UInt64} AND kind IN ('agent', 'revocation') ORDER BY entry_index
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the journal says of one key, as in the view `agents`. Where `cluster` or `node` is empty, any will do."""

    enrolment: How | None = None
    cluster: str = ""
    node: str = ""
    revoked_from_ns: int | None = None
    revoked_reason: str = ""


def enrolled(agent: str, how: How, author: str, cluster: str = "", node: str = "") -> Statement:
    """The entry that puts a key on record; approving one that is revoked lifts that. Raises `Refused` for no key."""
    _check_key(agent)
    return Statement("agent", author, {"agent": agent, "cluster": cluster, "node": node, "enrolment": how})


def revoked(agent: str, from_ns: int, reason: str, author: str) -> Statement:
    """The entry that ends a key's trust: what it sealed at `from_ns` (Unix) or later counts no more."""
    _check_key(agent)
    if not reason.strip():
        raise Refused("a revocation needs a reason")
    return Statement("revocation", author, {"agent": agent, "from": format_ns(from_ns), "reason": reason})


class Roll:
    """The keys on record, as far as the journal was read: `refresh` reads what was added since."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._standing: dict[str, Standing] = {}
        self._since = 0
        self.refresh()

    def refresh(self) -> None:
        """Read on in the journal."""
        for index, kind, body in self._reader.query(_ENTRIES, {"since": self._since}).rows:
            data = orjson.loads(body)["data"]
            before = self._standing.get(data["agent"], Standing())
            self._standing[data["agent"]] = _after(before, kind, data)
            self._since = index + 1

    def of(self, agent: str) -> Standing | None:
        """What is on record of a key; None for nothing."""
        return self._standing.get(agent)

    def missing(self, agents: Iterable[str]) -> set[str]:
        """Those of which nothing is on record."""
        return {agent for agent in agents if agent not in self._standing}


def _after(before: Standing, kind: str, data: dict[str, str]) -> Standing:
    """The view `agents` says the same in SQL."""
    if kind == "revocation":
        return replace(before, revoked_from_ns=parse_ns(data["from"]), revoked_reason=data["reason"])
    if data["enrolment"] == APPROVED:
        return Standing(APPROVED, data["cluster"], data["node"])
    if before.enrolment is not None:
        # Two collectors met the key at once, or it was approved meanwhile.
        return before
    return replace(before, enrolment=FIRST_USE, cluster=data["cluster"], node=data["node"])


def _check_key(agent: str) -> None:
    try:
        public_key(agent)
    except Unauthentic as error:
        raise Refused(f"{agent!r} is no agent's key ({error}): `flopledger agent key` prints one") from error
