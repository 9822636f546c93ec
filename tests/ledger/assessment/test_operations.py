"""What speaks against a number: coverage, silence, unattributed work, totals apart, storms, shared devices."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ledger.assessment.register import STORM
from ledger.assessment.rules import Rules
from ledger.declarations import Declaration
from ledger.journal import Statement
from tests.ledger.assessment.lines import DAY_NS, said
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from tests.ledger.engine import Clock

MINUTE_NS = 60 * 10**9
E20 = 10**20


def kinds(ledger: Ledger) -> list[tuple[str, str]]:
    return [(alert.kind, alert.subject) for alert in ledger.raise_alerts("me")]


def states(ledger: Ledger, kind: str) -> list[str]:
    return [row[0] for row in said(ledger, "state", where=f"kind = '{kind}'")]


def wait(ledger: Ledger, clock: Clock, minutes: int) -> list[tuple[str, str]]:
    found = []
    for _ in range(minutes):
        clock.now_ns += MINUTE_NS
        found += kinds(ledger)
    return found


def speak(ledger: Ledger, chain: Chain, clock: Clock, flop: int, **changes: object) -> None:
    take(ledger, [chain.seal(meter(flop, at_ns=clock.now_ns, device=f"of {chain.node}", **changes))])


def test_coverage_under_the_limit_is_told_of_until_it_is_better(ledger: Ledger, clock: Clock) -> None:
    ledger.append([Declaration("r", devices=2).statement("me")])
    chain = Chain()
    for n in (0, 2):
        rows = meter(n, at_ns=NOW_NS - (2 - n) * HOUR_NS, observed_ns=n * HOUR_NS, device="a")
        take(ledger, [chain.seal(rows)])
    assert kinds(ledger) == [("coverage_low", "r")]
    assert said(ledger, "summary") == [("50.0% of its device time was observed, less than 95%",)]
    ledger.append([Declaration("r", devices=1).statement("me")])
    clock.now_ns += HOUR_NS
    kinds(ledger)
    assert states(ledger, "coverage_low") == ["resolved"]


@pytest.mark.parametrize(("hardware", "apart"), [(89, True), (91, False), (159, False), (161, True)])
def test_totals_outside_the_limits_are_told_of(ledger: Ledger, hardware: int, apart: bool) -> None:
    chain = Chain()
    for n in (0, 1):
        at_ns = NOW_NS - (1 - n) * HOUR_NS
        rows = [
            meter(hardware * n, at_ns=at_ns),
            meter(100 * n, at_ns=at_ns, basis="architecture", method="reported-run", device="rank 0"),
        ]
        take(ledger, [chain.seal(*rows)])
    assert kinds(ledger) == ([("totals_apart", "r")] if apart else [])
    ledger.watch(Rules(totals_apart_min=0.5, totals_apart_max=2.0))
    kinds(ledger)
    assert set(states(ledger, "totals_apart")) <= {"resolved"}


def test_a_share_that_belongs_to_nobody_is_told_of_per_cluster(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(94), meter(6, run="unattributed"))])
    take(ledger, [Chain(1).seal(meter(96), meter(4, run="unattributed"), cluster="other")])
    take(ledger, [Chain(2).seal(meter(1000, run="unattributed", at_ns=NOW_NS - 2 * DAY_NS), cluster="other")])
    ((kind, cluster),) = kinds(ledger)
    assert (kind, cluster != "other") == ("unattributed_share", True)
    (share,) = (json.loads(row[0])["share"] for row in said(ledger, "evidence"))
    assert share == pytest.approx(0.06)


def test_two_agents_on_one_device_are_told_of_and_one_after_the_other_is_not(ledger: Ledger) -> None:
    def cover(number: int, device: str, first_min: int, last_min: int) -> None:
        chain = Chain(number)
        for minute in (first_min, last_min):
            take(ledger, [chain.seal(meter(minute + 60, at_ns=NOW_NS + minute * MINUTE_NS, device=device))])

    cover(0, "shared", -50, -10)
    cover(1, "shared", -20, -1)
    cover(2, "handed over", -50, -20)
    cover(3, "handed over", -19, -1)
    assert kinds(ledger) == [("device_shared", "shared")]


def test_an_agent_that_falls_silent_is_told_of_and_resolved_when_it_speaks(ledger: Ledger, clock: Clock) -> None:
    quiet, loud = Chain(0), Chain(1)
    speak(ledger, quiet, clock, 1)
    for minute in range(16):
        speak(ledger, loud, clock, 10 + minute)
        assert kinds(ledger) == []
        clock.now_ns += MINUTE_NS
    speak(ledger, loud, clock, 100)
    assert kinds(ledger) == [("agent_silent", quiet.agent)]
    speak(ledger, quiet, clock, 2)
    assert kinds(ledger) == []
    assert states(ledger, "agent_silent") == ["resolved"]


def test_agents_that_left_long_ago_or_were_revoked_are_not_missed(ledger: Ledger, clock: Clock) -> None:
    loud, revoked = Chain(1), Chain(2)
    take(ledger, [Chain(0).seal(meter(1, at_ns=NOW_NS - 8 * DAY_NS))])
    speak(ledger, revoked, clock, 1)
    ledger.append([Statement("revocation", "me", {"agent": revoked.agent, "from": None, "reason": "retired"})])
    for minute in range(20):
        speak(ledger, loud, clock, 10 + minute)
        assert kinds(ledger) == []
        clock.now_ns += MINUTE_NS


def test_a_collector_that_records_nothing_is_told_of_and_no_agent_is_blamed(ledger: Ledger, clock: Clock) -> None:
    for number in range(3):
        speak(ledger, Chain(number), clock, 1)
    kinds(ledger)
    assert wait(ledger, clock, 20) == [("collector_stopped", "all")]
    back = Chain(3)
    speak(ledger, back, clock, 1)
    kinds(ledger)
    assert states(ledger, "collector_stopped") == ["resolved"]


def test_a_sleep_or_a_jump_of_the_clock_is_no_silence(ledger: Ledger, clock: Clock) -> None:
    speak(ledger, Chain(), clock, 1)
    kinds(ledger)
    for by_ns in (9 * HOUR_NS, -20 * HOUR_NS, 9 * HOUR_NS):
        clock.now_ns += by_ns
        assert kinds(ledger) == []


def test_a_ledger_that_never_heard_of_an_agent_misses_none(ledger: Ledger, clock: Clock) -> None:
    kinds(ledger)
    assert wait(ledger, clock, 20) == []


def test_a_storm_that_a_collector_stopped_for_is_told_of_for_an_hour(ledger: Ledger, clock: Clock) -> None:
    kinds(ledger)
    ledger.append([Statement(STORM, "collector", {"collector": "c1", "detail": "100 messages in a row"})])
    assert kinds(ledger) == [("quarantine_storm", "c1")]
    assert kinds(ledger) == []
    clock.now_ns += HOUR_NS
    kinds(ledger)
    assert states(ledger, "quarantine_storm") == ["resolved"]
