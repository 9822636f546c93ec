"""The journal as it stands: its entries, and for each whether its signature and its place in the chain hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from ledger.journal import SCHEMA
from ledger.proof.checkpoint import KIND, parse
from ledger.proof.findings import Finding
from wire.errors import Unauthentic
from wire.opening import authenticate
from wire.rfc3339 import parse_ns
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.access import Access
    from ledger.proof.checkpoint import Checkpoint
    from ledger.proof.findings import Kind
    from ledger.store import Store

PAGE_ROWS = 2_000
COLUMNS = ("entry_index", "at", "kind", "author", "data", "signature", "sha256")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the journal: what was signed (`said`, empty where it cannot be read), and what is wrong with it."""

    index: int
    sha256: bytes
    key_id: str
    body: bytes
    said: dict[str, Any]
    fault: str | None
    fault_kind: Kind | None

    @property
    def kind(self) -> str:
        """What the entry is about, as it was signed."""
        return str(self.said.get("kind", ""))

    @property
    def data(self) -> dict[str, Any]:
        """The entry's content, as it was signed."""
        data = self.said.get("data")
        return data if isinstance(data, dict) else {}


def entries(reader: Access | Store, start: int = 0) -> Iterator[Entry]:
    """All entries from number `start` on, in order, each checked by itself: hash, signature, and columns."""
    while True:
        page = reader.query_arrow(
            "SELECT entry_index, toUnixTimestamp64Nano(at) AS at_ns, kind, body, sha256, signature, key_id, "
            "request "
            "FROM journal WHERE entry_index >= {start:UInt64} ORDER BY entry_index, sha256 LIMIT {rows:UInt64}",
            {"start": start, "rows": PAGE_ROWS},
        )
        rows = page.to_pylist()
        yield from (_checked(row) for row in rows)
        if len(rows) < PAGE_ROWS:
            return
        start = rows[-1]["entry_index"] + 1


@dataclass(slots=True)
class JournalState:
    """What the journal says that verification needs, and what is wrong with it.

    `roots` are size, root (hex) and place of every checkpoint on record, `revoked_from_ns` Unix time by agent.
    """

    entries: int = 0
    key_id: str | None = None
    findings: list[Finding] = field(default_factory=list)
    enrolled: set[str] = field(default_factory=set)
    revoked_from_ns: dict[str, int] = field(default_factory=dict)
    roots: list[tuple[int, str, str]] = field(default_factory=list)
    checkpoint_hashes: dict[int, str] = field(default_factory=dict)
    last_checkpoint: Checkpoint | None = None


def check_journal(reader: Access | Store) -> JournalState:
    """Every entry, in order: each is signed, names the one before, and none is missing or doubled."""
    state = JournalState(key_id=_usual_key(reader))
    head: str | None = None
    for entry in entries(reader):
        state.findings += _misfits(state, entry, head)
        state.entries = entry.index + 1
        head = entry.sha256.hex()
        if entry.fault is None:
            _take(state, entry)
    return state


def _usual_key(reader: Access | Store) -> str | None:
    """The key that most entries name: a forged one does not put all others in the wrong."""
    found = reader.query_arrow("SELECT key_id FROM journal GROUP BY key_id ORDER BY count() DESC, key_id LIMIT 1")
    return next((row["key_id"].decode(errors="backslashreplace") for row in found.to_pylist()), None)


def _misfits(state: JournalState, entry: Entry, head: str | None) -> Iterator[Finding]:
    if entry.index > state.entries:
        detail = f"entries {state.entries} to {entry.index - 1} are not there"
        yield Finding("deleted row", "journal", detail, seq=state.entries)
    elif entry.index < state.entries:
        yield Finding("journal broken", "journal", f"a second entry {entry.index}", seq=entry.index)
    if entry.fault is not None and entry.fault_kind is not None:
        yield Finding(entry.fault_kind, "journal", entry.fault, seq=entry.index)
    elif entry.key_id != state.key_id:
        yield Finding("journal broken", "journal", f"signed by another key, {entry.key_id}", seq=entry.index)
    elif entry.index == state.entries and entry.said.get("prev") != head:
        detail = f"it follows {entry.said.get('prev')}, but the entry before is {head}"
        yield Finding("journal broken", "journal", detail, seq=entry.index)


def _take(state: JournalState, entry: Entry) -> None:
    """Keep what the entry says of keys and checkpoints. The last approval of a key lifts a revocation before it."""
    agent = entry.data.get("agent")
    if entry.kind == "agent" and isinstance(agent, str):
        state.enrolled.add(agent)
        if entry.data.get("enrolment") == "approved":
            state.revoked_from_ns.pop(agent, None)
    elif entry.kind == "revocation" and isinstance(agent, str):
        state.revoked_from_ns[agent] = parse_ns(str(entry.data.get("from")))
    elif entry.kind == KIND:
        made = parse(entry.body, entry.key_id)
        state.roots.append((made.size, made.root, f"the checkpoint in journal entry {entry.index}"))
        state.checkpoint_hashes[entry.index] = made.sha256
        state.last_checkpoint = made


def _checked(row: dict[str, Any]) -> Entry:
    said = _said(row["body"])
    name = row["key_id"].decode(errors="backslashreplace")
    fault, kind = _fault(row, said, name)
    return Entry(row["entry_index"], row["sha256"], name, row["body"], said, fault, kind)


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _fault(row: dict[str, Any], said: dict[str, Any], name: str) -> tuple[str | None, Kind | None]:
    if hashlib.sha256(row["body"]).digest() != row["sha256"]:
        return "sha256: does not fit the bytes", "changed byte"
    try:
        authenticate(Sealed(row["body"], row["sha256"], name, row["signature"], SCHEMA))
        at_ns = parse_ns(str(said.get("at")))
    except (Unauthentic, ValueError) as error:
        return str(error), "forged signature"
    columns = (
        ("entry_index", row["entry_index"], said.get("index")),
        ("at", row["at_ns"], at_ns),
        ("kind", row["kind"].decode(errors="backslashreplace"), said.get("kind")),
        ("request", row["request"].decode(errors="backslashreplace"), said.get("request", "")),
    )
    for column, stored, signed in columns:
        if stored != signed:
            return f"{column} says {stored!r} where the signed bytes say {signed!r}", "changed byte"
    return None, None
