"""Forecasts as alerts, lead times, and the moment from which a crossing was foreseeable."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.assessment.expected import Expected
from ledger.assessment.rules import Rules
from ledger.declarations import Declaration
from ledger.declare import Wanted, declare
from ledger.forecast import Crossing
from tests.ledger.assessment.lines import DAY_NS, LINE, grow, line, only, percents, said
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take
from tests.ledger.engine import opened
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from ledger.assessment.alert import Alert
    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock


def leads(alerts: list[Alert]) -> list[int]:
    return sorted(alert.lead_days for alert in alerts if alert.lead_days is not None and alert.subject_kind == "run")


def moments(ledger: Ledger) -> list[tuple[Any, ...]]:
    rows = ledger.query("SELECT subject, threshold, because, foreseeable_at, notify_by FROM foreseeable ORDER BY ALL")
    return [tuple(row) for row in rows.rows]


def test_a_run_that_grows_steadily_is_forecast_and_the_lead_times_are_told_of(ledger: Ledger, clock: Clock) -> None:
    only(ledger, line())
    grow(ledger, 5 * 24, LINE * 2 // 5)
    found = ledger.raise_alerts("me")
    assert percents(found, "forecast") == [50, 75, 90, 100]
    (crossing,) = [a for a in found if (a.kind, a.percent, a.lead_days) == ("forecast", 100, None)]
    assert crossing.expected_at_ns is not None
    assert crossing.expected_at_ns - NOW_NS == pytest.approx(7.5 * DAY_NS, rel=0.15)
    assert leads(found) == [14, 30]
    clock.now_ns += 2 * HOUR_NS
    grow(ledger, 24 * 6, LINE * 11 // 20, end_ns=NOW_NS + 2 * HOUR_NS)
    assert 7 in leads(ledger.raise_alerts("me"))


def test_what_is_reached_is_forecast_no_more_and_its_alert_is_over(ledger: Ledger) -> None:
    only(ledger, line())
    grow(ledger, 5 * 24, LINE * 2 // 5)
    ledger.raise_alerts("me")
    take(ledger, [Chain(9).seal(meter(LINE * 2 // 5))])
    ledger.raise_alerts("me")
    over = said(ledger, "percent", "resolved_reason", where="kind = 'forecast' AND state = 'resolved'")
    assert over == [(50, "it has been reached"), (75, "it has been reached")]


def test_a_run_far_below_every_line_or_with_bounds_alone_is_not_forecast(ledger: Ledger) -> None:
    only(ledger, line())
    grow(ledger, 5 * 24, LINE // 2000)
    rows = [
        meter(None, 0, LINE // 96 * n, at_ns=NOW_NS - (48 - n) * HOUR_NS, observed_ns=n * HOUR_NS, run="bounds")
        for n in range(49)
    ]
    take(ledger, [Chain(5).seal(*rows)])
    assert percents(ledger.raise_alerts("me"), "forecast") == []


def test_a_forecast_reaches_as_far_as_the_planned_end_and_ninety_days_without_or_after_it(ledger: Ledger) -> None:
    only(ledger, line())
    grow(ledger, 10 * 24, LINE * 2 // 5)
    ledger.append([Declaration("r", planned_end=format_ns(NOW_NS + 5 * DAY_NS)).statement("me")])
    assert percents(ledger.raise_alerts("me"), "forecast") == [50]
    ledger.append([Declaration("r", planned_end=format_ns(NOW_NS - DAY_NS)).statement("me")])
    ledger.watch(Rules())
    assert percents(ledger.raise_alerts("me"), "forecast") == [75, 90, 100]


def test_a_forecast_that_is_gone_for_three_hours_is_over_and_may_come_again(ledger: Ledger, clock: Clock) -> None:
    only(ledger, line())
    grow(ledger, 5 * 24, LINE * 2 // 5)
    raised = [alert for alert in ledger.raise_alerts("me") if alert.kind == "forecast"]
    clock.now_ns += 40 * DAY_NS
    for _ in range(3):
        assert said(ledger, "alert_id", where="kind = 'forecast' AND state = 'resolved'") == []
        ledger.raise_alerts("me")
        clock.now_ns += HOUR_NS
    over = said(ledger, "alert_id", where="kind = 'forecast' AND state = 'resolved'")
    assert {row[0] for row in over} == {alert.alert_id for alert in raised}
    grow(ledger, 46 * 24, LINE * 9 // 20, end_ns=clock.now_ns)
    clock.now_ns += HOUR_NS
    again = [alert for alert in ledger.raise_alerts("me") if alert.kind == "forecast"]
    assert {alert.occurrence for alert in again} <= {0, 1}
    assert 1 in {alert.occurrence for alert in again}


def test_a_budget_beyond_the_line_makes_it_foreseeable_at_once_and_the_moment_is_never_moved(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    only(ledger, line("eu", notify_within_days=14), line("other"), line("far", LINE * 100))
    ledger.append([Declaration("r", planned_flop=LINE).statement("me")])
    assert {alert.kind for alert in ledger.raise_alerts("me")} == {"planned"}, "at exactly the amount > is not beyond"
    ledger.append([Declaration("r", planned_flop=LINE + 1).statement("me")])
    (told,) = [a for a in ledger.raise_alerts("me") if (a.kind, a.threshold) == ("foreseeable", "eu")]
    assert told.notify_by_ns == NOW_NS + 14 * DAY_NS
    first = moments(ledger)
    assert [(row[0], row[1], row[2]) for row in first] == [("r", "eu", "budget"), ("r", "other", "budget")]
    assert [row[4] is None for row in first] == [False, True]
    for flop in (LINE // 2, LINE * 3):
        clock.now_ns += DAY_NS
        ledger.append([Declaration("r", planned_flop=flop).statement("me")])
        opened(store, clock).raise_alerts("me")
    assert moments(ledger) == first


def test_even_odds_in_three_hourly_assessments_in_a_row_make_it_foreseeable_whatever_restarts(
    ledger: Ledger, store: Store, clock: Clock
) -> None:
    only(ledger, line(notify_within_days=14))
    grow(ledger, 5 * 24, LINE * 2 // 5)
    ledger.raise_alerts("me")
    for _ in range(5):
        clock.now_ns += 60 * 10**9
        opened(store, clock).raise_alerts("me")
    assert moments(ledger) == [], "restarts make no hour"
    clock.now_ns += HOUR_NS
    opened(store, clock).raise_alerts("me")
    assert moments(ledger) == []
    clock.now_ns += HOUR_NS
    opened(store, clock).raise_alerts("me")
    ((subject, _, because, at, notify_by),) = moments(ledger)
    assert (subject, because) == ("r", "probability")
    assert (notify_by - at).days == 14
    assert [row[0] for row in ledger.query("SELECT in_a_row FROM outlook ORDER BY at").rows] == [1, 2, 3]


def test_odds_below_one_half_end_a_row(ledger: Ledger, clock: Clock) -> None:
    only(ledger, line())
    grow(ledger, 5 * 24, LINE * 2 // 5)
    near = Declaration("r", planned_end=format_ns(NOW_NS + 3 * DAY_NS)).statement("me")
    far = Declaration("r", planned_end=format_ns(NOW_NS + 80 * DAY_NS)).statement("me")
    for declared in (far, far, near, far, far):
        ledger.append([declared])
        clock.now_ns += HOUR_NS
        ledger.raise_alerts("me")
    assert [row[0] for row in ledger.query("SELECT in_a_row FROM outlook ORDER BY at").rows] == [1, 2, 0, 1, 2]
    assert moments(ledger) == []
    clock.now_ns += HOUR_NS
    ledger.raise_alerts("me")
    assert len(moments(ledger)) == 1


def test_a_line_that_is_crossed_was_foreseeable_at_the_latest_then(ledger: Ledger) -> None:
    only(ledger, line())
    take(ledger, [Chain().seal(meter(LINE * 2))])
    ledger.raise_alerts("me")
    assert [row[2] for row in moments(ledger)] == ["crossed"]


def test_a_clock_that_jumps_raises_nothing_twice_and_moves_no_moment(ledger: Ledger, clock: Clock) -> None:
    only(ledger, line())
    grow(ledger, 5 * 24, LINE * 2 // 5)
    ledger.append([Declaration("r", planned_flop=LINE * 2).statement("me")])
    ledger.raise_alerts("me")
    first, ids = moments(ledger), said(ledger, "alert_id")
    for now_ns in (NOW_NS - 400 * DAY_NS, NOW_NS, NOW_NS + 400 * DAY_NS, NOW_NS):
        clock.now_ns = now_ns
        new = ledger.raise_alerts("me")
        assert not {alert.kind for alert in new} & {"agent_silent", "collector_stopped", "planned", "foreseeable"}
    assert moments(ledger) == first
    assert len(set(said(ledger, "alert_id"))) == len(said(ledger, "alert_id"))
    assert set(ids) <= set(said(ledger, "alert_id"))


def test_a_model_is_forecast_by_its_runs_together(ledger: Ledger) -> None:
    only(ledger, line())
    declare(ledger, Wanted(runs={"a": {"model_id": "m"}, "b": {"model_id": "m"}, "old": {"model_id": "m"}}), "me")
    for number, run in enumerate(("a", "b")):
        chain = Chain(number)
        rows = [
            meter(LINE // 5 * n // 120, at_ns=NOW_NS - (120 - n) * HOUR_NS, observed_ns=n * HOUR_NS, run=run)
            for n in range(121)
        ]
        take(ledger, [chain.seal(*rows)])
    take(ledger, [Chain(7).seal(meter(LINE // 5, run="old", at_ns=NOW_NS - 60 * DAY_NS))])
    found = ledger.raise_alerts("me")
    (crossing,) = [
        a for a in found if (a.subject_kind, a.kind, a.percent, a.lead_days) == ("model", "forecast", 100, None)
    ]
    assert crossing.expected_at_ns is not None
    # Three fifths are done, and both together add two fifths in five days.
    assert crossing.expected_at_ns - NOW_NS == pytest.approx(5 * DAY_NS, rel=0.15)


class Straight:
    """Grows by ten an hour, for certain between nine and eleven."""

    def __init__(self, flop: int) -> None:
        self.flop = flop
        self.at_ns = 0

    def crossing(self, amount_flop: int) -> Crossing:
        at = [max(amount_flop - self.flop, 0) * HOUR_NS // pace for pace in (10, 11, 9)]
        return Crossing(*at)

    def probability_before(self, amount_flop: int, until_ns: int) -> float:
        return float(self.flop + 10 * until_ns // HOUR_NS >= amount_flop)

    def cone(self, until_ns: int, points: int) -> list[tuple[int, int, int, int]]:
        del points
        low, middle, high = (self.flop + pace * until_ns // HOUR_NS for pace in (9, 10, 11))
        return [(until_ns, low, middle, high)]


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_growth_of_several_runs_adds_up(runs: int) -> None:
    expected = Expected(1000, "hardware", [Straight(100) for _ in range(runs)])
    crossing = expected.crossing(1000 + 990 * runs)
    assert crossing.expected_at_ns == pytest.approx(99 * HOUR_NS, rel=1e-3)
    assert crossing.early_at_ns == pytest.approx(90 * HOUR_NS, rel=1e-3)
    assert crossing.late_at_ns == pytest.approx(110 * HOUR_NS, rel=1e-3)
    assert expected.probability_before(1000 + 990 * runs, 98 * HOUR_NS) < 0.5
    assert expected.probability_before(1000 + 990 * runs, 100 * HOUR_NS) >= 0.5
    assert expected.probability_before(1000, 0) == 1.0
