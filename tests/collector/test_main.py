from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from collector.errors import QuarantineStorm, Retry
from collector.main import IDLE_S, MAX_MESSAGES, Collector
from collector.patience import FIRST_WAIT_S
from collector.quarantine import MAX_CONSECUTIVE
from collector.sources.interface import Message
from ledger.errors import Refused
from ledger.errors import Retry as LedgerRetry
from ledger.evidence import Evidence
from tests.collector.rig import Failing, Killed, Rig, spoilt
from tests.ledger.chains import NOW_NS, Chain, meter
from wire.batch import DeviceRecord
from wire.plausible import FUTURE_TOLERANCE_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ledger.assessment.alert import Alert
    from ledger.store import Store
    from tests.ledger.engine import Clock

LINE = 10**25


@pytest.fixture
def rig(store: Store, clock: Clock) -> Rig:
    return Rig(store, clock)


def test_what_is_polled_is_recorded_and_then_committed(rig: Rig) -> None:
    chains = [Chain(0), Chain(1)]
    sealed = [chain.seal(meter(flop)) for flop in (5, 6) for chain in chains]
    rig.send(*sealed)
    assert rig.collector.step(timeout_s=0) == 4
    assert rig.flop() == {"r": 12}
    assert rig.source.committed == [item.body for item in sealed]
    assert rig.collector.step(timeout_s=0) == 0


def test_where_a_batch_was_read_and_when_is_on_record(rig: Rig, clock: Clock) -> None:
    clock.now_ns += 5_000
    rig.send(Chain().seal(meter(5)), Chain(1).seal(meter(5)))
    rig.drain()
    found = rig.asked(
        "SELECT source_topic, source_partition, source_offset, toUnixTimestamp64Nano(received_at) FROM batches "
        "ORDER BY source_offset"
    )
    assert found == [("memory", 0, 0, clock.now_ns), ("memory", 0, 1, clock.now_ns)]


def test_one_round_takes_so_many_and_no_more(rig: Rig) -> None:
    rig.send(*[spoilt(Chain().seal(meter(5)))] * 3)
    assert MAX_MESSAGES > 3
    assert rig.collector.step(timeout_s=0) == 3


def test_killed_between_record_and_commit_the_same_batches_come_again_and_change_nothing(rig: Rig) -> None:
    chains = [Chain(0), Chain(1)]
    rig.send(*(chain.seal(meter(flop)) for flop in (5, 6) for chain in chains))
    rig.source.at_commit = Killed()
    for _ in range(3):
        with pytest.raises(Killed):
            rig.drain()
        assert rig.flop() == {"r": 12}
        rig.source.close()
        rig.restart()
        rig.source.at_commit = Killed()
    rig.source.at_commit = None
    rig.send(chains[0].seal(meter(7)))
    rig.drain()
    assert rig.flop() == {"r": 13}
    assert rig.asked("SELECT count() FROM batches FINAL") == [5]
    assert rig.asked("SELECT count() FROM agents") == [2]
    assert rig.broker.source().poll(10, 0) == []


@pytest.mark.parametrize("method", ["collisions", "request", "record"])
@pytest.mark.parametrize("error", [LedgerRetry("no space left"), Refused("no such table"), Killed()])
def test_nothing_is_committed_that_is_not_recorded(rig: Rig, method: str, error: BaseException) -> None:
    rig.send(Chain().seal(meter(5)))
    rig.collector = rig.over(Failing(rig.ledger, method, error))
    with pytest.raises(type(error)):
        rig.drain()
    assert rig.source.committed == []
    rig.source.close()
    rig.restart()
    rig.drain()
    assert rig.flop() == {"r": 5}
    assert len(rig.source.committed) == 1


def test_a_ledger_that_was_away_for_a_moment_is_tried_again(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.send(Chain().seal(meter(5)))
    rig.collector = rig.over(Failing(rig.ledger, "record", LedgerRetry("no space left on device")))
    pauses: list[float] = []

    def wait(pause_s: float) -> bool:
        pauses.append(pause_s)
        return len(pauses) == 3

    with caplog.at_level(logging.WARNING):
        rig.collector.run(wait, assess_every_s=5)
    assert rig.flop() == {"r": 5}
    assert FIRST_WAIT_S / 2 <= pauses[0] <= FIRST_WAIT_S
    assert pauses[1:] == [0.0, 0.0]
    assert rig.source.closed == 0, "it stays in the group"
    assert [record.message for record in caplog.records] == [
        "no space left on device; nothing was committed, trying again every few seconds",
        "recording goes on",
    ]


def test_an_error_that_trying_again_cannot_mend_ends_the_work(rig: Rig) -> None:
    rig.send(Chain().seal(meter(5)))
    rig.collector = rig.over(Failing(rig.ledger, "record", Refused("no such table")))
    with pytest.raises(Refused):
        rig.collector.run(lambda _: False, assess_every_s=5)
    assert rig.source.committed == []


def test_what_cannot_be_opened_is_quarantined_and_the_rest_recorded(rig: Rig) -> None:
    chain = Chain()
    bad = spoilt(chain.seal(meter(100)))
    rig.send(chain.seal(meter(5)), bad, chain.seal(meter(6)))
    rig.drain()
    assert rig.flop() == {"r": 6}
    assert [(message.body, reason) for message, reason in rig.quarantine.messages] == [
        (bad.body, "sha256: does not fit the bytes")
    ]
    assert bad.body in rig.source.committed


def test_a_poll_of_which_nothing_can_be_opened_is_committed_all_the_same(rig: Rig) -> None:
    rig.send(spoilt(Chain().seal(meter(100))))
    rig.drain()
    assert len(rig.source.committed) == len(rig.quarantine.messages) == 1
    assert rig.flop() == {}


def test_a_storm_of_what_cannot_be_opened_stops_the_collector_and_commits_nothing_of_that_poll(rig: Rig) -> None:
    chain = Chain()
    good = chain.seal(meter(5))
    rig.send(good, *[spoilt(chain.seal(meter(100)))] * MAX_CONSECUTIVE)
    with pytest.raises(
        QuarantineStorm, match=r"99 of the last 100 messages .*: stopped, nothing of this round was committed"
    ) as caught:
        rig.drain()
    assert caught.value.exit_code == 1
    assert rig.source.committed == []
    assert rig.flop() == {}
    rig.source.close()
    assert rig.broker.source().poll(1, 0)[0].body == good.body


def test_a_batch_from_the_future_is_kept_and_not_counted_and_the_reason_names_the_field(
    rig: Rig, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    device = DeviceRecord("GPU-9", "gpu", "H100", None, 132, None, None, None, "gpm", 10**15)
    late = NOW_NS + FUTURE_TOLERANCE_NS + 5 * 10**9
    chains = [Chain(n) for n in range(3)]
    rig.send(
        chains[0].seal(meter(5), sealed_at_ns=late, devices=(device,)),
        chains[1].seal(meter(7, at_ns=late), sealed_at_ns=NOW_NS),
        chains[2].seal(meter(11, at_ns=late - 5 * 10**9)),
    )
    rig.drain()
    assert rig.flop() == {"r": 11}
    assert rig.asked("SELECT excluded_reason FROM batches ORDER BY source_offset") == [
        "future: sealed_at is 605 s ahead of ours",
        "future: readings.at_ns is 605 s ahead of ours",
        "",
    ]
    assert rig.asked("SELECT count() FROM devices") == [0]
    assert "is kept but not counted: future: sealed_at is 605 s ahead" in caplog.text


def test_an_agent_is_enrolled_at_first_use_and_only_then(rig: Rig) -> None:
    chains = [Chain(0), Chain(1)]
    rig.send(chains[0].seal(meter(1)), chains[0].seal(meter(2)), chains[1].seal(meter(3)))
    rig.drain()
    rig.send(chains[0].seal(meter(4)))
    rig.drain()
    rig.source.close()
    rig.restart()
    rig.send(chains[1].seal(meter(5)))
    rig.drain()
    found = rig.asked("SELECT agent, cluster, node, enrolment FROM agents ORDER BY entry_index")
    assert found == [(chain.agent, "c", chain.node, "first use") for chain in chains]


def test_what_nobody_signed_enrols_nobody(rig: Rig) -> None:
    rig.send(spoilt(Chain().seal(meter(1))))
    rig.drain()
    assert rig.asked("SELECT count() FROM agents") == [0]


def test_alerts_are_told_once_and_only_when_something_changed(rig: Rig) -> None:
    chain = Chain()
    rig.collector.assess()
    rig.send(chain.seal(meter(LINE * 3 // 5)))
    rig.drain()
    rig.collector.assess()
    assert {(alert.kind, alert.percent) for alert in rig.told} == {("estimate", 50), ("upper_bound", 50)}
    rig.told.clear()
    rig.collector.assess()
    rig.send(chain.seal(meter(LINE * 3 // 5 + 1)))
    rig.drain()
    rig.collector.assess()
    rig.restart()
    rig.collector.assess()
    assert rig.told == []


def test_what_a_replay_records_is_assessed_too(rig: Rig) -> None:
    rig.collector.assess()
    sealed = Chain().seal(meter(LINE))
    message = Message(sealed.body, tuple(sealed.headers()), "t", 0, 0)
    opened = rig.collector.intake.open([message], NOW_NS)
    rig.collector.intake.record([held for held in opened if isinstance(held, Evidence)])
    rig.collector.assess()
    assert {alert.percent for alert in rig.told} == {50, 75, 90}


def test_an_alert_that_could_not_be_put_on_record_is_raised_later(rig: Rig) -> None:
    rig.send(Chain().seal(meter(LINE)))
    rig.collector = rig.over(Failing(rig.ledger, "raise_alerts", LedgerRetry("busy")))
    rig.drain()
    with pytest.raises(LedgerRetry):
        rig.collector.assess()
    assert rig.told == []
    rig.collector.assess()
    assert {alert.percent for alert in rig.told} == {50, 75, 90}


def run_for(rig: Rig, rounds: int, between: Callable[[int], None] = lambda _: None) -> list[float]:
    pauses: list[float] = []

    def wait(pause_s: float) -> bool:
        pauses.append(pause_s)
        between(len(pauses))
        return len(pauses) == rounds

    rig.collector.run(wait, assess_every_s=5)
    return pauses


def test_it_waits_at_the_source_and_goes_on_at_once_when_there_is_something(rig: Rig) -> None:
    chain = Chain()
    rig.send(chain.seal(meter(5)))
    assert run_for(rig, 3, lambda n: rig.send(chain.seal(meter(5 + n))) if n == 2 else None) == [0.0, 0.0, 0.0]
    assert rig.source.waits_s == [IDLE_S] * 3
    assert rig.flop() == {"r": 7}


def test_under_load_it_assesses_as_often_as_it_was_told_to(
    rig: Rig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = Chain()
    assessed_at_s: list[int] = []
    raise_alerts = rig.ledger.raise_alerts

    def watch(author: str) -> list[Alert]:
        assessed_at_s.append((clock.now_ns - NOW_NS) // 10**9)
        return raise_alerts(author)

    def two_seconds_later(round_: int) -> None:
        clock.now_ns += 2 * 10**9
        rig.send(chain.seal(meter(round_, at_ns=clock.now_ns)))

    monkeypatch.setattr(rig.ledger, "raise_alerts", watch)
    rig.send(chain.seal(meter(0)))
    run_for(rig, 8, two_seconds_later)
    assert assessed_at_s == [0, 6, 12]


def test_a_quarantine_that_is_full_keeps_everything_uncommitted(rig: Rig) -> None:
    class Full:
        def put(self, message: Message, reason: str) -> None:
            raise Retry("quarantine: no space left on device")

    rig.send(spoilt(Chain().seal(meter(1))), Chain().seal(meter(5)))
    collector = Collector(rig.source, rig.ledger, Full(), rig.told.extend, rig._clock)
    with pytest.raises(Retry):
        collector.step(timeout_s=0)
    assert rig.source.committed == []
    assert rig.flop() == {}


def test_evidence_is_judged_in_the_order_in_which_it_came(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[int]] = []
    record = rig.ledger.record

    def watch(evidence: Sequence[Evidence]) -> None:
        taken.append([item.batch.seq for item in evidence])
        record(evidence)

    monkeypatch.setattr(rig.ledger, "record", watch)
    chain = Chain()
    rig.send(*(chain.seal(meter(n)) for n in range(4)))
    rig.drain()
    assert taken == [[0, 1, 2, 3]]


def test_a_clock_that_is_set_back_holds_no_assessment_up(
    rig: Rig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain, assessed = Chain(), 0

    def count(author: str) -> list[Alert]:
        nonlocal assessed
        assessed += 1
        return []

    def an_hour_back(round_: int) -> None:
        clock.now_ns -= 3_600 * 10**9
        rig.send(chain.seal(meter(round_)))

    monkeypatch.setattr(rig.ledger, "raise_alerts", count)
    rig.send(chain.seal(meter(0)))
    run_for(rig, 4, an_hour_back)
    assert assessed == 4


def test_a_storm_is_on_record_and_told_of_before_it_stops_the_collector(rig: Rig) -> None:
    rig.send(*(spoilt(Chain(n % 9).seal(meter(n))) for n in range(MAX_CONSECUTIVE + 9)))
    for _ in range(2):
        with pytest.raises(QuarantineStorm):
            run_for(rig, 3)
    assert [(alert.kind, alert.subject) for alert in rig.told] == [("quarantine_storm", "collector")]
    assert rig.asked("SELECT count() FROM journal WHERE kind = 'storm'") == [1], "once an hour"
