"""`flopledger ledger checkpoint` and `journal`, asked of a ledger that this process holds and serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ledger import commands
from ledger.access import Holder
from ledger.journal import Statement
from ledger.ledger import Ledger
from ledger.proof.checkpoint import load
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHAIN = Chain()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("served")
    ledger = Ledger.open(directory, Clock())
    holder = Holder(ledger, directory)
    holder.start()
    ledger.enrol({CHAIN.agent: ("c", CHAIN.node)}, "first use", "collector")
    take(ledger, [CHAIN.seal(meter(5))])
    ledger.append([Statement("note", "me", {"what": "x"})])
    yield directory
    holder.stop()
    ledger.close()


@pytest.fixture(autouse=True)
def data_dir(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(served))


def ask(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(commands.app, [*arguments, "--format", "json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_checkpoint_is_made_where_the_ledger_is_held_and_written_here(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    (row,) = ask("checkpoint", "--out", str(path), "--author", "an auditor")["checkpoint"]
    made = load(path)
    assert (made.author, made.entry_index, made.root) == ("an auditor", row["entry_index"], row["root"])
    assert (row["chains"], row["file"]) == (1, str(path))


def test_the_journal_is_listed_with_the_state_of_each_signature() -> None:
    found = ask("journal")["journal"]
    assert [row["entry_index"] for row in found] == list(range(len(found)))
    assert [(row["kind"], row["author"], row["state"]) for row in found[:2]] == [
        ("agent", "collector", "signed"),
        ("note", "me", "signed"),
    ]
    assert found[1]["data"] == {"what": "x"}


def test_the_journal_is_listed_by_kind_and_from_its_end() -> None:
    assert [row["kind"] for row in ask("journal", "--kind", "note")["journal"]] == ["note"]
    everything = ask("journal")["journal"]
    assert ask("journal", "--limit", "1")["journal"] == everything[-1:]
    assert ask("journal", "--kind", "nothing of the sort")["journal"] == []
