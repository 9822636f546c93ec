"""Whose batches count: the keys on record in the journal, under one of two rules.

open      a key is trusted on first use, and put on record then; only a revocation ends that
approved  only keys count that were approved, by a journal entry or by standing in a file of keys
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from collector.errors import Fatal, Untrusted
from ledger.agents import APPROVED, FIRST_USE, Roll, enrolled
from wire.errors import Unauthentic
from wire.rfc3339 import format_ns
from wire.signature import public_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ledger.agents import Standing
    from ledger.evidence import Evidence
    from ledger.journal import Statement
    from ledger.ledger import Ledger
    from wire.batch import Batch

log = logging.getLogger(__name__)

Rule = Literal["open", "approved"]
REFRESH_NS = 10_000_000_000
"""How old our copy of the list may be: so long a revocation or an approval takes to be heard of."""
ASK_AGAIN_NS = 1_000_000_000
"""How soon a key that is not on the list makes us read it again."""


class Enrolment:
    """Decides on keys, by a copy of the list that is read anew now and then. Used from one thread at a time.

    The list lies in the journal, which has one writer: several collectors read the same one.
    """

    def __init__(
        self,
        ledger: Ledger,
        now_ns: Callable[[], int],
        author: str,
        rule: Rule = "open",
        keys_file: Path | None = None,
    ) -> None:
        self._ledger = ledger
        self._now_ns = now_ns
        self._author = author
        self._rule = rule
        self._keys_file = keys_file
        self._listed: Mapping[str, str] = {} if keys_file is None else read_keys(keys_file)
        self._roll = Roll(ledger)
        self._read_at_ns = now_ns()
        self._requested: set[str] = set()

    def check(self, batch: Batch) -> None:
        """Raises `Untrusted` for a batch whose key does not count; the reason names the field."""
        self._refresh(REFRESH_NS)
        if not self._known(batch.agent):
            self._refresh(ASK_AGAIN_NS)
        standing = self._roll.of(batch.agent)
        if standing is not None and standing.revoked_from_ns is not None:
            _check_revocation(batch, standing, standing.revoked_from_ns)
        if self._rule == "approved":
            self._check_approval(batch, standing)

    def put_on_record(self, evidence: Sequence[Evidence]) -> None:
        """Keys that count and that the journal does not name yet. Before their batches, so that none is without."""
        fresh: dict[str, Statement] = {}
        for item in evidence:
            agent = item.batch.agent
            if agent not in fresh and agent not in self._requested and not self._named(agent):
                fresh[agent] = self._entry(item.batch)
        if fresh:
            self._ledger.request(list(fresh.values()))
            # Where somebody else writes the journal, the entries come a little later.
            self._requested.update(fresh)
            self._roll.refresh()

    def _known(self, agent: str) -> bool:
        return agent in self._listed or self._named(agent)

    def _named(self, agent: str) -> bool:
        standing = self._roll.of(agent)
        enrolment = None if standing is None else standing.enrolment
        return enrolment == APPROVED or (enrolment is not None and self._rule == "open")

    def _entry(self, batch: Batch) -> Statement:
        if self._rule == "open":
            entry = enrolled(batch.agent, FIRST_USE, self._author, batch.cluster, batch.node)
        else:
            # As the file of keys says it: where it names no node, any will do.
            entry = enrolled(batch.agent, APPROVED, self._author, node=self._listed[batch.agent])
        # Several collectors may meet a key at once: it is written once.
        return replace(entry, request=f"{entry.data['enrolment']} of {batch.agent}")

    def _check_approval(self, batch: Batch, standing: Standing | None) -> None:
        if standing is not None and standing.enrolment == APPROVED:
            wanted = {"cluster": standing.cluster, "node": standing.node}
        elif batch.agent in self._listed:
            wanted = {"node": self._listed[batch.agent]}
        else:
            raise Untrusted(
                "unknown_key",
                f"key_id: {batch.agent} is not approved: flopledger collector agents approve {batch.agent}",
            )
        for field, place in wanted.items():
            said = getattr(batch, field)
            if place and said != place:
                raise Untrusted("other_place", f"{field}: {said!r}, and the key is approved for {place!r}")

    def _refresh(self, age_ns: int) -> None:
        now_ns = self._now_ns()
        if 0 <= now_ns - self._read_at_ns < age_ns:
            return
        self._read_at_ns = now_ns
        self._roll.refresh()
        if self._keys_file is not None:
            try:
                self._listed = read_keys(self._keys_file)
            except Fatal as error:
                log.warning("%s; the keys that it held before still count", error)


def read_keys(path: Path) -> dict[str, str]:
    """Keys in a file, one a line, each with the node that it is good for or "" for any; raises `Fatal`.

    A line is `KEY` or `KEY NODE`; what follows a `#` is a remark.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Fatal(f"FLOPLEDGER_AGENT_KEYS_FILE: {path} cannot be read: {error}") from error
    keys: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            public_key(words[0])
        except Unauthentic as error:
            raise Fatal(f"FLOPLEDGER_AGENT_KEYS_FILE: {path}, line {number}: {error}") from error
        if len(words) > 2:
            raise Fatal(f"FLOPLEDGER_AGENT_KEYS_FILE: {path}, line {number}: more than a key and a node")
        keys[words[0]] = words[1] if len(words) == 2 else ""
    return keys


def _check_revocation(batch: Batch, standing: Standing, from_ns: int) -> None:
    if batch.sealed_at_ns >= from_ns:
        raise Untrusted(
            "revoked_key",
            f"key_id: {batch.agent} is revoked from {format_ns(from_ns)} on ({standing.revoked_reason}), "
            f"sealed_at is {format_ns(batch.sealed_at_ns)}",
        )
