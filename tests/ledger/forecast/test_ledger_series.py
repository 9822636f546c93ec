from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.adjustments import append_new, correction
from ledger.declarations import Declaration
from ledger.forecast import forecast_run, forecast_runs
from ledger.forecast.series import read_series
from ledger.rollups import Rollups
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store

LINE = 10**25
DAY_NS = 24 * HOUR_NS


def grow(ledger: Ledger, hours: int, total_flop: int, run: str = "r", end_ns: int = NOW_NS, every: int = 1) -> None:
    """Three devices of a run that has grown steadily for so many hours, read every so many."""
    for number in range(3):
        # Agents read at moments of their own.
        last_ns = end_ns - number * 10**9
        readings = [
            meter(
                total_flop * n // hours // 3,
                at_ns=last_ns - (hours - n) * HOUR_NS,
                observed_ns=n * HOUR_NS,
                run=run,
                device=f"GPU-{number}",
            )
            for n in range(every, hours + 1, every)
        ]
        take(ledger, [Chain(number + 3 * len(run)).seal(*readings)])


@pytest.mark.parametrize(("every", "refreshed"), [(1, True), (24, True), (1, False), (48, False)])
def test_a_steady_run_crosses_when_it_will_however_it_reports(
    ledger: Ledger, store: Store, every: int, refreshed: bool
) -> None:
    grow(ledger, 240, LINE * 2 // 5, every=every)
    if refreshed:
        Rollups(store).refresh()
    found = forecast_run(ledger, "r", NOW_NS)
    assert found is not None
    assert found.flop == LINE * 2 // 5 // 3 * 3
    assert found.flop_per_hour == pytest.approx(LINE * 2 // 5 // 240, rel=0.02)
    crossing = found.crossing(LINE)
    assert crossing.early_at_ns is not None
    assert crossing.expected_at_ns is not None
    assert crossing.late_at_ns is not None
    assert crossing.early_at_ns < NOW_NS + 15 * DAY_NS < crossing.late_at_ns
    assert crossing.expected_at_ns - NOW_NS == pytest.approx(15 * DAY_NS, rel=0.1)


def test_many_runs_are_read_at_once_and_only_those_asked_for(ledger: Ledger, store: Store) -> None:
    grow(ledger, 48, LINE // 10, "a")
    grow(ledger, 48, LINE // 5, "bb")
    Rollups(store).refresh()
    both = forecast_runs(ledger, ["a", "bb", "nobody"], NOW_NS)
    assert sorted(both) == ["a", "bb"]
    assert both["a"] == forecast_run(ledger, "a", NOW_NS)
    assert forecast_runs(ledger, ["a"], NOW_NS) == {"a": both["a"]}


def test_what_was_corrected_and_planned_is_part_of_it(ledger: Ledger) -> None:
    grow(ledger, 48, LINE // 10)
    append_new(ledger, [correction("r", -LINE // 100, -LINE // 100, -LINE // 100, "counted twice")], "me")
    end = format_ns(NOW_NS + 9 * DAY_NS)
    ledger.append([Declaration("r", planned_flop=3 * LINE, planned_end=end).statement("me")])
    series = read_series(ledger, ["r"], NOW_NS)["r"]
    assert series.flop == LINE // 10 // 3 * 3 - LINE // 100
    assert (series.planned_flop, series.planned_end_ns) == (3 * LINE, NOW_NS + 9 * DAY_NS)
    assert sum(series.growth) == pytest.approx(LINE // 10, rel=1 / 40)


def test_a_run_that_has_bounds_alone_has_no_forecast(ledger: Ledger) -> None:
    take(ledger, [Chain().seal(meter(None, 0, LINE))])
    assert forecast_run(ledger, "r", NOW_NS) is None


def test_what_is_measured_is_followed_rather_than_what_is_reported(ledger: Ledger) -> None:
    reported = {"basis": "architecture", "method": "reported-run", "device": "GPU-0/1"}
    take(ledger, [Chain().seal(meter(7), meter(9, **reported))])
    take(ledger, [Chain(1).seal(meter(None, 0, 7, run="s"), meter(9, run="s", **reported))])
    found = forecast_runs(ledger, ["r", "s"], NOW_NS)
    assert {run: (each.basis, each.flop) for run, each in found.items()} == {
        "r": ("hardware", 7),
        "s": ("architecture", 9),
    }
