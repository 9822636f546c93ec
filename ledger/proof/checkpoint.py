"""A checkpoint: a signed statement of all evidence that there was, small enough to be kept somewhere else.

It is a journal entry of kind `checkpoint`, so it is signed with the ledger's key and stands in the journal's chain. Its
file holds that entry's exact bytes: whoever kept it can show later that the ledger has lost or changed something.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID  # noqa: TC003 - pydantic reads it at run time

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from ledger.errors import Refused
from ledger.journal import SCHEMA as JOURNAL_SCHEMA
from ledger.journal import Statement
from wire.errors import Unauthentic
from wire.opening import authenticate
from wire.seal import Sealed

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.access import Access
    from ledger.proof.tree import Frontier
    from ledger.store import Store

SCHEMA = "flopledger.checkpoint/1"
KIND = "checkpoint"
FILE_NAME = "checkpoint-{:0>12}.json"
"""In a folder, by the number of its journal entry: the order of the names is that of the entries."""
MAX_FILE_BYTES = 64 * 1024 * 1024

_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0, lt=1 << 63)]


@dataclass(frozen=True, slots=True)
class Head:
    """The last batch of an agent's chain that the checkpoint covers; `sha256` is hex."""

    agent: str
    chain: str
    seq: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the ledger held: `size` pieces of evidence with this Merkle `root`, and where every chain ended.

    `entry_index` is the checkpoint's own place in the journal and `sha256` its entry's hash; `journal_index` and
    `journal_sha256` are the journal's last entry before it (None in a journal without one), `key_id` is the ledger's
    public key. Hashes are hex.
    """

    key_id: str
    entry_index: int
    sha256: str
    at: str
    author: str
    size: int
    root: str
    heads: tuple[Head, ...]
    journal_index: int | None
    journal_sha256: str | None


def statement(store: Store, tree: Frontier, author: str) -> Statement:
    """The journal entry for the log as it stands, which `tree` was grown over."""
    heads = store.query(
        "SELECT agent, toString(chain), max(seq), lower(hex(argMax(sha256, (seq, sha256)))) FROM evidence_log "
        "WHERE kind = 'batch' AND log_index < {size:UInt64} GROUP BY agent, chain ORDER BY agent, chain",
        {"size": tree.size},
    ).rows
    last = store.query(
        "SELECT seq, lower(hex(sha256)) FROM evidence_log WHERE kind = 'journal' AND log_index < {size:UInt64} "
        "ORDER BY seq DESC LIMIT 1",
        {"size": tree.size},
    ).rows
    return Statement(
        KIND,
        author,
        {
            "size": tree.size,
            "root": tree.root().hex(),
            "heads": [{"agent": a, "chain": c, "seq": seq, "sha256": sha256} for a, c, seq, sha256 in heads],
            "journal": {"index": last[0][0], "sha256": last[0][1]} if last else None,
        },
    )


def read(ledger: Access, entry_index: int) -> Checkpoint:
    """The checkpoint that stands in this journal entry."""
    entry = _entry(ledger, entry_index)
    return parse(entry["body"], entry["key_id"].decode())


def export(ledger: Access, entry_index: int, path: Path) -> None:
    """Write the checkpoint in this journal entry to a file, whole or not at all; raises `Refused`."""
    entry = _entry(ledger, entry_index)
    content = {
        "schema": SCHEMA,
        "key_id": entry["key_id"].decode(),
        "sha256": entry["sha256"].hex(),
        "signature": base64.b64encode(entry["signature"]).decode(),
        "entry": entry["body"].decode(),
    }
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise Refused(
            f"{path}: {error.strerror}; the checkpoint is journal entry {entry_index} all the same"
        ) from error


def latest(folder: Path) -> Path:
    """The file of the last checkpoint in a folder; raises `Refused` when there is none."""
    found = max(folder.glob("checkpoint-*.json"), default=None)
    if found is None:
        raise Refused(f"{folder} holds no checkpoint: `flopledger ledger checkpoint --out {folder}` makes one")
    return found


def load(path: Path) -> Checkpoint:
    """The checkpoint in a file, its signature checked; raises `Refused` that names what is wrong with the file."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise Refused(f"{path} is no checkpoint: larger than {MAX_FILE_BYTES} bytes")
        said = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from error
    return understood(said, str(path))


def understood(said: bytes, called: str) -> Checkpoint:
    """The checkpoint in a file's bytes, its signature checked; raises `Refused`, where the file is `called` so."""
    try:
        content = _File.model_validate_json(said)
        signature = base64.b64decode(content.signature, validate=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(f"{called} is no whole checkpoint: {where + ': ' if where else ''}{first['msg']}") from error
    except binascii.Error as error:
        raise Refused(f"{called} is no whole checkpoint: signature: {error}") from error
    sealed = Sealed(
        content.entry.encode(), bytes.fromhex(content.sha256), content.key_id, signature, schema=JOURNAL_SCHEMA
    )
    try:
        authenticate(sealed)
    except Unauthentic as error:
        raise Refused(f"{called} was changed after it was signed: {error}") from error
    try:
        return parse(sealed.body, content.key_id)
    except ValueError as error:
        raise Refused(f"{called} is no checkpoint: {error}") from error


def parse(body: bytes, key_id: str) -> Checkpoint:
    """The checkpoint in the bytes of a journal entry; raises ValueError that names the field."""
    try:
        entry = _Entry.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise ValueError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    data = entry.data
    return Checkpoint(
        key_id=key_id,
        entry_index=entry.index,
        sha256=hashlib.sha256(body).hexdigest(),
        at=entry.at,
        author=entry.author,
        size=data.size,
        root=data.root,
        heads=tuple(Head(head.agent, str(head.chain), head.seq, head.sha256) for head in data.heads),
        journal_index=None if data.journal is None else data.journal.index,
        journal_sha256=None if data.journal is None else data.journal.sha256,
    )


def _entry(ledger: Access, entry_index: int) -> dict[str, Any]:
    (entry,) = ledger.query_arrow(
        "SELECT body, sha256, signature, key_id FROM journal WHERE entry_index = {index:UInt64}", {"index": entry_index}
    ).to_pylist()
    found: dict[str, Any] = entry
    return found


class _Body(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Head(_Body):
    agent: str
    chain: UUID
    seq: _Count
    sha256: _Hex


class _JournalHead(_Body):
    index: _Count
    sha256: _Hex


class _Data(_Body):
    size: _Count
    root: _Hex
    heads: list[_Head]
    journal: _JournalHead | None


class _Entry(_Body):
    index: _Count
    kind: Literal["checkpoint"]
    at: str
    author: str
    data: _Data


class _File(_Body):
    version: Literal["flopledger.checkpoint/1"] = Field(alias="schema")
    key_id: str
    sha256: _Hex
    signature: str
    entry: str
