from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.errors import Damaged, Refused, Retry
from ledger.journal import SCHEMA, Journal, Statement
from tests.ledger.chains import NOW_NS
from tests.ledger.engine import LEDGER_KEY, Clock
from wire.errors import Unauthentic
from wire.opening import authenticate
from wire.rfc3339 import format_ns
from wire.seal import Sealed, key_id

if TYPE_CHECKING:
    import pyarrow as pa

    from ledger.store import Store


def note(**data: Any) -> Statement:
    return Statement("note", "me", data)


def journal(store: Store, key: Ed25519PrivateKey = LEDGER_KEY) -> Journal:
    return Journal(store, key, Clock())


def entries(store: Store) -> list[Sealed]:
    """As an auditor reads them."""
    rows = store.query("SELECT body, sha256, key_id, signature FROM journal ORDER BY entry_index").rows
    return [Sealed(body.encode(), sha256, name, signature, SCHEMA) for body, sha256, name, signature in rows]


def bodies(store: Store) -> list[dict[str, Any]]:
    return [orjson.loads(entry.body) for entry in entries(store)]


def rewrite(store: Store, change: str) -> None:
    store.command(f"ALTER TABLE journal {change} SETTINGS mutations_sync = 2")


def test_every_entry_names_the_hash_of_the_one_before(store: Store) -> None:
    kept = journal(store)
    assert kept.append([note(n=0), note(n=1)]) == [0, 1]
    assert kept.append([note(n=2)]) == [2]
    hashes = [None, *(entry.sha256.hex() for entry in entries(store))]
    assert [(body["index"], body["prev"]) for body in bodies(store)] == list(enumerate(hashes[:-1]))


def test_every_entry_is_signed_with_the_ledgers_key(store: Store) -> None:
    journal(store).append([note(n=0), note(n=1)])
    for entry in entries(store):
        assert entry.key_id == key_id(LEDGER_KEY.public_key())
        authenticate(entry)


def test_one_changed_byte_shows(store: Store) -> None:
    journal(store).append([note(n=10)])
    (entry,) = entries(store)
    changed = Sealed(entry.body.replace(b"10", b"11"), entry.sha256, entry.key_id, entry.signature, SCHEMA)
    with pytest.raises(Unauthentic):
        authenticate(changed)


def test_an_entry_says_who_wrote_what_and_when(store: Store) -> None:
    journal(store).append([Statement("run", "alice", {"run_id": "r", "planned_flop": str(10**30)})])
    assert bodies(store) == [
        {
            "schema": SCHEMA,
            "index": 0,
            "prev": None,
            "at": format_ns(NOW_NS),
            "kind": "run",
            "author": "alice",
            "data": {"run_id": "r", "planned_flop": str(10**30)},
        }
    ]
    found = store.query("SELECT kind, toUnixTimestamp64Nano(at) FROM journal").rows
    assert [tuple(row) for row in found] == [("run", NOW_NS)]


def test_a_process_that_starts_again_goes_on_with_the_chain(store: Store) -> None:
    for n in range(3):
        assert journal(store).append([note(n=n)]) == [n]
    assert [body["prev"] for body in bodies(store)][1:] == [e.sha256.hex() for e in entries(store)][:-1]


def test_nothing_to_write_writes_nothing(store: Store) -> None:
    assert journal(store).append([]) == []
    assert entries(store) == []


class Full:
    """A disk that is full until somebody makes room."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.full = True
        self.query = store.query
        self.shared = store.shared

    def insert(self, table: str, rows: pa.Table, once: str | None = None) -> None:
        if self.full:
            raise Retry("Code: 243. No space left on device")
        self._store.insert(table, rows, once)


def test_what_could_not_be_written_leaves_no_gap(store: Store) -> None:
    disk = Full(store)
    kept = Journal(disk, LEDGER_KEY, Clock())  # type: ignore[arg-type]
    with pytest.raises(Retry):
        kept.append([note(n=0), note(n=1)])
    assert entries(store) == []
    disk.full = False
    assert kept.append([note(n=2)]) == [0]
    assert journal(store).append([note(n=3)]) == [1]


@pytest.mark.parametrize("impossible", [object(), "\ud800", 2**70, {1: 2}])
def test_a_statement_that_cannot_be_encoded_keeps_all_of_them_out(store: Store, impossible: object) -> None:
    kept = journal(store)
    with pytest.raises(Refused, match="the journal cannot hold this note"):
        kept.append([note(n=0), note(what=impossible)])
    assert entries(store) == []
    assert kept.append([note(n=1)]) == [0]


def test_many_threads_write_one_chain(store: Store) -> None:
    kept = journal(store)
    threads = [threading.Thread(target=lambda: kept.append([note(), note()])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    hashes = [None, *(entry.sha256.hex() for entry in entries(store))]
    assert [(body["index"], body["prev"]) for body in bodies(store)] == list(enumerate(hashes[:-1]))
    assert len(hashes) == 17


def test_another_key_is_refused(store: Store) -> None:
    journal(store).append([note()])
    with pytest.raises(Damaged, match=r"signed with another key: put the ledger's own ledger\.key back"):
        journal(store, Ed25519PrivateKey.generate())


def test_a_missing_entry_is_noticed(store: Store) -> None:
    journal(store).append([note(), note(), note()])
    rewrite(store, "DELETE WHERE entry_index = 1")
    with pytest.raises(Damaged, match="holds 2 entries but ends with number 2: some are missing or doubled"):
        journal(store)


def test_a_doubled_entry_is_noticed_even_beside_a_missing_one(store: Store) -> None:
    journal(store).append([note(), note(), note()])
    rewrite(store, "DELETE WHERE entry_index = 1")
    store.command("INSERT INTO journal SELECT * FROM journal WHERE entry_index = 0")
    with pytest.raises(Damaged, match="missing or doubled"):
        journal(store)


def test_a_last_entry_that_was_changed_is_noticed(store: Store) -> None:
    journal(store).append([note(n=1), note(n=2)])
    rewrite(store, """UPDATE body = replaceOne(body, '"n":2', '"n":3') WHERE entry_index = 1""")
    with pytest.raises(Damaged, match="entry 1 of the journal was changed: sha256"):
        journal(store)


def test_a_last_entry_with_a_new_hash_is_noticed_by_its_signature(store: Store) -> None:
    journal(store).append([note(n=1)])
    rewrite(store, """UPDATE body = replaceOne(body, '"n":1', '"n":3') WHERE true""")
    rewrite(store, "UPDATE sha256 = SHA256(body) WHERE true")
    with pytest.raises(Damaged, match="entry 0 of the journal was changed: signature"):
        journal(store)
