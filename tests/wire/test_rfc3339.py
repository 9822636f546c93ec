from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.rfc3339 import format_ns, parse_ns

END_OF_9999_NS = 253_402_300_800 * 10**9


@given(st.integers(0, END_OF_9999_NS - 1))
def test_every_nanosecond_survives(at_ns: int) -> None:
    assert parse_ns(format_ns(at_ns)) == at_ns


@given(st.integers(0, END_OF_9999_NS // 1_000 - 1))
def test_it_says_what_the_standard_library_says(at_us: int) -> None:
    seconds, us = divmod(at_us, 10**6)
    assert datetime.fromisoformat(format_ns(at_us * 1_000)) == datetime.fromtimestamp(seconds, UTC).replace(
        microsecond=us
    )


@given(st.integers(0, END_OF_9999_NS - 1), st.integers(0, END_OF_9999_NS - 1))
def test_whole_seconds_sort_as_text(one: int, other: int) -> None:
    early, late = sorted([one // 10**9, other // 10**9])
    assert format_ns(early * 10**9) <= format_ns(late * 10**9)


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_795_443_900_000_000_000, "2026-11-23T14:25:00Z"),
        (1_795_443_900_100_000_000, "2026-11-23T14:25:00.100000000Z"),
        (951_782_400 * 10**9, "2000-02-29T00:00:00Z"),
        (END_OF_9999_NS - 1, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_known_instants(at_ns: int, text: str) -> None:
    assert format_ns(at_ns) == text
    assert parse_ns(text) == at_ns


@pytest.mark.parametrize(("text", "nanos"), [(".1Z", 10**8), (".000001Z", 1_000), (".123456789Z", 123_456_789)])
def test_a_fraction_may_be_shorter(text: str, nanos: int) -> None:
    assert parse_ns("1970-01-01T00:00:00" + text) == nanos


@pytest.mark.parametrize("at_ns", [-1, END_OF_9999_NS, 10**30])
def test_what_no_year_of_four_digits_holds_is_refused(at_ns: int) -> None:
    with pytest.raises(ValueError, match=r"before 1970|past year 9999|out of range"):
        format_ns(at_ns)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T14:25Z",
        "2026-11-23 14:25:00Z",
        "2026-11-23T14:25:00",
        "2026-11-23t14:25:00z",
        "2026-11-23T14:25:00+00:00",
        "2026-11-23T14:25:00+01:00",
        "2026-11-23T14:25:00.Z",
        "2026-11-23T14:25:00,5Z",
        "2026-11-23T14:25:00.1234567890Z",
        "2026-11-23T14:25:00Z\n",
        " 2026-11-23T14:25:00Z",
        "2026-11-23T14:25:00.٣Z",
        "٢٠٢٦-11-23T14:25:00Z",
        "2026-13-23T14:25:00Z",
        "2026-02-29T14:25:00Z",
        "2026-11-23T25:25:00Z",
        "2026-11-23T14:60:00Z",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999999Z",
        "12026-11-23T14:25:00Z",
        "-2026-11-23T14:25:00Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_ns(text)
