from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from ledger.web.curves import HOUR_NS, straight


def curve(*rows: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    return [(hour * HOUR_NS, flop, flop, flop) for hour, flop in rows]


def stood(rows: list[tuple[int, int, int, int]], hour: int) -> int:
    return {at_ns: flop for at_ns, flop, *_ in rows}[hour * HOUR_NS]


def test_a_run_that_reports_every_other_day_is_drawn_straight_from_its_beginning() -> None:
    drawn = list(straight(curve((148, 480), (196, 960), (244, 1440))))
    assert [stood(drawn, hour) for hour in (101, 124, 172, 220)] == [10, 240, 720, 1200]


def test_after_a_stop_it_stays_flat_until_the_hour_that_brought_something() -> None:
    hourly = curve((1, 10), (2, 20), (12, 30), (13, 40))
    assert straight(hourly) == hourly


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 10**26)), min_size=1, max_size=30))
def test_every_report_stands_where_it_stood_and_nothing_goes_back(steps: list[tuple[int, int]]) -> None:
    hours = accumulate(apart for apart, _ in steps)
    flop = accumulate(gained for _, gained in steps)
    rows = curve(*zip(hours, flop, strict=True))
    drawn = list(straight(rows))
    assert set(rows) <= set(drawn)
    assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(drawn))
