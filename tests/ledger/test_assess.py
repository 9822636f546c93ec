from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ledger.assess import PERCENTS, assess
from ledger.catalogue_file import catalogue
from ledger.declarations import Declaration
from ledger.thresholds import Threshold
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take
from tests.ledger.engine import opened
from wire.batch import UNATTRIBUTED
from wire.rfc3339 import format_ns, parse_ns

if TYPE_CHECKING:
    from ledger.assessment.alert import Alert
    from ledger.ledger import Ledger
    from ledger.store import Store
    from tests.ledger.engine import Clock

LINE = 10**25
DAY_NS = 24 * HOUR_NS


def line(line_id: str = "line", amount_flop: int = LINE, operator: str = ">", **changes: Any) -> Threshold:
    texts = dict.fromkeys(("jurisdiction", "instrument", "citation", "source", "unit", "counts", "notification"), "x")
    dates = dict.fromkeys(("adopted_on", "in_force_from", "in_force_until", "retrieved_on"))
    more = {
        "subject": "model",
        "original": "",
        "policy": "everything",
        "requires_any": (),
        "co_conditions": "",
        "note": "",
    }
    values: dict[str, Any] = {**texts, **dates, **more, "status": "in force", **changes}
    return Threshold(id=line_id, amount=amount_flop, operator=operator, **values)


def assessed(ledger: Ledger, *lines: Threshold, now_ns: int = NOW_NS) -> list[Alert]:
    return assess(ledger, lines or (line(),), now_ns)


def percents(alerts: list[Alert], kind: str) -> list[int | None]:
    return [alert.percent for alert in alerts if alert.kind == kind]


def count(ledger: Ledger, flop: int | None, *bounds: int, **changes: Any) -> None:
    take(ledger, [Chain().seal(meter(flop, *bounds, **changes))])


def test_fractions_are_reached_and_the_line_is_crossed_as_its_text_says(ledger: Ledger) -> None:
    chain = Chain()
    for flop, expected in (
        (LINE // 2 - 1, []),
        (LINE // 2, [50]),
        (LINE * 3 // 4 - 1, [50]),
        (LINE * 3 // 4, [50, 75]),
        (LINE * 9 // 10, [50, 75, 90]),
        (LINE - 1, [50, 75, 90]),
        (LINE, [50, 75, 90]),
        (LINE + 1, [50, 75, 90, 100]),
    ):
        take(ledger, [chain.seal(meter(flop))])
        for operator in (">", ">="):
            reached = [50, 75, 90, 100] if flop == LINE and operator == ">=" else expected
            found = assessed(ledger, line(operator=operator))
            assert percents(found, "estimate") == percents(found, "upper_bound") == reached, (flop, operator)


def test_a_fraction_of_an_odd_line_is_not_rounded_down(ledger: Ledger) -> None:
    count(ledger, 7)
    assert percents(assessed(ledger, line(amount_flop=15)), "estimate") == []
    assert percents(assessed(ledger, line(amount_flop=14)), "estimate") == [50]


def test_the_upper_bound_reaches_a_line_before_the_estimate_does(ledger: Ledger) -> None:
    count(ledger, LINE // 2, LINE // 4, LINE * 2)
    found = assessed(ledger)
    assert percents(found, "upper_bound") == [50, 75, 90, 100]
    assert percents(found, "estimate") == [50]


def test_where_there_are_bounds_only_the_lower_one_is_the_estimate(ledger: Ledger) -> None:
    count(ledger, None, LINE * 3 // 4, LINE * 2)
    found = assessed(ledger)
    assert percents(found, "estimate") == [50, 75]
    assert {alert.flop for alert in found if alert.kind == "estimate"} == {LINE * 3 // 4}


def test_a_declared_budget_is_planned_to_reach_it(ledger: Ledger) -> None:
    ledger.append([Declaration("r", planned_flop=LINE * 9 // 10).statement("me")])
    found = assessed(ledger)
    assert {(alert.kind, alert.basis) for alert in found} == {("planned", "declared")}
    assert percents(found, "planned") == [50, 75, 90]


def test_only_the_last_declared_budget_counts(ledger: Ledger) -> None:
    ledger.append([Declaration("r", planned_flop=LINE * 2).statement("me"), Declaration("r").statement("me")])
    assert assessed(ledger) == []


def test_where_both_bases_reached_a_fraction_the_hardware_speaks(ledger: Ledger) -> None:
    reported = {"basis": "architecture", "method": "reported-run"}
    rows = [meter(LINE // 2), meter(LINE * 4 // 5, **reported)]
    take(ledger, [Chain().seal(*rows)])
    found = [(alert.percent, alert.basis) for alert in assessed(ledger) if alert.kind == "estimate"]
    assert found == [(50, "hardware"), (75, "architecture")]


def test_the_two_bases_are_never_added_to_reach_a_line(ledger: Ledger) -> None:
    take(
        ledger, [Chain().seal(meter(LINE * 2 // 5), meter(LINE * 2 // 5, basis="architecture", method="reported-run"))]
    )
    assert assessed(ledger) == []


def test_what_belongs_to_no_run_reaches_no_line(ledger: Ledger) -> None:
    count(ledger, LINE * 2, run=UNATTRIBUTED)
    assert assessed(ledger) == []


@pytest.mark.parametrize("changes", [{"status": "revoked"}, {"status": "vetoed"}, {"status": "proposed"}])
def test_lines_that_are_no_law_do_not_alert(ledger: Ledger, changes: dict[str, str]) -> None:
    count(ledger, LINE * 2)
    assert assessed(ledger, line("line", LINE, ">", **changes)) == []


def test_a_line_out_of_force_alerts_no_more(ledger: Ledger) -> None:
    count(ledger, 2 * 10**26)
    raised = {alert.threshold for alert in assess(ledger, catalogue(), NOW_NS)}
    assert "us-eo14110-model" not in raised
    assert {"eu-aia-51-2", "ca-sb53", "kr-ai-basic", "ny-raise"} <= raised
    assert "us-eo14110-model" in {
        alert.threshold for alert in assess(ledger, catalogue(), parse_ns("2024-06-01T00:00:00Z"))
    }


def test_alerts_stand_in_order_of_run_line_and_percent(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(LINE * 2, run="b"), meter(LINE * 2, run="a"))])
    found = assessed(ledger, line("high", LINE * 4), line("low", LINE))
    order = [(alert.subject, alert.line_flop, alert.percent) for alert in found]
    assert order == sorted(order)


def test_an_alert_is_raised_once_though_assessed_often(ledger: Ledger, store: Store, clock: Clock) -> None:
    chain = Chain()
    take(ledger, [chain.seal(meter(LINE * 3 // 5))])
    first = ledger.raise_alerts("collector")
    assert {(alert.threshold, alert.kind, alert.percent) for alert in first} == {
        ("eu-aia-51-2", kind, 50) for kind in ("estimate", "upper_bound")
    }
    assert ledger.raise_alerts("collector") == []
    again = opened(store, clock)
    assert again.raise_alerts("collector") == []
    take(again, [chain.seal(meter(LINE * 4 // 5))])
    assert {(alert.kind, alert.percent) for alert in again.raise_alerts("collector")} == {
        ("estimate", 75),
        ("upper_bound", 75),
    }
    assert [row[0] for row in store.query("SELECT count(), uniqExact(alert_id) FROM alert_history").rows] == [4]


def test_an_alert_on_record_says_all_that_it_was_raised_for(ledger: Ledger, clock: Clock) -> None:
    ledger.append([Declaration("r", planned_flop=LINE + 7).statement("me")])
    raised = ledger.raise_alerts("collector")
    found = ledger.query("SELECT * FROM alerts ORDER BY percent").dicts()
    assert [row["percent"] for row in found] == list(PERCENTS)
    assert [row["alert_id"] for row in found] == [alert.alert_id for alert in raised]
    assert found[3] == {
        **found[3],
        "subject": "r",
        "threshold": "eu-aia-51-2",
        "kind": "planned",
        "basis": "declared",
        "flop": LINE + 7,
        "line_flop": LINE,
        "expected_at": None,
    }
    assert {int(row["first_seen"].timestamp()) * 10**9 for row in found} == {clock.now_ns}


def grow(ledger: Ledger, hours: int, total_flop: int, end_ns: int = NOW_NS, devices: int = 3) -> None:
    """A run that has grown steadily for so many hours up to `end_ns`, read every hour."""
    for number in range(devices):
        # Agents read at moments of their own.
        last_ns = end_ns - number * 10**9
        readings = [
            meter(total_flop * n // hours // devices, at_ns=last_ns - (hours - n) * HOUR_NS, observed_ns=n * HOUR_NS)
            for n in range(hours + 1)
        ]
        take(ledger, [Chain(number).seal(*readings)])


@pytest.mark.parametrize("days", [2, 5, 20])
def test_a_run_that_grows_steadily_is_forecast_to_cross_when_it_will(ledger: Ledger, days: int) -> None:
    total = LINE * 2 // 5
    grow(ledger, days * 24, total)
    found = [alert for alert in assessed(ledger) if alert.kind == "forecast"]
    assert [alert.percent for alert in found] == [50, 75, 90, 100]
    for alert in found:
        left_ns = (LINE * (alert.percent or 0) // 100 - total) * days * DAY_NS // total
        assert alert.expected_at_ns is not None
        assert alert.expected_at_ns - NOW_NS == pytest.approx(left_ns, rel=0.05)


def test_a_fraction_that_is_reached_is_forecast_no_more(ledger: Ledger) -> None:
    grow(ledger, 5 * 24, LINE * 4 // 5)
    assert percents(assessed(ledger), "forecast") == [90, 100]


def test_a_run_too_young_to_tell_gets_no_forecast(ledger: Ledger) -> None:
    grow(ledger, 5, LINE * 2 // 5)
    assert percents(assessed(ledger), "forecast") == []


def test_a_run_that_stopped_a_week_ago_gets_no_forecast(ledger: Ledger) -> None:
    grow(ledger, 5 * 24, LINE * 2 // 5, end_ns=NOW_NS - 8 * DAY_NS)
    assert percents(assessed(ledger), "forecast") == []


def test_a_run_that_has_fallen_silent_is_forecast_to_cross_later_and_later(ledger: Ledger) -> None:
    grow(ledger, 5 * 24, LINE * 2 // 5)
    expected = [
        alert.expected_at_ns
        for silent_days in (0, 1, 3)
        for alert in assessed(ledger, now_ns=NOW_NS + silent_days * DAY_NS)
        if (alert.kind, alert.percent) == ("forecast", 100)
    ]
    assert len(expected) == 3
    assert expected == sorted(set(expected), key=lambda at_ns: at_ns or 0)


def test_a_forecast_beyond_ninety_days_is_none_without_a_planned_end(ledger: Ledger) -> None:
    grow(ledger, 24, LINE // 200)
    assert percents(assessed(ledger), "forecast") == []


def test_a_forecast_reaches_as_far_as_the_planned_end(ledger: Ledger) -> None:
    grow(ledger, 10 * 24, LINE * 2 // 5)
    for planned_days, expected in ((1, []), (5, [50]), (11, [50, 75]), (14, [50, 75, 90]), (16, [50, 75, 90, 100])):
        end = format_ns(NOW_NS + planned_days * DAY_NS)
        ledger.append([Declaration("r", planned_end=end).statement("me")])
        assert percents(assessed(ledger), "forecast") == expected, planned_days


def test_bounds_alone_are_not_forecast(ledger: Ledger) -> None:
    rows = [
        meter(None, 0, LINE // 48 * n, at_ns=NOW_NS - (48 - n) * HOUR_NS, observed_ns=n * HOUR_NS) for n in range(49)
    ]
    take(ledger, [Chain().seal(*rows)])
    assert percents(assessed(ledger), "forecast") == []


def test_a_forecast_on_record_says_when(ledger: Ledger) -> None:
    grow(ledger, 5 * 24, LINE * 2 // 5)
    raised = {alert.alert_id: alert.expected_at_ns for alert in ledger.raise_alerts("me") if alert.kind == "forecast"}
    found = ledger.query("SELECT alert_id, toUnixTimestamp64Nano(expected_at) FROM alerts WHERE kind = 'forecast'").rows
    assert raised
    assert dict(map(tuple, found)) == raised
