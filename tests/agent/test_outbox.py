from __future__ import annotations

import hashlib
import resource
import shutil
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.errors import Fatal, OutboxDamaged, OutboxFull, Retry
from agent.outbox import Outbox
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METERS = [["r", "p", "d", "hardware", "m", "bf16", "exact"]]
BIG = 20_000
"""Bytes that fill several pages of the file."""


def sealed(number: int, size: int = 40) -> Sealed:
    body = f"batch {number}".encode().ljust(size, b".")
    return Sealed(body, hashlib.sha256(body).digest(), "key", b"signature")


def store(outbox: Outbox, size: int = 40) -> Sealed:
    """Store the next batch, with a baseline that names it."""
    seq = outbox.next_seq
    batch = sealed(seq, size)
    outbox.store(seq, batch, METERS, "incarnation", {"after": seq})
    return batch


def database(outbox: Outbox) -> sqlite3.Connection:
    return outbox._db


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    opened = Outbox(path)
    yield opened
    opened.close()


def test_it_is_born_empty_with_a_chain_of_its_own(outbox: Outbox, tmp_path: Path) -> None:
    other = Outbox(tmp_path / "other.db")
    assert (outbox.next_seq, outbox.head, outbox.baseline(), outbox.pending(-1, 10)) == (0, None, None, [])
    assert (outbox.stored_batches(), outbox.stored_bytes()) == (0, 0)
    assert outbox.chain.version == 7
    assert outbox.chain != other.chain
    other.close()


def test_what_is_stored_is_pending_in_order(outbox: Outbox) -> None:
    stored = [store(outbox) for _ in range(4)]
    assert outbox.pending(-1, 10) == list(enumerate(stored))
    assert outbox.pending(0, 2) == [(1, stored[1]), (2, stored[2])]
    assert outbox.pending(3, 10) == []
    assert (outbox.stored_batches(), outbox.stored_bytes()) == (4, sum(len(batch.body) for batch in stored))


def test_what_is_forgotten_is_gone_and_the_chain_goes_on(outbox: Outbox) -> None:
    stored = [store(outbox) for _ in range(3)]
    outbox.forget(1)
    assert outbox.pending(-1, 10) == [(2, stored[2])]
    outbox.forget(1)
    outbox.forget(99)
    assert outbox.pending(-1, 10) == []
    assert (outbox.next_seq, outbox.head) == (3, stored[2].sha256.hex())
    assert store(outbox) == sealed(3)


def test_chain_head_and_baseline_survive_reopening(outbox: Outbox, path: Path) -> None:
    last = [store(outbox) for _ in range(3)][-1]
    outbox.forget(2)
    outbox.close()
    again = Outbox(path)
    assert (again.chain, again.next_seq, again.head) == (outbox.chain, 3, last.sha256.hex())
    assert again.baseline() == {"after": 2}
    assert again.pending(-1, 10) == []
    again.close()


def test_it_is_written_ahead_and_to_the_disk(outbox: Outbox) -> None:
    db = database(outbox)
    assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert db.execute("PRAGMA synchronous").fetchone() == (2,)


def copied(path: Path, to: Path, wal_bytes: int | None = None) -> Path:
    """What the disk would hold after a crash right now, of the log only its first `wal_bytes`."""
    to.mkdir(exist_ok=True)
    for name in (path.name, path.name + "-wal"):
        (to / name).unlink(missing_ok=True)
        (to / (path.name + "-shm")).unlink(missing_ok=True)
        if path.with_name(name).exists():
            shutil.copyfile(path.with_name(name), to / name)
    if wal_bytes is not None:
        with (to / (path.name + "-wal")).open("r+b") as log:
            log.truncate(wal_bytes)
    return to / path.name


def found_in(path: Path) -> int:
    """How many batches were stored, which head and baseline must agree with."""
    outbox = Outbox(path)
    count = outbox.next_seq
    assert [seq for seq, _ in outbox.pending(-1, 100)] == list(range(count))
    assert outbox.head == (sealed(count - 1, BIG).sha256.hex() if count else None)
    assert outbox.baseline() == ({"after": count - 1} if count else None)
    outbox.close()
    return count


def test_a_crash_at_any_statement_leaves_batch_and_baseline_or_neither(
    outbox: Outbox, path: Path, tmp_path: Path
) -> None:
    store(outbox, BIG)
    found: list[int] = []
    # A cache of no size writes pages to the log in the middle of the transaction.
    database(outbox).execute("PRAGMA cache_size = 1")
    logged: list[int] = []

    def crash(_: str) -> None:
        logged.append(path.with_name(path.name + "-wal").stat().st_size)
        found.append(found_in(copied(path, tmp_path / "crashed")))

    database(outbox).set_trace_callback(crash)
    store(outbox, BIG)
    database(outbox).set_trace_callback(None)
    assert found == [1] * len(found)
    assert len(found) >= 4
    assert logged[-1] > logged[0]
    assert found_in(copied(path, tmp_path / "crashed")) == 2


@pytest.fixture(scope="module")
def whole_log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An outbox with three batches, all in the log."""
    path = tmp_path_factory.mktemp("whole") / "outbox.db"
    outbox = Outbox(path)
    database(outbox).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for _ in range(3):
        store(outbox, BIG)
    yield path
    outbox.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1))
def test_a_log_torn_anywhere_leaves_whole_batches_with_their_baseline(
    share: float, whole_log: Path, tmp_path: Path
) -> None:
    length = whole_log.with_name(whole_log.name + "-wal").stat().st_size
    found = found_in(copied(whole_log, tmp_path / "torn", int(share * length)))
    assert found <= 3
    assert found == 3 or share < 1
    assert found == 0 or share > 0


class PowerCut(Exception):
    """What happens in the middle of a transaction."""


@pytest.mark.parametrize("part", ["baseline", "head"])
def test_an_error_within_the_transaction_takes_all_of_it_back(
    outbox: Outbox, path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    store(outbox, BIG)
    put = Outbox._put

    def interrupted(self: Outbox, name: str, value: Any) -> None:
        if name == part:
            raise PowerCut
        put(self, name, value)

    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "_put", interrupted)
        with pytest.raises(PowerCut):
            store(outbox, BIG)
    assert (outbox.next_seq, outbox.stored_batches()) == (1, 1)
    store(outbox, BIG)
    outbox.close()
    assert found_in(path) == 2


def unharmed(path: Path) -> bytes:
    """Nothing lies beside the file, which holds what it held."""
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    return path.read_bytes()


@pytest.mark.parametrize("garbage", [b"no", b"garbage" * 1_000, b"SQLite format 3\x00", b"\x00" * 4_096])
def test_garbage_is_named_and_left_alone(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    with pytest.raises(OutboxDamaged) as caught:
        Outbox(path)
    assert str(caught.value).startswith(f"the outbox {path} is damaged (")
    assert "nothing was changed. Move it and its -wal file away to begin a new chain" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert unharmed(path) == garbage


@pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.99])
def test_a_truncated_file_is_named_and_left_alone(outbox: Outbox, path: Path, share: float) -> None:
    for _ in range(5):
        store(outbox, BIG)
    outbox.close()
    left = path.read_bytes()[: int(path.stat().st_size * share)]
    path.write_bytes(left)
    with pytest.raises(OutboxDamaged, match="is damaged"):
        Outbox(path)
    assert unharmed(path) == left


def test_a_file_emptied_beside_its_log_is_named_and_the_log_is_kept(outbox: Outbox, path: Path, tmp_path: Path) -> None:
    store(outbox, BIG)
    left = copied(path, tmp_path / "emptied")
    log = left.with_name(left.name + "-wal")
    left.write_bytes(b"")
    before = log.read_bytes()
    with pytest.raises(OutboxDamaged, match="it is empty, its log is not"):
        Outbox(left)
    assert log.read_bytes() == before
    assert len(before) > BIG


def test_an_empty_file_is_a_new_outbox(path: Path) -> None:
    path.touch()
    outbox = Outbox(path)
    assert outbox.next_seq == 0
    outbox.close()


def test_a_page_that_was_overwritten_is_found_at_the_start(outbox: Outbox, path: Path) -> None:
    for _ in range(5):
        store(outbox, BIG)
    outbox.close()
    content = bytearray(path.read_bytes())
    content[4_096:8_192] = b"\xff" * 4_096
    path.write_bytes(content)
    with pytest.raises(OutboxDamaged, match="is damaged"):
        Outbox(path)
    assert unharmed(path) == content


def test_damage_under_a_running_agent_is_named_too(outbox: Outbox, path: Path) -> None:
    for _ in range(5):
        store(outbox, BIG)
    database(outbox).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    pages = path.stat().st_size
    path.write_bytes(path.read_bytes()[:4_096] + b"\xff" * (pages - 4_096))
    database(outbox).execute("PRAGMA shrink_memory")
    with pytest.raises(OutboxDamaged):
        outbox.pending(-1, 10)
    with pytest.raises(OutboxDamaged):
        store(outbox)


def test_a_place_that_cannot_be_opened_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Retry, match="cannot be used now: unable to open database file") as caught:
        Outbox(tmp_path / "nowhere" / "outbox.db")
    assert caught.value.exit_code == 3


def leave_room(outbox: Outbox, pages: int) -> None:
    """Let the file grow by no more than `pages`."""
    held = database(outbox).execute("PRAGMA page_count").fetchone()[0]
    database(outbox).execute(f"PRAGMA max_page_count = {held + pages}")


def test_a_full_disk_stores_nothing_and_works_again_later(outbox: Outbox, path: Path) -> None:
    store(outbox, BIG)
    leave_room(outbox, 2)
    for _ in range(2):
        with pytest.raises(OutboxFull, match=r"cannot be written \(database or disk is full\): sealing waits"):
            store(outbox, BIG)
        assert (outbox.next_seq, outbox.stored_batches(), outbox.baseline()) == (1, 1, {"after": 0})
    leave_room(outbox, 1_000)
    store(outbox, BIG)
    outbox.close()
    assert found_in(path) == 2


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """The kernel refuses to write past so many bytes of any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_commit_that_the_disk_refuses_is_taken_back(outbox: Outbox, path: Path) -> None:
    store(outbox, BIG)
    with files_no_longer_than(path.with_name(path.name + "-wal").stat().st_size + BIG // 2):
        with pytest.raises(OutboxFull, match="sealing waits, counting goes on"):
            store(outbox, BIG)
        assert (outbox.next_seq, outbox.stored_batches(), outbox.baseline()) == (1, 1, {"after": 0})
    store(outbox, BIG)
    outbox.close()
    assert found_in(path) == 2


def test_on_a_full_disk_what_is_shipped_makes_room(outbox: Outbox) -> None:
    store(outbox, BIG)
    leave_room(outbox, 2)
    with pytest.raises(OutboxFull):
        store(outbox, BIG)
    outbox.forget(0)
    store(outbox, BIG)
    assert outbox.pending(-1, 10) == [(1, sealed(1, BIG))]


def test_a_second_agent_on_the_same_file_cannot_fork_the_chain(outbox: Outbox, path: Path) -> None:
    second = Outbox(path)
    store(outbox)
    with pytest.raises(Fatal, match="another agent writes to the outbox"):
        store(second)
    outbox.forget(0)
    with pytest.raises(Fatal, match="another agent writes to the outbox"):
        store(second)
    second.close()
    store(outbox)
    assert outbox.next_seq == 2


def test_another_process_may_forget_what_this_one_stores(outbox: Outbox, path: Path) -> None:
    reader = Outbox(path)
    stored = store(outbox)
    assert reader.pending(-1, 10) == [(0, stored)]
    reader.forget(0)
    assert outbox.stored_batches() == 0
    store(outbox)
    assert [seq for seq, _ in reader.pending(-1, 10)] == [1]
    reader.close()


def test_while_another_process_holds_the_file_sealing_waits(outbox: Outbox, path: Path) -> None:
    database(outbox).execute("PRAGMA busy_timeout = 0")
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutboxFull, match="locked"):
            store(outbox)
        with pytest.raises(Retry, match="locked"):
            outbox.forget(0)
        other.execute("ROLLBACK")
    other.close()
    store(outbox)
    assert outbox.next_seq == 1


def test_an_outbox_may_live_in_memory() -> None:
    outbox = Outbox(":memory:")
    stored = store(outbox)
    assert outbox.pending(-1, 1) == [(0, stored)]
    outbox.close()


def test_a_call_after_closing_is_our_own_mistake(outbox: Outbox) -> None:
    outbox.close()
    with pytest.raises(sqlite3.ProgrammingError):
        outbox.stored_batches()
