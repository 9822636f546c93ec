"""Lines and policies on record: ours, put there by the ledger when it opens, and those that users add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from ledger.catalogue_file import VERSION, parse, shipped
from ledger.errors import Refused
from ledger.journal import Statement
from ledger.thresholds import Line, Threshold

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.access import Access
    from ledger.reader import Reader

AUTHOR = "catalogue"


def due(reader: Reader) -> list[Statement]:
    """What of our catalogue is not on record as this version has it; nothing where a newer version has been here."""
    found = []
    for kind, entries in (("policy", shipped().policies), ("threshold", shipped().lines)):
        recorded = _recorded(reader, kind)
        for entry in entries:
            data = entry.data()
            there = recorded.get(entry.id, {})
            if there.get("catalogue", "") <= VERSION and there != data:
                found.append(Statement(kind, AUTHOR, data))
    return found


def lines(reader: Reader) -> list[Threshold]:
    """Every line on record, the lowest first."""
    fields = Threshold.__dataclass_fields__.keys() - {"catalogue"}
    found = [
        Threshold.of(Line.model_validate({name: data[name] for name in fields}), data["catalogue"])
        for data in _recorded(reader, "threshold").values()
    ]
    return sorted(found, key=lambda line: (line.amount is None, line.amount or 0, line.id))


def policy_ids(reader: Reader) -> list[str]:
    """Every policy on record."""
    return [str(row[0]) for row in reader.query("SELECT DISTINCT policy FROM policies ORDER BY policy").rows]


def add(access: Access, path: Path, author: str) -> list[str]:
    """Put a file's lines and policies on record, or none and raise `Refused`; returns what is new or changed."""
    try:
        found = parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}") from error
    ours = {*(line.id for line in shipped().lines), *(policy.id for policy in shipped().policies)}
    known = {*policy_ids(access), *(policy.id for policy in found.policies)}
    for entry_id in (*(policy.id for policy in found.policies), *(line.id for line in found.lines)):
        if entry_id in ours:
            raise Refused(f"{path}: {entry_id}: id: the catalogue has one of this id already; choose another")
    for line in found.lines:
        if line.policy not in known:
            raise Refused(f"{path}: [[line]] {line.id}: policy: {line.policy!r} is none of: {', '.join(sorted(known))}")
    statements = [Statement("policy", author, policy.data()) for policy in found.policies]
    statements += [Statement("threshold", author, line.data()) for line in found.lines]
    recorded = {kind: _recorded(access, kind) for kind in ("policy", "threshold")}
    new = [item for item in statements if recorded[item.kind].get(item.data["id"]) != item.data]
    if new:
        access.append(new)
    return [item.data["id"] for item in new]


def _recorded(reader: Reader, kind: str) -> dict[str, dict[str, Any]]:
    rows = reader.query(
        "SELECT argMax(body, entry_index) FROM journal WHERE kind = {kind:String} "
        "GROUP BY JSONExtractString(body, 'data', 'id')",
        {"kind": kind},
    ).rows
    found = (orjson.loads(row[0])["data"] for row in rows)
    return {data["id"]: data for data in found}
