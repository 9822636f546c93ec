"""Every change of every alert reaches every channel, in order, whatever fails in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from collector.notify.errors import NotDelivered, Refused, Unreached
from collector.notify.lane import LONGEST_WAIT_S
from ledger.errors import Retry
from tests.collector.notify.world import Times, Told, acknowledge, notifier, raise_alert, resolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.notify.message import Message
    from ledger.deliveries import Attempt
    from ledger.ledger import Ledger

WHOLE_LIFE = [("a", 1, "raised"), ("a", 1, "acknowledged"), ("a", 1, "resolved"), ("a", 2, "raised")]


def live(ledger: Ledger, alert_id: str = "a") -> None:
    raise_alert(ledger, alert_id)
    acknowledge(ledger, alert_id)
    resolve(ledger, alert_id)
    raise_alert(ledger, alert_id)


def away(message: Message) -> NotDelivered:
    return Unreached("nobody there")


def test_every_change_is_told_once_and_in_order(ledger: Ledger, times: Times) -> None:
    channel = Told()
    it = notifier(ledger, times, channel)
    it.step()
    live(ledger)
    it.step()
    assert it.step() is None
    assert channel.said() == WHOLE_LIFE
    assert len({m.message_id for m in channel.accepted}) == 4


def test_what_a_message_says_is_what_the_ledger_says(ledger: Ledger, times: Times) -> None:
    channel = Told()
    raise_alert(ledger, "a", percent=100, evidence={"meters": 3})
    notifier(ledger, times, channel, runbook_url="https://r.example/b").step()
    said = channel.accepted[0].data()
    assert (said["flop"], said["line_flop"]) == (str(76 * 10**23), str(10**25))
    assert (said["kind"], said["percent"], said["severity"]) == ("estimate", 100, "critical")
    assert said["runbook"] == "https://r.example/b/estimate.md"
    assert said["evidence"] == {"meters": 3}
    assert said["raised_at"] == "2026-11-23T14:26:40Z"
    assert said["journal_entry"] == 0


def test_after_a_restart_only_what_was_not_accepted_is_told(ledger: Ledger, times: Times) -> None:
    first = Told()
    live(ledger)
    notifier(ledger, times, first).step()
    acknowledge(ledger, "a")
    second = Told()
    notifier(ledger, times, second).step()
    assert second.said() == [("a", 2, "acknowledged")]


def test_a_channel_that_is_away_holds_up_no_other_and_gets_all_of_it_later(ledger: Ledger, times: Times) -> None:
    gone, there = Told("gone", failing=away), Told("there")
    it = notifier(ledger, times, gone, there)
    it.step()
    live(ledger)
    live(ledger, "b")
    wait_s = it.step()
    assert there.said() == [*WHOLE_LIFE, *((("b"), n, c) for _, n, c in WHOLE_LIFE)]
    assert len(gone.tried) == 1
    assert wait_s is not None
    assert 0 < wait_s <= 3
    gone.failing = lambda message: None
    assert it.step() is not None, "it is not asked before its time"
    assert len(gone.tried) == 1
    times.pass_s(3)
    it.step()
    for alert_id in "ab":
        assert [said[1:] for said in gone.said() if said[0] == alert_id] == [said[1:] for said in WHOLE_LIFE]


def test_patience_grows_and_has_an_end(ledger: Ledger, times: Times) -> None:
    gone = Told(failing=away)
    it = notifier(ledger, times, gone)
    it.step()
    raise_alert(ledger, "a")
    waits = []
    for _ in range(14):
        wait_s = it.step()
        assert wait_s is not None
        waits.append(wait_s)
        times.pass_s(wait_s)
    assert len(gone.tried) == 14
    assert waits[0] <= 2
    assert max(waits) == pytest.approx(waits[-1]) == pytest.approx(LONGEST_WAIT_S)
    rows = ledger.query("SELECT attempt, outcome, detail FROM deliveries WHERE attempt > 0 ORDER BY attempt").rows
    assert rows == [(n, "unreached", "nobody there") for n in range(1, 15)]


def test_a_channel_that_asks_for_patience_gets_it(ledger: Ledger, times: Times) -> None:
    busy = Told(failing=lambda message: Unreached("too many", retry_after_s=120))
    it = notifier(ledger, times, busy)
    raise_alert(ledger, "a")
    wait_s = it.step()
    assert wait_s is not None
    assert wait_s == pytest.approx(120)


def test_a_message_that_is_refused_holds_up_only_its_own_alert(ledger: Ledger, times: Times) -> None:
    picky = Told(failing=lambda message: Refused("not that one") if message.alert.alert_id == "a" else None)
    it = notifier(ledger, times, picky)
    it.step()
    live(ledger, "a")
    live(ledger, "b")
    it.step()
    assert {said[0] for said in picky.said()} == {"b"}
    assert len(picky.accepted) == 4
    picky.failing = lambda message: None
    times.pass_s(3)
    it.step()
    assert [said for said in picky.said() if said[0] == "a"] == WHOLE_LIFE


def test_a_message_that_looks_like_an_outage_does_not_hold_up_the_others_for_ever(ledger: Ledger, times: Times) -> None:
    poison = Told(failing=lambda message: Unreached("boom") if message.alert.alert_id == "a" else None)
    it = notifier(ledger, times, poison)
    for alert_id in ("a", "b", "c"):
        raise_alert(ledger, alert_id)
    for _ in range(4):
        it.step()
        times.pass_s(10)
    assert {said[0] for said in poison.said()} == {"b", "c"}


def test_a_mistake_of_ours_is_a_message_that_waits(ledger: Ledger, times: Times) -> None:
    def broken(message: Message) -> NotDelivered | None:
        raise KeyError("https://hooks.example/secret")

    channel = Told(failing=broken)
    raise_alert(ledger, "a")
    notifier(ledger, times, channel).step()
    assert ledger.query("SELECT detail FROM alert_deliveries").rows == [("our own mistake: KeyError in broken",)]


def test_a_new_channel_hears_what_holds_and_what_comes_and_no_old_stories(ledger: Ledger, times: Times) -> None:
    notifier(ledger, times, Told("first")).step()
    raise_alert(ledger, "over")
    resolve(ledger, "over")
    raise_alert(ledger, "holds")
    acknowledge(ledger, "holds")
    late = Told("late")
    it = notifier(ledger, times, late)
    it.step()
    assert late.said() == [("holds", 1, "raised"), ("holds", 1, "acknowledged")]
    resolve(ledger, "holds")
    it.step()
    assert late.said()[-1] == ("holds", 1, "resolved")


@pytest.mark.parametrize("jump_s", [-86_400 * 400, 86_400 * 400])
def test_a_clock_that_jumps_loses_nothing(ledger: Ledger, times: Times, jump_s: int) -> None:
    channel = Told(failing=away)
    it = notifier(ledger, times, channel)
    it.step()
    raise_alert(ledger, "a")
    it.step()
    times.now_ns += jump_s * 10**9
    resolve(ledger, "a")
    channel.failing = lambda message: None
    times.steady_s += 3
    it.step()
    assert channel.said() == [("a", 1, "raised"), ("a", 1, "resolved")]
    again = Told()
    notifier(ledger, times, again).step()
    assert again.said() == []


def test_one_raised_twice_by_mistake_is_told_once(ledger: Ledger, times: Times) -> None:
    channel = Told()
    raise_alert(ledger, "a")
    raise_alert(ledger, "a")
    resolve(ledger, "a")
    resolve(ledger, "a")
    it = notifier(ledger, times, channel)
    it.step()
    raise_alert(ledger, "b")
    it.step()
    assert channel.said() == [("b", 1, "raised")]


def test_whoever_does_not_write_the_journal_tells_nobody_and_goes_on_where_the_other_stopped(
    ledger: Ledger, times: Times
) -> None:
    ours = [False]
    channel, other = Told(), Told()
    it = notifier(ledger, times, channel, is_writer=lambda: ours[0])
    live(ledger)
    it.step()
    assert channel.said() == []
    notifier(ledger, times, other).step()
    acknowledge(ledger, "a")
    ours[0] = True
    it.step()
    assert channel.said() == [("a", 2, "acknowledged")]


class Forgetful:
    """A ledger that is away when something should be put on record."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.query = ledger.query
        self.away = False

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        if self.away:
            raise Retry("the disk is full")
        self._ledger.record_attempts(attempts)


def test_a_ledger_that_is_away_repeats_nothing_and_is_told_afterwards(ledger: Ledger, times: Times) -> None:
    channel = Told()
    outlet = Forgetful(ledger)
    it: Any = notifier(outlet, times, channel)  # type: ignore[arg-type]
    it.step()
    raise_alert(ledger, "a")
    outlet.away = True
    assert it.step() == pytest.approx(1)
    it.step()
    assert len(channel.tried) == 1
    assert ledger.query("SELECT count() FROM alert_deliveries").rows == [(0,)]
    outlet.away = False
    it.step()
    assert len(channel.tried) == 1
    assert ledger.query("SELECT alert_id, channel, outcome, attempts FROM alert_deliveries").rows == [
        ("a", "told", "accepted", 1)
    ]


def test_who_forgets_is_told_again_what_holds(ledger: Ledger, times: Times) -> None:
    channel = Told(repeat_every_s=60)
    it = notifier(ledger, times, channel)
    raise_alert(ledger, "a")
    raise_alert(ledger, "b")
    it.step()
    resolve(ledger, "b")
    it.step()
    times.pass_s(60)
    it.step()
    assert {(m.alert.alert_id, m.name) for m in channel.repeated[-1]} == {("a", "raised"), ("b", "resolved")}
    after_a_restart = Told(repeat_every_s=60)
    notifier(ledger, times, after_a_restart).step()
    assert [(m.alert.alert_id, m.name) for m in after_a_restart.repeated[-1]] == [("a", "raised")]
    assert after_a_restart.accepted == []
