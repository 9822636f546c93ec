from __future__ import annotations

import pytest

from bench.forecast import measure
from ledger.forecast.forecast import NEVER, Crossing, Forecast, forecast
from ledger.forecast.series import HOUR_NS, Series

FLOP = 10**22
DAY_NS = 24 * HOUR_NS
STEADY = (float(FLOP),) * 240
AT_NS = 240 * HOUR_NS


def of(growth: tuple[float, ...] = STEADY, run_id: str = "r", **changes: int) -> Forecast:
    return forecast(Series(run_id, "hardware", int(sum(growth)), len(growth) * HOUR_NS, growth, **changes))


def days(at_ns: int | None, since_ns: int = AT_NS) -> float:
    assert at_ns is not None
    return (at_ns - since_ns) / DAY_NS


def test_the_interval_holds_the_day_of_a_steady_run() -> None:
    crossing = of().crossing(720 * FLOP)
    assert days(crossing.early_at_ns) < 20 < days(crossing.late_at_ns)
    assert days(crossing.expected_at_ns) == pytest.approx(20, rel=0.1)


def test_the_same_past_has_the_same_forecast_in_whatever_order_it_is_asked() -> None:
    one, other = of(), of()
    asked = [one.crossing(amount * FLOP) for amount in (300, 500, 2000)]
    assert [other.crossing(amount * FLOP) for amount in (2000, 500, 300)] == asked[::-1]
    assert one.cone(AT_NS + 90 * DAY_NS, 9) == of().cone(AT_NS + 90 * DAY_NS, 9)
    assert of(run_id="s").crossing(500 * FLOP) != asked[1]


def test_farther_amounts_are_reached_later_and_less_likely() -> None:
    made = of()
    amounts = [amount * FLOP for amount in (241, 260, 400, 1000, 3000)]
    expected = [days(made.crossing(amount).expected_at_ns) for amount in amounts]
    assert expected == sorted(expected)
    likely = [made.probability_before(amount, AT_NS + 30 * DAY_NS) for amount in amounts]
    assert likely == sorted(likely, reverse=True)
    assert likely[0] == 1
    assert likely[-1] < 0.1
    assert made.probability_before(400 * FLOP, AT_NS) == 0


def test_a_date_its_probability_and_the_cone_are_one_statement() -> None:
    made = of((*STEADY, *(0.0,) * 20, *STEADY))
    crossing = made.crossing(1000 * FLOP)
    for at_ns, share in (
        (crossing.early_at_ns, 0.05),
        (crossing.expected_at_ns, 0.5),
        (crossing.late_at_ns, 0.95),
    ):
        assert at_ns is not None
        assert made.probability_before(1000 * FLOP, at_ns + 1) == pytest.approx(share, abs=0.01)
    assert crossing.expected_at_ns is not None
    ((_, low, middle, high),) = made.cone(crossing.expected_at_ns, 1)
    assert low < middle < high
    assert middle == pytest.approx(1000 * FLOP, rel=0.01)


def test_what_is_reached_is_reached() -> None:
    made = of()
    assert made.crossing(made.flop) == Crossing(AT_NS, AT_NS, AT_NS)
    assert made.probability_before(made.flop, 0) == 1


def test_beyond_a_year_nothing_is_foreseen() -> None:
    assert of().crossing(10**6 * FLOP) == NEVER
    assert of().probability_before(10**6 * FLOP, 10**6 * DAY_NS) == 0


@pytest.mark.parametrize(
    ("growth", "state"),
    [
        ((float(FLOP),) * 5, "too young"),
        ((0.0,) * 50, "not growing"),
        ((*STEADY, *(0.0,) * 15 * 24), "not growing"),
    ],
)
def test_who_cannot_be_forecast_says_why(growth: tuple[float, ...], state: str) -> None:
    made = of(growth)
    assert (made.state, made.flop_per_hour) == (state, 0)
    assert made.crossing(10**30) == NEVER
    assert made.probability_before(10**30, 10**18) == 0
    assert made.cone(made.at_ns + DAY_NS, 2) == [
        (made.at_ns + DAY_NS // 2, made.flop, made.flop, made.flop),
        (made.at_ns + DAY_NS, made.flop, made.flop, made.flop),
    ]


def test_a_run_that_has_fallen_silent_is_forecast_later_and_less_surely() -> None:
    found = [of((*STEADY, *(0.0,) * silent)) for silent in (0, 24, 96)]
    left = [days(made.crossing(480 * FLOP).expected_at_ns, made.at_ns) for made in found]
    assert left == sorted(left)
    likely = [made.probability_before(480 * FLOP, made.at_ns + 12 * DAY_NS) for made in found]
    assert likely == sorted(likely, reverse=True)


def test_a_plan_moves_some_futures_and_speaks_alone_where_there_is_no_past() -> None:
    end_ns = AT_NS + 20 * DAY_NS
    likely = [
        made.probability_before(1000 * FLOP, end_ns)
        for made in (
            of(planned_flop=400 * FLOP, planned_end_ns=end_ns),
            of(),
            of(planned_flop=2000 * FLOP, planned_end_ns=end_ns),
        )
    ]
    assert likely == sorted(likely)
    assert likely[0] < likely[2]
    young = of((float(FLOP),), planned_flop=241 * FLOP, planned_end_ns=HOUR_NS + 10 * DAY_NS)
    assert young.state == "as planned"
    assert days(young.crossing(121 * FLOP).expected_at_ns, HOUR_NS) == pytest.approx(5, rel=0.3)


@pytest.mark.parametrize(("flop", "end_ns"), [(0, AT_NS + DAY_NS), (10 * FLOP, AT_NS + DAY_NS), (10**30, 0)])
def test_a_plan_that_is_over_changes_nothing(flop: int, end_ns: int) -> None:
    assert of(planned_flop=flop, planned_end_ns=end_ns).crossing(500 * FLOP) == of().crossing(500 * FLOP)


def test_back_tests_hold_the_truth_about_as_often_as_promised() -> None:
    found = measure(runs=25)
    assert 0.8 <= found["held"]["simulated"] <= 0.97
    assert found["held"]["recorded"] >= 0.85
    assert found["median_error_days"]["trained"]["7"] < 2
