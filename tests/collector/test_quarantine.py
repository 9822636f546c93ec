from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Fatal, QuarantineStorm, Retry
from collector.main import Collector
from collector.quarantine import MIN_SEEN, WINDOW, DirectoryQuarantine, StormWatch
from collector.sources.interface import Message
from ledger.totals import run_totals
from tests.ledger.chains import Chain, meter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ledger.ledger import Ledger
    from tests.ledger.engine import Clock

MESSAGE = Message(b"\x00body\xff", (("schema", b"v1"), ("twice", b"a"), ("twice", b"\xff")), "batches", 3, 41)


def test_a_message_is_kept_whole_with_its_reason_and_where_it_was_read(tmp_path: Path) -> None:
    DirectoryQuarantine(tmp_path / "kept").put(MESSAGE, "signature: does not fit the bytes")
    (path,) = (tmp_path / "kept").iterdir()
    assert json.loads(path.read_text()) == {
        "reason": "signature: does not fit the bytes",
        "topic": "batches",
        "partition": 3,
        "offset": 41,
        "headers": [["schema", b"v1".hex()], ["twice", b"a".hex()], ["twice", "ff"]],
        "body": MESSAGE.body.hex(),
    }


def test_what_was_kept_comes_back_as_it_was(tmp_path: Path) -> None:
    kept = DirectoryQuarantine(tmp_path)
    kept.put(MESSAGE, "why")
    (entry,) = kept.entries()
    assert (entry.message, entry.reason, entry.size_bytes) == (MESSAGE, "why", len(MESSAGE.body))


def test_the_same_message_again_is_kept_once(tmp_path: Path) -> None:
    kept = DirectoryQuarantine(tmp_path)
    for _ in range(3):
        kept.put(MESSAGE, "why")
    assert len(list(kept.entries())) == 1


def test_entries_stand_in_the_order_of_where_they_were_read(tmp_path: Path) -> None:
    kept = DirectoryQuarantine(tmp_path)
    for partition, offset in ((1, 5), (0, 9), (1, 4)):
        kept.put(Message(f"{partition} {offset}".encode(), (), "t", partition, offset), "why")
    assert [(e.message.partition, e.message.offset) for e in kept.entries()] == [(0, 9), (1, 4), (1, 5)]


def test_a_quarantine_with_nothing_in_it_has_no_entries(tmp_path: Path) -> None:
    assert list(DirectoryQuarantine(tmp_path / "never made").entries()) == []


def test_an_entry_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(Fatal, match=r"x\.json cannot be read"):
        list(DirectoryQuarantine(tmp_path).entries())


def test_a_place_that_cannot_be_written_is_to_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Retry, match=r"quarantine .*: Not a directory") as caught:
        DirectoryQuarantine(tmp_path / "file" / "below").put(MESSAGE, "why")
    assert caught.value.exit_code == 3


def test_it_is_on_disk_when_it_is_said_to_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bool] = []
    fsync = os.fsync

    def watch(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    DirectoryQuarantine(tmp_path).put(MESSAGE, "why")
    assert synced == [False, True]


def test_a_half_written_file_is_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    kept = DirectoryQuarantine(tmp_path)
    with pytest.raises(Retry, match="No space left on device"):
        kept.put(MESSAGE, "why")
    assert list(kept.entries()) == []


class OnePoll:
    """Hands out these messages, once."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    def poll(self, max_messages: int, timeout_s: float) -> Sequence[Message]:
        messages, self._messages = self._messages, ()
        return messages

    def commit(self, messages: Sequence[Message]) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_message_that_can_be_opened_later_is_recorded_from_the_quarantine(
    ledger: Ledger, clock: Clock, tmp_path: Path
) -> None:
    sealed = Chain().seal(meter(5))
    newer = Message(sealed.body, (("schema", b"flopledger.batch/2"), *sealed.headers()[1:]), "batches", 0, 7)
    kept = DirectoryQuarantine(tmp_path)
    Collector(OnePoll([newer]), ledger, kept, lambda _: None, clock).step(timeout_s=0)
    (entry,) = kept.entries()
    assert entry.reason.startswith("schema: 'flopledger.batch/2' is not")
    assert run_totals(ledger) == []

    mended = Message(entry.message.body, tuple(sealed.headers()), "quarantine", 0, 0)
    Collector(OnePoll([mended]), ledger, kept, lambda _: None, clock).step(timeout_s=0)
    assert [total.flop for total in run_totals(ledger)] == [5]


def after(watch: StormWatch, seen: Sequence[bool]) -> int | None:
    """After how many messages the watch stops the collector."""
    for count, opened in enumerate(seen, 1):
        try:
            watch.saw(opened=opened)
        except QuarantineStorm:
            return count
    return None


def test_a_few_bad_messages_are_no_storm_however_large_their_share() -> None:
    assert after(StormWatch(), [False] * (MIN_SEEN - 1)) is None


def test_more_than_half_of_the_recent_ones_is_a_storm() -> None:
    assert after(StormWatch(), [False] * MIN_SEEN) == MIN_SEEN
    assert after(StormWatch(), [True, False] * WINDOW) is None
    assert after(StormWatch(), [True] * (MIN_SEEN // 2) + [False] * MIN_SEEN) == MIN_SEEN + 1


def test_what_was_good_long_ago_excuses_nothing() -> None:
    watch = StormWatch()
    assert after(watch, [True] * 10 * WINDOW) is None
    assert after(watch, [False] * WINDOW) == WINDOW // 2 + 1
    assert watch.quarantined == WINDOW // 2 + 1


def test_a_storm_says_how_bad_it_is_and_ends_with_the_code_for_no() -> None:
    watch = StormWatch()
    assert after(watch, [False] * (MIN_SEEN - 1)) is None
    with pytest.raises(QuarantineStorm, match="100 of the last 100 messages cannot be opened") as caught:
        watch.saw(opened=False)
    assert (caught.value.exit_code, watch.quarantined) == (1, 100)


@given(st.lists(st.booleans(), max_size=300))
def test_it_is_a_storm_exactly_when_too_many_of_the_recent_ones_are_bad(seen: list[bool]) -> None:
    counts = range(MIN_SEEN, len(seen) + 1)
    expected = next((n for n in counts if seen[:n].count(False) * 2 > n), None)
    assert after(StormWatch(), seen) == expected
