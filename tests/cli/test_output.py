from __future__ import annotations

import csv
import io
import json
from contextlib import redirect_stdout
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import Format, emit, human, plain, print_json, scientific, table

AT = datetime(2026, 11, 23, 14, 26, 40, 123456, tzinfo=UTC)
ROWS: list[dict[str, Any]] = [
    {"run_id": "llama", "flop": 38 * 10**24, "share": 0.38, "methods": ["gpm", "busy"], "at": AT, "left": "out"},
    {"run_id": 'quoted, "run"', "flop": None, "share": None, "methods": (), "at": None},
]
COLUMNS = ("run_id", "flop", "share", "methods", "at")


def printed(capsys: pytest.CaptureFixture[str], form: Format, rows: list[dict[str, Any]] = ROWS) -> str:
    emit("runs", rows, COLUMNS, form)
    return capsys.readouterr().out


def test_json_is_one_object_with_the_list_under_its_noun(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(capsys, Format.JSON)) == {
        "runs": [
            {
                "run_id": "llama",
                "flop": "38000000000000000000000000",
                "share": 0.38,
                "methods": ["gpm", "busy"],
                "at": "2026-11-23T14:26:40.123456000Z",
            },
            {"run_id": 'quoted, "run"', "flop": None, "share": None, "methods": [], "at": None},
        ]
    }


def test_json_of_nothing_is_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(capsys, Format.JSON, [])) == {"runs": []}


def test_csv_has_a_header_and_one_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(csv.reader(io.StringIO(printed(capsys, Format.CSV)))) == [
        list(COLUMNS),
        ["llama", "38000000000000000000000000", "0.38", "gpm, busy", "2026-11-23T14:26:40.123456000Z"],
        ['quoted, "run"', "", "", "", ""],
    ]


def test_csv_of_nothing_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, Format.CSV, []) == ",".join(COLUMNS) + "\n"


def test_a_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, Format.TABLE)
    assert [cell in text for cell in ("run id", "3.80 × 10²⁵", "38.0%", "gpm, busy", "2026-11-23 14:26:40", "–")] == [
        True
    ] * 6
    assert "left" not in text


def test_a_wide_table_is_not_cut_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    wide = [{"run_id": "r" * 60, "flop": 1, "share": 0.5, "methods": ["m" * 30], "at": AT}]
    text = printed(capsys, Format.TABLE, wide)
    assert "r" * 60 in text
    assert "m" * 30 in text


def test_numbers_stand_to_the_right() -> None:
    made = table(ROWS, COLUMNS)
    assert [column.justify for column in made.columns] == ["left", "right", "right", "left", "left"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (7, "7.0 × 10⁰"),
        (38 * 10**24, "3.8 × 10²⁵"),
        (10**25, "1.0 × 10²⁵"),
        (10**25 - 1, "1.0 × 10²⁵"),
        (9_949_999 * 10**18, "9.9 × 10²⁴"),
        (9_950_001 * 10**18, "1.0 × 10²⁵"),
        (2**256, "1.2 × 10⁷⁷"),
        (25, "2.5 × 10¹"),
        (125, "1.2 × 10²"),
        (135, "1.4 × 10²"),
    ],
)
def test_large_numbers_are_written_as_powers_of_ten(number: int, text: str) -> None:
    assert scientific(number) == text


def test_as_many_digits_as_asked_for() -> None:
    assert [scientific(123_456, digits) for digits in (1, 2, 4, 6)] == [
        "1 × 10⁵",
        "1.2 × 10⁵",
        "1.235 × 10⁵",
        "1.23456 × 10⁵",
    ]


@given(st.integers(1, 10**80))
def test_what_is_written_is_within_half_a_step_of_the_number(number: int) -> None:
    mantissa, _, power = scientific(number).partition(" × 10")
    exponent = int(power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")))
    assert 1 <= Decimal(mantissa) < 10
    assert abs(Decimal(mantissa).scaleb(exponent) - number) * 20 <= Decimal(10) ** exponent


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("flop", 5, "5"),
        ("flop_low", 0, "0"),
        ("planned_flop", 10**30, str(10**30)),
        ("hardware_flop_high", 2**200, str(2**200)),
        ("flops", 5, 5),
        ("tokens", 2**53, str(2**53)),
        ("tokens", 2**53 - 1, 2**53 - 1),
        ("delta", -(2**53), str(-(2**53))),
        ("crossed", True, True),
        ("flop", None, None),
        ("share", 0.1, 0.1),
        ("share", float("nan"), None),
        ("share", float("inf"), None),
        ("at", AT, "2026-11-23T14:26:40.123456000Z"),
        ("at", datetime(2026, 11, 23), "2026-11-23T00:00:00Z"),
        ("at", datetime(2026, 11, 23, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-22T23:00:00Z"),
        ("at", datetime(1969, 12, 31, 23, tzinfo=UTC), "1969-12-31T23:00:00Z"),
        ("day", date(2026, 11, 23), "2026-11-23"),
        ("id", UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        ("sha256", b"\x00\xff", "00ff"),
        ("price", Decimal("1.50"), "1.50"),
        ("name", "über", "über"),
    ],
)
def test_programs_get_flop_as_strings_times_as_rfc3339_and_no_number_as_nothing(
    name: str, value: object, expected: object
) -> None:
    assert plain(name, value) == expected
    assert type(plain(name, value)) is type(expected)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("flop", None, "–"),
        ("flop", 999_999, "999999"),
        ("flop", 10**6, "1.00 × 10⁶"),
        ("entry_index", 10**7, "10000000"),
        ("crossed", True, "yes"),
        ("crossed", False, "no"),
        ("share", 0.123456, "12.3%"),
        ("coverage", 1.0, "100.0%"),
        ("ratio", 1.23456, "1.23"),
        ("at", AT, "2026-11-23 14:26:40"),
        ("at", datetime(2026, 11, 23, 1, tzinfo=timezone(timedelta(hours=2))), "2026-11-22 23:00:00"),
        ("at", datetime(2026, 11, 23, 1), "2026-11-23 01:00:00"),
        ("methods", ["a", "b"], "a, b"),
        ("name", "x", "x"),
    ],
)
def test_people_get_what_they_can_read(name: str, value: object, expected: str) -> None:
    assert human(name, value) == expected


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**300), 2**300)
    | st.floats()
    | st.text()
    | st.binary()
    | st.uuids()
    | st.dates()
    | st.datetimes(timezones=st.just(UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3),
    max_leaves=5,
)


def no_json(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@given(st.sampled_from(["flop", "x"]), VALUES)
def test_whatever_the_ledger_answers_becomes_json(name: str, value: object) -> None:
    with redirect_stdout(io.StringIO()) as out:
        print_json({name: value})
    json.loads(out.getvalue(), parse_constant=no_json)
