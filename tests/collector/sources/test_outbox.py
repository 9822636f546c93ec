from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

import pytest

from agent.outbox import Outbox
from collector.errors import Fatal, Retry
from collector.sources.outbox import TOPIC, OutboxSource
from collector.sources.outbox_file import OutboxFile
from tests.collector.sources.contract import SourceContract, bodies
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from collector.sources.outbox import Outbox as Emptied

AGENTS = 5


def store(outbox: Outbox, agent: int, count: int = 1) -> list[bytes]:
    """What an agent does: stores batches one after the other."""
    stored = []
    for _ in range(count):
        seq = outbox.next_seq
        body = f"{agent} {seq}".encode()
        sealed = Sealed(body, hashlib.sha256(body).digest(), f"agent-{agent}", b"signature")
        outbox.store(seq, sealed, [], "incarnation", {})
        stored.append(body)
    return stored


class OutboxRig:
    """Agents that fill outboxes, and sources that empty them: in the same process, or through the same files."""

    most_agents = AGENTS

    def __init__(self, filled: list[Outbox], emptied: Callable[[], list[Emptied]]) -> None:
        self._filled = filled
        self._emptied = emptied
        self._arrived = threading.Event()

    def send(self, agent: int, count: int) -> list[bytes]:
        stored = store(self._filled[agent], agent, count)
        self._arrived.set()
        return stored

    def open(self) -> OutboxSource:
        return OutboxSource(self._emptied(), self._wait)

    def _wait(self, pause_s: float) -> None:
        self._arrived.clear()
        self._arrived.wait(pause_s)


@pytest.fixture(params=["one process", "two processes"])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OutboxRig]:
    paths = [tmp_path / f"outbox-{agent}.db" for agent in range(AGENTS)]
    filled = [Outbox(path) for path in paths]
    emptied: list[Emptied] = [*filled]
    yield OutboxRig(filled, lambda: emptied if request.param == "one process" else [OutboxFile(path) for path in paths])
    for outbox in filled:
        outbox.close()


class TestOutboxSource(SourceContract):
    pass


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "outbox.db")
    yield made
    made.close()


def source(*outboxes: Emptied, wait: Callable[[float], object] = lambda _: None) -> OutboxSource:
    return OutboxSource(outboxes, wait)


def test_a_message_is_named_by_its_outbox_and_its_place_in_the_chain(outbox: Outbox, tmp_path: Path) -> None:
    other = Outbox(tmp_path / "other.db")
    store(outbox, 0, 2)
    store(other, 1)
    messages = source(outbox, other).poll(10, 0)
    assert [(m.topic, m.partition, m.offset) for m in messages] == [(TOPIC, 0, 0), (TOPIC, 0, 1), (TOPIC, 1, 0)]
    other.close()


def test_all_headers_that_are_needed_to_trust_a_message_go_along(outbox: Outbox) -> None:
    (body,) = store(outbox, 7)
    (message,) = source(outbox).poll(10, 0)
    assert dict(message.headers) == {
        "schema": b"flopledger.batch/1",
        "key_id": b"agent-7",
        "sha256": hashlib.sha256(body).digest(),
        "signature": b"signature",
    }


def test_an_outbox_forgets_what_is_committed_and_nothing_else(outbox: Outbox) -> None:
    store(outbox, 0, 5)
    reader = source(outbox)
    reader.commit(reader.poll(3, 0))
    assert outbox.stored_batches() == 2


def test_a_full_outbox_does_not_keep_the_others_waiting(outbox: Outbox, tmp_path: Path) -> None:
    other = Outbox(tmp_path / "other.db")
    store(outbox, 0, 100)
    small = store(other, 1)
    reader = source(outbox, other)
    assert len(reader.poll(10, 0)) == 10
    assert small[0] in bodies(reader.poll(10, 0))
    other.close()


def test_it_waits_only_when_there_is_nothing_and_only_when_told_to(outbox: Outbox) -> None:
    waited: list[float] = []
    reader = source(outbox, wait=waited.append)
    assert reader.poll(10, 0) == []
    assert waited == []
    assert reader.poll(10, 1.5) == []
    assert waited == [1.5]
    store(outbox, 0)
    assert len(reader.poll(10, 1.5)) == 1
    assert waited == [1.5]


def test_an_agent_and_a_collector_of_two_processes_work_on_one_file(outbox: Outbox, tmp_path: Path) -> None:
    reader = source(OutboxFile(tmp_path / "outbox.db"))
    for round_ in range(3):
        stored = store(outbox, 0, 2)
        messages = reader.poll(10, 0)
        assert bodies(messages) == stored
        assert outbox.stored_batches() == 2
        reader.commit(messages)
        assert outbox.stored_batches() == 0
        assert outbox.next_seq == 2 * round_ + 2


def test_an_outbox_that_no_agent_has_made_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Fatal, match="does not exist: start `flopledger agent run` with the same") as caught:
        OutboxFile(tmp_path / "outbox.db")
    assert caught.value.exit_code == 2


def test_an_outbox_that_an_agent_is_just_making_is_to_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").touch()
    with pytest.raises(Retry, match="no such table"):
        OutboxFile(tmp_path / "outbox.db").pending(-1, 10)


def test_a_file_that_is_no_outbox_is_damage_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"garbage" * 1000)
    with pytest.raises(Fatal, match=r"outbox\.db is damaged \(file is not a database\): nothing was changed"):
        OutboxFile(path)
    assert path.read_bytes() == b"garbage" * 1000


def test_an_outbox_that_was_cut_short_is_damage(outbox: Outbox, tmp_path: Path) -> None:
    store(outbox, 0, 200)
    outbox._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "outbox.db"
    whole = path.read_bytes()
    (tmp_path / "cut.db").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Fatal, match=r"cut\.db is damaged \(database disk image is malformed\)"):
        OutboxFile(tmp_path / "cut.db").pending(-1, 1_000)


def test_an_outbox_that_another_process_writes_for_long_is_to_be_tried_again(
    outbox: Outbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(outbox, 0)
    reader = OutboxFile(tmp_path / "outbox.db")
    reader._db.execute("PRAGMA busy_timeout = 1")
    with outbox._transaction(), pytest.raises(Retry, match="database is locked"):
        reader.forget(0)
    assert outbox.stored_batches() == 1
