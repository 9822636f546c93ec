from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import Fatal, QuarantineStorm, Retry
from collector.quarantine import MAX_CONSECUTIVE, MIN_SEEN, PER_KEY, WINDOW, DirectoryQuarantine, StormWatch
from collector.sources.interface import Message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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


def test_what_was_replayed_stays_and_says_so(tmp_path: Path) -> None:
    kept = DirectoryQuarantine(tmp_path)
    kept.put(MESSAGE, "why")
    (entry,) = kept.entries()
    kept.mark_replayed(entry)
    assert list(kept.entries()) == [replace(entry, replayed=True)]


def ratio() -> StormWatch:
    return StormWatch(max_consecutive=10**9)


def after(watch: StormWatch, seen: Sequence[bool], key: str | None = None) -> int | None:
    """After how many messages the watch stops the collector."""
    for count, opened in enumerate(seen, 1):
        try:
            watch.opened() if opened else watch.quarantined(key)
        except QuarantineStorm:
            return count
    return None


def test_a_few_bad_messages_are_no_storm_however_large_their_share() -> None:
    assert after(StormWatch(), [False] * (MIN_SEEN - 1)) is None


def test_more_than_half_of_the_recent_ones_is_a_storm() -> None:
    assert after(ratio(), [False] * MIN_SEEN) == MIN_SEEN
    assert after(ratio(), [True, False] * WINDOW) is None
    assert after(ratio(), [True] * (MIN_SEEN // 2) + [False] * MIN_SEEN) == MIN_SEEN + 1


def test_what_was_good_long_ago_excuses_nothing() -> None:
    watch = ratio()
    assert after(watch, [True] * 10 * WINDOW) is None
    assert after(watch, [False] * WINDOW) == WINDOW // 2 + 1


def test_so_many_in_a_row_are_a_storm_however_many_good_ones_came_before() -> None:
    watch = StormWatch()
    assert after(watch, [True] * WINDOW + [False] * (MAX_CONSECUTIVE - 1)) is None
    assert after(watch, [True] + [False] * MAX_CONSECUTIVE) == MAX_CONSECUTIVE + 1


def test_a_storm_says_how_bad_it_is_and_ends_with_the_code_for_no() -> None:
    watch = ratio()
    assert after(watch, [False] * (MIN_SEEN - 1)) is None
    with pytest.raises(QuarantineStorm, match="100 of the last 100 messages cannot be opened") as caught:
        watch.quarantined(None)
    assert caught.value.exit_code == 1


def test_one_signer_with_a_backlog_is_no_storm_and_ten_are() -> None:
    watch = StormWatch()
    assert after(watch, [False] * 10 * WINDOW, "node-0") is None
    assert all(after(watch, [False] * WINDOW, f"node-{n}") is None for n in range(1, MAX_CONSECUTIVE // PER_KEY - 1))
    assert after(watch, [False] * WINDOW, "node-last") == PER_KEY


@given(st.lists(st.booleans(), max_size=300))
def test_it_is_a_storm_exactly_when_too_many_of_the_recent_ones_are_bad(seen: list[bool]) -> None:
    counts = range(MIN_SEEN, len(seen) + 1)
    expected = next((n for n in counts if not seen[n - 1] and seen[:n].count(False) * 2 > n), None)
    assert after(ratio(), seen) == expected
