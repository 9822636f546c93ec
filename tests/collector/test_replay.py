"""What lay in quarantine and opens now is recorded with its first coordinates, here or by whoever holds the ledger."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from collector.enrolment import Enrolment
from collector.intake import Intake
from collector.quarantine import DirectoryQuarantine
from collector.replay import COUNTED, KEPT, NOT_COUNTED, REPLAY, admit_here, admit_there, answering, replay
from collector.sources.interface import Message
from ledger.access import Holder, Remote
from ledger.agents import APPROVED, enrolled
from ledger.errors import Retry
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from collector.replay import Admit
    from ledger.ledger import Ledger
    from tests.ledger.engine import Clock
    from wire.seal import Sealed


@pytest.fixture
def kept(tmp_path: Path) -> DirectoryQuarantine:
    return DirectoryQuarantine(tmp_path / "quarantine")


@pytest.fixture(params=["here", "there"])
def admit(request: pytest.FixtureRequest, ledger: Ledger, clock: Clock, tmp_path: Path) -> Iterator[Admit]:
    intake = Intake(ledger, Enrolment(ledger, clock, "collector", "approved"))
    if request.param == "here":
        yield partial(admit_here, intake, clock)
        return
    holder = Holder(ledger, tmp_path, {REPLAY: answering(intake, clock)})
    holder.start()
    remote = Remote(tmp_path / "ledger.sock")
    assert remote.answers()
    yield partial(admit_there, remote)
    remote.close()
    holder.stop()


def put(kept: DirectoryQuarantine, offset: int, sealed: Sealed) -> None:
    kept.put(Message(sealed.body, tuple(sealed.headers()), "batches", 3, offset), "why it was")


def outcomes(kept: DirectoryQuarantine, admit: Admit) -> dict[int, str]:
    return {entry.message.offset: verdict.outcome for entry, verdict in replay(kept, admit)}


def test_what_opens_now_is_recorded_once_and_marked_and_the_rest_stays(
    kept: DirectoryQuarantine, admit: Admit, ledger: Ledger, clock: Clock
) -> None:
    approved, later = Chain(0), Chain(1)
    for offset, sealed in enumerate([approved.seal(meter(5)), later.seal(meter(7))]):
        put(kept, offset, sealed)
    put(kept, 2, approved.seal(meter(6), sealed_at_ns=NOW_NS + HOUR_NS))
    ledger.append([enrolled(approved.agent, APPROVED, "me")])
    clock.now_ns += 10**10
    assert outcomes(kept, admit) == {0: COUNTED, 1: KEPT, 2: NOT_COUNTED}
    assert [entry.replayed for entry in kept.entries()] == [True, False, True]
    assert outcomes(kept, admit) == {1: KEPT}
    ledger.append([enrolled(later.agent, APPROVED, "me")])
    clock.now_ns += 10**10
    assert outcomes(kept, admit) == {1: COUNTED}
    assert outcomes(kept, admit) == {}
    rows = ledger.query(
        "SELECT source_topic, source_partition, source_offset, excluded_reason = '' FROM batches ORDER BY source_offset"
    ).rows
    assert [tuple(row) for row in rows] == [("batches", 3, 0, 1), ("batches", 3, 1, 1), ("batches", 3, 2, 0)]
    assert ledger.query("SELECT flop FROM run_totals").rows == [(12,)]


def test_one_that_died_before_it_was_marked_is_recorded_again_and_changes_nothing(
    kept: DirectoryQuarantine, admit: Admit, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    chain = Chain()
    ledger.append([enrolled(chain.agent, APPROVED, "me")])
    put(kept, 0, chain.seal(meter(5)))
    clock.now_ns += 10**10

    def die(entry: object) -> None:
        raise Retry("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(kept, "mark_replayed", die)
        with pytest.raises(Retry):
            outcomes(kept, admit)
    assert outcomes(kept, admit) == {0: COUNTED}
    assert ledger.query("SELECT count() FROM batches FINAL").rows == [(1,)]
    assert ledger.query("SELECT flop FROM run_totals").rows == [(5,)]
