from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

import ledger.catalogue_file
from ledger.catalogue_file import Catalogue, catalogue, parse, shipped
from ledger.declarations import PURPOSES
from ledger.errors import Refused
from ledger.policies import USES
from ledger.thresholds import Threshold

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINE = """
[[line]]
id = "here-1"
jurisdiction = "Here"
instrument = "Act"
citation = "Article 1"
source = "https://example.org"
amount = "10000000000000000000000000"
operator = ">"
unit = "floating-point"
policy = "everything"
status = "in force"
in_force_from = 2025-08-02
counts = "all of it"
notification = "at once"
"""
POLICY = f"""
[[policy]]
id = "everything"
title = "Everything"
source = "here"
counted = {list(USES[1:])}
disputed = ["{USES[0]}"]
"""


def changed(old: str, new: str) -> Threshold:
    assert old in LINE
    (line,) = parse(LINE.replace(old, new), "here.toml").lines
    return line


@pytest.mark.parametrize(("operator", "crossed"), [(">", [False, False, True]), (">=", [False, True, True])])
def test_the_operator_of_the_text_decides_at_exactly_the_amount(operator: str, crossed: list[bool]) -> None:
    line = changed('operator = ">"', f'operator = "{operator}"')
    assert [line.crossed_by(10**25 + more) for more in (-1, 0, 1)] == crossed


def test_a_line_is_read_as_it_is_written() -> None:
    assert changed("Act", "Act") == Threshold(
        id="here-1",
        subject="model",
        amount=10**25,
        operator=">",
        unit="floating-point",
        original="",
        policy="everything",
        status="in force",
        adopted_on=None,
        in_force_from=date(2025, 8, 2),
        in_force_until=None,
        requires_any=(),
        co_conditions="",
        jurisdiction="Here",
        instrument="Act",
        citation="Article 1",
        counts="all of it",
        notification="at once",
        notify_within_days=None,
        source="https://example.org",
        retrieved_on=None,
        note="",
    )


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('operator = ">"', 'operator = "=>"', "line 9: [[line]] here-1: operator: Input should be '>' or '>='"),
        ('operator = ">"', 'operator = "<"', "line 9: [[line]] here-1: operator: "),
        ('operator = ">"\n', "", "line 2: [[line]] here-1: operator: Field required"),
        ('id = "here-1"', 'id = "Here 1"', "line 3: [[line]] Here 1: id: "),
        ('amount = "10000000000000000000000000"', 'amount = "much"', "line 8: [[line]] here-1: amount: "),
        ('amount = "10000000000000000000000000"', 'amount = "1e-3"', "line 8: [[line]] here-1: amount: "),
        ('amount = "10000000000000000000000000"', 'amount = "1e999"', "line 8: [[line]] here-1: amount: "),
        ('amount = "10000000000000000000000000"', 'amount = "0"', "line 8: [[line]] here-1: amount: "),
        ('amount = "10000000000000000000000000"', "amount = 1e25", "line 8: [[line]] here-1: amount: "),
        ('amount = "10000000000000000000000000"\n', "", "line 2: [[line]] here-1: only a draft may leave"),
        ('unit = "floating-point"', 'unit = "FLOP"', "line 10: [[line]] here-1: unit: "),
        (
            'unit = "floating-point"',
            'unit = "floating-point per second"',
            "line 2: [[line]] here-1: a line",
        ),
        ('status = "in force"', 'status = "valid"', "line 12: [[line]] here-1: status: "),
        ("2025-08-02", '"soon"', "line 13: [[line]] here-1: in_force_from: "),
        ("2025-08-02", '"2025-02-30"', "line 13: [[line]] here-1: in_force_from: "),
        (
            "2025-08-02",
            "2025-08-02\nin_force_until = 2025-08-02",
            "line 2: [[line]] here-1: in_force_until",
        ),
        ('counts = "all of it"', 'count = "all of it"', "line 2: [[line]] here-1: counts: Field required"),
        ('citation = "Article 1"\n', "", "line 2: [[line]] here-1: citation: "),
        (
            'policy = "everything"',
            'requires_any = ["magic"]\npolicy = "x1"',
            "line 11: [[line]] here-1: requires",
        ),
        (
            'unit = "floating-point"',
            'unit = "floating-point"\nsubject = "modification"',
            "line 2: [[line]] here-1: a line",
        ),
        ("[[line]]", "[[lines]]", "lines: "),
    ],
)
def test_what_is_wrong_is_named_with_file_line_entry_and_field(old: str, new: str, place: str) -> None:
    with pytest.raises(Refused) as caught:
        changed(old, new)
    assert str(caught.value).startswith(f"here.toml: {place}")
    assert "\n" not in str(caught.value)


def test_a_wrong_field_of_a_later_line_is_named_with_its_place() -> None:
    with pytest.raises(Refused, match=r"^here\.toml: line 24: \[\[line\]\] here-2: operator: "):
        parse(LINE + LINE.replace('operator = ">"', 'operator = "!"').replace("here-1", "here-2"), "here.toml")


def test_a_line_that_stands_twice_in_a_file_is_named() -> None:
    with pytest.raises(Refused, match=r"^here\.toml: line 18: \[\[line\]\] here-1: id: stands there twice"):
        parse(LINE + LINE, "here.toml")


def test_a_file_that_is_no_toml_is_named_with_the_line() -> None:
    with pytest.raises(Refused, match=r"^here\.toml: .*line 2"):
        parse("\n[[line]\n", "here.toml")


def test_a_file_without_a_line_or_policy_is_refused() -> None:
    with pytest.raises(Refused, match=r"^here\.toml: there is no \[\[line\]\]"):
        parse("", "here.toml")


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("'other'", "'others'", "line 2: [[policy]] everything: 'others' is no purpose; they are: pre-training, "),
        (", 'other'", "", "line 2: [[policy]] everything: nothing is said of: other"),
        ("disputed = [", "disputed = ['other', ", "line 2: [[policy]] everything: 'other' stands there twice"),
        ("title", "titel", "line 2: [[policy]] everything: title: Field required"),
    ],
)
def test_a_policy_says_what_to_do_with_every_purpose_once(old: str, new: str, place: str) -> None:
    assert old in POLICY
    with pytest.raises(Refused) as caught:
        parse(POLICY.replace(old, new), "here.toml")
    assert str(caught.value).startswith(f"here.toml: {place}")


@pytest.mark.parametrize(
    ("status", "from_until", "applies"),
    [
        ("in force", "", True),
        ("adopted", "in_force_from = 2027-01-01", True),
        ("proposed", "", False),
        ("vetoed", "", False),
        ("revoked", "", False),
        ("revoked", "in_force_until = 2025-01-20", False),
        ("revoked", "in_force_until = 2026-11-24", True),
        ("in force", "in_force_until = 2026-11-23", False),
        ("in force", "in_force_until = 2026-11-24", True),
    ],
)
def test_only_lines_in_force_or_coming_apply(status: str, from_until: str, applies: bool) -> None:
    line = changed('status = "in force"\nin_force_from = 2025-08-02', f'status = "{status}"\n{from_until}')
    assert line.applies_on(date(2026, 11, 23)) is applies


@pytest.mark.parametrize(
    ("line_id", "day", "standing"),
    [
        ("eu-aia-51-2", "2024-03-04", "coming"),
        ("eu-gpai-1e23", "2025-07-17", "not adopted yet"),
        ("eu-gpai-1e23", "2025-07-18", "guidance"),
        ("eu-aia-51-2", "2025-08-01", "coming"),
        ("eu-aia-51-2", "2025-08-02", "in force"),
        ("us-eo14110-model", "2023-10-30", "in force"),
        ("us-eo14110-model", "2025-01-20", "ended"),
        ("us-bis-2024-model", "2026-11-23", "never in force"),
        ("ca-sb1047", "2026-11-23", "never in force"),
        ("eu-gpai-1e23", "2026-11-23", "guidance"),
        ("ny-raise", "2026-11-23", "coming"),
        ("ny-raise", "2027-01-01", "in force"),
    ],
)
def test_what_a_line_was_on_a_day_follows_from_its_dates(line_id: str, day: str, standing: str) -> None:
    (line,) = [line for line in catalogue() if line.id == line_id]
    assert line.standing_on(date.fromisoformat(day)) == standing


def test_the_catalogue_holds_the_lines_of_today_the_lowest_first() -> None:
    amounts = {line.id: (line.amount, line.operator) for line in catalogue()}
    assert amounts == {
        "us-bis-2024-cluster": (10**20, ">"),
        "us-eo14110-cluster": (10**20, ">="),
        "eu-gpai-third-sub": (10**23 // 3, ">"),
        "eu-gpai-1e23": (10**23, ">"),
        "us-eo14110-bio": (10**23, ">"),
        "eu-gpai-third-sub-systemic": (10**25 // 3, ">"),
        "eu-aia-51-2": (10**25, ">"),
        "ca-sb1047-fine-tune": (3 * 10**25, ">="),
        "ca-sb1047": (10**26, ">"),
        "ca-sb53": (10**26, ">"),
        "il-sb315": (10**26, ">"),
        "kr-ai-basic": (10**26, ">="),
        "ny-raise": (10**26, ">"),
        "us-4e091": (10**26, ">="),
        "us-bis-2024-model": (10**26, ">"),
        "us-eo14110-model": (10**26, ">"),
        "eu-gpai-third": (None, ">"),
        "us-gaaia": (None, ">"),
    }
    assert list(amounts.values()) == sorted(amounts.values(), key=lambda line: line[0] or 10**40)
    alerting = {line.id for line in catalogue() if line.applies_on(date(2026, 11, 23))}
    assert alerting == {"eu-aia-51-2", "ca-sb53", "kr-ai-basic", "ny-raise"}


def test_every_shipped_line_says_where_it_stands_and_when_it_was_read() -> None:
    for line in catalogue():
        assert line.source.startswith("https://"), line.id
        assert line.retrieved_on is not None, line.id
        assert line.catalogue, line.id
    assert {policy.id for policy in shipped().policies} >= {line.policy for line in catalogue()}
    assert set(USES) > set(PURPOSES)


def test_a_third_is_exceeded_by_whole_numbers_exactly_when_its_floor_is() -> None:
    (line,) = [line for line in catalogue() if line.id == "eu-gpai-third-sub-systemic"]
    for flop in (line.amount_flop - 1, line.amount_flop, line.amount_flop + 1):
        assert line.crossed_by(flop) is (3 * flop > 10**25)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue of our own making."""
    (tmp_path / "catalogue").mkdir()
    monkeypatch.setattr(ledger.catalogue_file, "files", lambda package: tmp_path)
    shipped.cache_clear()
    yield tmp_path / "catalogue"
    shipped.cache_clear()


def test_a_line_that_stands_in_two_files_is_refused(directory: Path) -> None:
    (directory / "a.toml").write_text(LINE)
    (directory / "b.toml").write_text(LINE.replace("Here", "There"))
    with pytest.raises(Refused, match=r"^b\.toml: here-1: the catalogue has one of this id already"):
        catalogue()


def test_a_line_by_a_policy_that_is_not_there_is_refused(directory: Path) -> None:
    (directory / "a.toml").write_text(LINE + POLICY.replace('id = "everything"', 'id = "nothing"'))
    with pytest.raises(Refused, match="line here-1: policy 'everything' is none of: nothing"):
        catalogue()


def test_what_is_no_toml_is_no_part_of_the_catalogue(directory: Path) -> None:
    (directory / "a.toml").write_text(LINE + POLICY)
    (directory / "README.md").write_text("Lines in law, as data")
    assert isinstance(shipped(), Catalogue)
    assert [line.id for line in catalogue()] == ["here-1"]
