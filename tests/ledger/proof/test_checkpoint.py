from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ledger.errors import Damaged, Refused
from ledger.journal import Statement
from ledger.proof.checkpoint import Checkpoint, export, load, read
from ledger.proof.log import logged
from ledger.proof.tree import Frontier, leaf_hash
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import opened

if TYPE_CHECKING:
    from pathlib import Path

    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock

NOTE = Statement("note", "me", {"what": "x"})


def made(ledger: Ledger) -> Checkpoint:
    return read(ledger, ledger.checkpoint("me"))


def log_of(ledger: Ledger) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in ledger.query("SELECT log_index, kind, agent, seq FROM evidence_log ORDER BY log_index").rows
    ]


def test_every_piece_of_evidence_gets_one_number_and_keeps_it(ledger: Ledger) -> None:
    chain, other = Chain(0), Chain(1)
    take(ledger, [chain.seal(meter(5)), chain.seal(meter(7)), other.seal(meter(1))])
    ledger.append([NOTE])
    ledger.checkpoint("me")
    first = log_of(ledger)
    assert first == [
        (0, "batch", chain.agent, 0),
        (1, "batch", chain.agent, 1),
        (2, "batch", other.agent, 0),
        (3, "journal", "", 0),
    ]
    again = other.seal(meter(2))
    take(ledger, [again])
    take(ledger, [again])
    ledger.checkpoint("me")
    assert log_of(ledger) == [*first, (4, "batch", other.agent, 1), (5, "journal", "", 1)]


def test_a_checkpoint_states_the_tree_over_all_evidence_and_where_every_chain_ends(ledger: Ledger) -> None:
    chain, other = Chain(0), Chain(1)
    sealed = [chain.seal(meter(5)), chain.seal(meter(7)), other.seal(meter(1))]
    take(ledger, sealed)
    ledger.append([NOTE])
    checkpoint = made(ledger)
    journal: list[Any] = [
        row["sha256"] for row in ledger.query_arrow("SELECT sha256 FROM journal ORDER BY entry_index").to_pylist()
    ]
    tree = Frontier()
    for sha256 in [*(item.sha256 for item in sealed), journal[0]]:
        tree.append(leaf_hash(sha256))
    assert (checkpoint.size, checkpoint.root) == (4, tree.root().hex())
    heads = {(head.agent, head.seq, head.sha256) for head in checkpoint.heads}
    assert heads == {(chain.agent, 1, sealed[1].sha256.hex()), (other.agent, 0, sealed[2].sha256.hex())}
    assert (checkpoint.journal_index, checkpoint.journal_sha256) == (0, journal[0].hex())
    assert (checkpoint.entry_index, checkpoint.author) == (1, "me")


def test_an_empty_ledger_has_a_checkpoint_too(ledger: Ledger) -> None:
    checkpoint = made(ledger)
    assert (checkpoint.size, checkpoint.heads, checkpoint.journal_index) == (0, (), None)


def test_another_process_goes_on_where_the_log_ended(ledger: Ledger, store: Store, clock: Clock) -> None:
    chain = Chain()
    take(ledger, [chain.seal(meter(n)) for n in range(5)])
    ledger.checkpoint("me")
    later = opened(store, clock)
    take(later, [chain.seal(meter(9))])
    checkpoint = made(later)
    tree = Frontier()
    for index, sha256 in logged(store):
        assert index == tree.size
        tree.append(leaf_hash(sha256))
    assert (checkpoint.size, checkpoint.root) == (tree.size, tree.root().hex()) == (7, tree.root().hex())


def test_a_log_with_a_hole_is_not_gone_on(ledger: Ledger, store: Store, clock: Clock) -> None:
    take(ledger, [Chain().seal(meter(5))])
    ledger.append([NOTE])
    ledger.checkpoint("me")
    store.command("ALTER TABLE evidence_log DELETE WHERE log_index = 0 SETTINGS mutations_sync = 2")
    with pytest.raises(Damaged, match="holds number 1 where 0 should stand"):
        opened(store, clock).checkpoint("me")


def test_a_file_says_what_the_journal_says(ledger: Ledger, tmp_path: Path) -> None:
    take(ledger, [Chain().seal(meter(5))])
    index = ledger.checkpoint("me")
    export(ledger, index, tmp_path / "checkpoint.json")
    assert load(tmp_path / "checkpoint.json") == read(ledger, index)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.json"]


@pytest.fixture
def content(ledger: Ledger, tmp_path: Path) -> dict[str, str]:
    export(ledger, ledger.checkpoint("me"), tmp_path / "good.json")
    found: dict[str, str] = json.loads((tmp_path / "good.json").read_text())
    return found


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("sha256", "00" * 32, "was changed after it was signed: sha256"),
        ("signature", "AA==", "was changed after it was signed: signature"),
        ("signature", "no base64!", "signature: "),
        ("entry", "{}", "was changed after it was signed: sha256"),
        ("key_id", "A" * 43, "was changed after it was signed: signature"),
        ("key_id", "short", "was changed after it was signed: key_id"),
        ("schema", "flopledger.checkpoint/2", "is no whole checkpoint: schema"),
        ("sha256", None, "is no whole checkpoint: sha256"),
    ],
)
def test_a_changed_file_is_refused(
    content: dict[str, str], tmp_path: Path, name: str, value: str | None, why: str
) -> None:
    path = tmp_path / "changed.json"
    path.write_text(json.dumps({**content, name: value}))
    with pytest.raises(Refused, match=why):
        load(path)


def test_a_truncated_file_is_refused(content: dict[str, str], tmp_path: Path) -> None:
    text = json.dumps(content)
    path = tmp_path / "cut.json"
    for length in (0, 1, len(text) // 2, len(text) - 1):
        path.write_text(text[:length])
        with pytest.raises(Refused, match=r"cut\.json is no whole checkpoint"):
            load(path)
    with pytest.raises(Refused, match="No such file"):
        load(tmp_path / "none.json")


def test_a_file_that_cannot_be_written_changes_nothing_else(ledger: Ledger, tmp_path: Path) -> None:
    index = ledger.checkpoint("me")
    with pytest.raises(Refused, match=f"journal entry {index} all the same"):
        export(ledger, index, tmp_path / "none" / "checkpoint.json")
