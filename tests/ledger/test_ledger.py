"""A ledger in a directory of its own: opened, closed, held, damaged."""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from ledger.access import SOCKET, Holder, connect
from ledger.declarations import Declaration, declared
from ledger.errors import Damaged, Fatal, Held, LedgerError, Refused
from ledger.ledger import Ledger
from ledger.store import Store
from ledger.totals import run_totals
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import Clock
from wire.errors import KeyFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with a batch, a declaration and alerts in it, that nobody holds."""
    directory = tmp_path_factory.mktemp("closed")
    ledger = Ledger.open(directory, Clock())
    take(ledger, [Chain().seal(meter(6 * 10**24))])
    ledger.append([Declaration("r", model_id="m").statement("me")])
    ledger.raise_alerts("me")
    ledger.close()
    return directory


@pytest.fixture
def copy(closed: Path, tmp_path: Path) -> Path:
    return shutil.copytree(closed, tmp_path / "copy", symlinks=True)


@pytest.fixture
def opened(copy: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(copy, Clock())
    yield ledger
    ledger.close()


def files(directory: Path) -> dict[str, bytes]:
    """All but the lock, which says who came."""
    found = (path for path in directory.rglob("*") if path.is_file() and path.name != "ledger.lock")
    return {str(path.relative_to(directory)): path.read_bytes() for path in found}


def part_of(directory: Path, table: str) -> Path:
    return min((directory / "ledger" / "data" / "default" / table).resolve().glob("all_*"))


def test_all_is_there_when_it_is_opened_again(opened: Ledger) -> None:
    assert [total.flop for total in run_totals(opened)] == [6 * 10**24]
    assert declared(opened, "r") == Declaration("r", model_id="m")
    assert opened.raise_alerts("me") == []
    (last,) = opened.query("SELECT max(entry_index) FROM journal").rows[0]
    assert opened.append([Declaration("s").statement("me")]) == [last + 1]


def test_its_key_can_be_read_by_its_owner_alone(closed: Path) -> None:
    assert stat.S_IMODE((closed / "ledger.key").stat().st_mode) == 0o600


def test_one_process_holds_a_directory_and_is_named(opened: Ledger, copy: Path) -> None:
    with pytest.raises(Held, match=rf"is held by another process \(pid {os.getpid()}\): stop it, or choose another"):
        Ledger.open(copy, Clock())
    assert run_totals(opened)


def test_a_command_opens_the_ledger_itself_when_nobody_holds_it(copy: Path) -> None:
    with connect(copy, Clock()) as ledger:
        assert isinstance(ledger, Ledger)
        assert ledger.query("SELECT model_id FROM runs").rows[0][0] == "m"
    with connect(copy, Clock()) as ledger:
        assert isinstance(ledger, Ledger)


def test_a_place_where_no_socket_can_be_is_refused_and_nothing_stays_held(tmp_path: Path) -> None:
    far = tmp_path / ("d" * 100)
    ledger = Ledger.open(far, Clock())
    try:
        with pytest.raises(Fatal, match="a socket's path holds 107 bytes"):
            Holder(ledger, far).start()
    finally:
        ledger.close()
    assert not (far / SOCKET).exists()


def test_a_directory_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for directory in (tmp_path / "file", tmp_path / "file" / "below"):
        with (
            pytest.raises(LedgerError, match="choose another directory with FLOPLEDGER_DATA_DIR"),
            connect(directory, Clock()),
        ):
            pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_directory_that_may_not_be_looked_into_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(self: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(tmp_path), "exists", forbidden)
    with pytest.raises(Refused, match="Permission denied; choose another directory"), connect(tmp_path, Clock()):
        pass


@pytest.mark.parametrize("name", ["ledger", "ledger/notes.txt", "ledger/metadata/default/meters.sql", "ledger/store"])
def test_somebody_elses_files_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(Damaged) as caught:
        Ledger.open(tmp_path, Clock())
    assert str(tmp_path / "ledger") in str(caught.value)
    assert (tmp_path / name).read_text() == "mine"
    assert not (tmp_path / "ledger.key").exists()


def test_files_that_are_no_ledgers_are_named_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "notes.txt").write_text("mine")
    before = files(tmp_path)
    with pytest.raises(Damaged, match=r"holds files that are not a ledger's, such as notes\.txt: move them away"):
        Ledger.open(tmp_path, Clock())
    assert files(tmp_path) == before


def test_what_a_process_leaves_that_was_killed_at_its_first_breath_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "ledger" / "store").mkdir(parents=True)
    (tmp_path / "ledger" / "tmp").mkdir()
    (tmp_path / "ledger.lock").write_text("99999999")
    Ledger.open(tmp_path, Clock()).close()


def test_a_key_file_that_is_no_key_is_named_and_kept(copy: Path) -> None:
    (copy / "ledger.key").write_text("no key")
    with pytest.raises(KeyFileError, match=r"ledger\.key is not a private key"):
        Ledger.open(copy, Clock())
    assert (copy / "ledger.key").read_text() == "no key"


def test_a_lost_key_is_noticed(copy: Path) -> None:
    (copy / "ledger.key").unlink()
    with pytest.raises(Damaged, match=r"put the ledger's own ledger\.key back"):
        Ledger.open(copy, Clock())


@pytest.mark.parametrize("table", ["batches", "journal", "meters", "curve"])
def test_rows_that_cannot_be_read_any_more_are_not_left_out_in_silence(copy: Path, table: str) -> None:
    (part_of(copy, table) / "columns.txt").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(Damaged, match=rf"rows of {table} cannot be read any more and lie in .*/detached/broken"):
            Ledger.open(copy, Clock())


def test_a_file_that_was_overwritten_is_damage_and_not_a_wrong_question(copy: Path) -> None:
    data = part_of(copy, "meters") / "data.bin"
    data.write_bytes(bytes(data.stat().st_size))
    ledger = Ledger.open(copy, Clock())
    try:
        with pytest.raises(Damaged, match="a file of the ledger is damaged, restore it from a copy"):
            run_totals(ledger)
    finally:
        ledger.close()


def test_a_table_whose_definition_was_overwritten_is_refused(copy: Path) -> None:
    (definition,) = (copy / "ledger" / "store").rglob("meters.sql")
    definition.write_text("garbage")
    with pytest.raises(Damaged, match=r"cannot be opened: .*; restore it from a copy, or move it away"):
        Ledger.open(copy, Clock())


def test_a_ledger_that_could_not_be_opened_leaves_the_next_one_free(copy: Path, tmp_path: Path) -> None:
    (copy / "ledger.key").unlink()
    with pytest.raises(Damaged):
        Ledger.open(copy, Clock())
    Ledger.open(tmp_path / "other", Clock()).close()


def test_a_second_directory_in_one_process_is_refused(opened: Ledger, tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="cannot be opened"):
        Store.embedded(tmp_path / "second")
    assert run_totals(opened)
