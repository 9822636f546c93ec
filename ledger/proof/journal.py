"""The journal as it stands: its entries, and for each whether its signature and its place in the chain hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ledger.journal import SCHEMA
from wire.errors import Unauthentic
from wire.opening import authenticate
from wire.rfc3339 import parse_ns
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.access import Access

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

    @property
    def kind(self) -> str:
        """What the entry is about, as it was signed."""
        return str(self.said.get("kind", ""))

    @property
    def data(self) -> dict[str, Any]:
        """The entry's content, as it was signed."""
        data = self.said.get("data")
        return data if isinstance(data, dict) else {}


def entries(reader: Access, start: int = 0) -> Iterator[Entry]:
    """All entries from number `start` on, in order, each checked by itself: hash, signature, and columns."""
    while True:
        page = reader.query_arrow(
            "SELECT entry_index, toUnixTimestamp64Nano(at) AS at_ns, kind, body, sha256, signature, key_id "
            "FROM journal WHERE entry_index >= {start:UInt64} ORDER BY entry_index, sha256 LIMIT {rows:UInt64}",
            {"start": start, "rows": PAGE_ROWS},
        )
        rows = page.to_pylist()
        yield from (_checked(row) for row in rows)
        if len(rows) < PAGE_ROWS:
            return
        start = rows[-1]["entry_index"] + 1


def _checked(row: dict[str, Any]) -> Entry:
    said = _said(row["body"])
    name = row["key_id"].decode(errors="replace")
    return Entry(row["entry_index"], row["sha256"], name, row["body"], said, _fault(row, said, name))


def _said(body: bytes) -> dict[str, Any]:
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return said if isinstance(said, dict) else {}


def _fault(row: dict[str, Any], said: dict[str, Any], name: str) -> str | None:
    try:
        authenticate(Sealed(row["body"], row["sha256"], name, row["signature"], SCHEMA))
        at_ns = parse_ns(str(said.get("at")))
    except (Unauthentic, ValueError) as error:
        return str(error)
    columns = {"entry_index": row["entry_index"], "at": row["at_ns"], "kind": row["kind"].decode(errors="replace")}
    for (column, stored), signed in zip(columns.items(), (said.get("index"), at_ns, said.get("kind")), strict=True):
        if stored != signed:
            return f"{column} says {stored!r} where the signed bytes say {signed!r}"
    return None
