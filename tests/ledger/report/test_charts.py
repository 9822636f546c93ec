from __future__ import annotations

import re
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.report.charts import HEIGHT, WIDTH, growth, treatments

AMOUNTS = st.integers(0, 10**27)


def days(*added: int) -> list[dict[str, object]]:
    return [
        {"day": date(2026, 1, 1) + timedelta(days=n), "flop": flop, "flop_high": flop * 2}
        for n, flop in enumerate(added)
    ]


@given(st.lists(AMOUNTS, min_size=2, max_size=40), st.none() | st.integers(1, 10**27))
def test_every_point_of_a_curve_lies_in_the_picture_and_it_never_falls(added: list[int], line: int | None) -> None:
    text = growth(days(*added), line)
    (points,) = re.findall(r'class="curve" points="([^"]*)"', text)
    pairs = [tuple(map(float, pair.split(","))) for pair in points.split()]
    assert len(pairs) == len(added) + 1
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in pairs)
    assert [x for x, _ in pairs] == sorted(x for x, _ in pairs)
    assert [y for _, y in pairs] == sorted((y for _, y in pairs), reverse=True)


@pytest.mark.parametrize("added", [(), (5,)])
def test_fewer_than_two_days_are_no_curve(added: tuple[int, ...]) -> None:
    assert growth(days(*added), 10) == ""


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=6), st.none() | st.integers(1, 10**27))
def test_bars_lie_in_the_picture(amounts: list[tuple[int, int]], line: int | None) -> None:
    rows = [
        {"basis": "<b>", "treatment": "counted", "flop": min(pair), "flop_low": min(pair), "flop_high": max(pair)}
        for pair in amounts
    ]
    text = treatments(rows, line)
    widths = re.findall(r'x="([\d.]+)" y="\d+" width="([\d.]+)"', text)
    assert len(widths) == len(rows)
    assert all(float(x) + float(width) <= WIDTH for x, width in widths)
    assert "<b>" not in text


def test_nothing_is_no_bar() -> None:
    assert treatments([], 10) == ""
