from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

import ledger.thresholds
from ledger.errors import Damaged
from ledger.thresholds import Threshold, catalogue, parse

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
amount_flop = "10000000000000000000000000"
operator = ">"
unit = "floating-point"
status = "in force"
in_force_from = 2025-08-02
counts = "all of it"
notification = "at once"
"""


def changed(old: str, new: str) -> Threshold:
    assert old in LINE
    (line,) = parse(LINE.replace(old, new), "here.toml")
    return line


@pytest.mark.parametrize(("operator", "crossed"), [(">", [False, False, True]), (">=", [False, True, True])])
def test_the_operator_of_the_text_decides_at_exactly_the_amount(operator: str, crossed: list[bool]) -> None:
    line = changed('operator = ">"', f'operator = "{operator}"')
    assert [line.crossed_by(10**25 + more) for more in (-1, 0, 1)] == crossed


def test_a_line_is_read_as_it_is_written() -> None:
    assert changed("Act", "Act") == Threshold(
        id="here-1",
        jurisdiction="Here",
        instrument="Act",
        citation="Article 1",
        source="https://example.org",
        amount_flop=10**25,
        operator=">",
        unit="floating-point",
        status="in force",
        in_force_from=date(2025, 8, 2),
        in_force_until=None,
        counts="all of it",
        notification="at once",
    )


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('operator = ">"', 'operator = "=>"', "line.0.operator"),
        ('operator = ">"', 'operator = "<"', "line.0.operator"),
        ('operator = ">"\n', "", "line.0.operator"),
        ('id = "here-1"', 'id = "Here 1"', "line.0.id"),
        ('amount_flop = "10', 'amount_flop = "1e10', "line.0.amount_flop"),
        ('amount_flop = "10000000000000000000000000"', "amount_flop = 10", "line.0.amount_flop"),
        ('amount_flop = "10', 'amount_flop = "010', "line.0.amount_flop"),
        ('unit = "floating-point"', 'unit = "FLOP"', "line.0.unit"),
        ('status = "in force"', 'status = "valid"', "line.0.status"),
        ("2025-08-02", '"soon"', "line.0.in_force_from"),
        ('counts = "all of it"', 'count = "all of it"', "line.0.count"),
        ('citation = "Article 1"\n', "", "line.0.citation"),
        ("[[line]]", "[[lines]]", "line"),
    ],
)
def test_a_wrong_field_is_named_with_its_file(old: str, new: str, field: str) -> None:
    with pytest.raises(Damaged) as caught:
        changed(old, new)
    assert str(caught.value).startswith(f"here.toml: {field}")


def test_a_wrong_field_of_a_later_line_is_named_with_its_place() -> None:
    with pytest.raises(Damaged, match=r"^here\.toml: line\.1\.operator: "):
        parse(LINE + LINE.replace('operator = ">"', 'operator = "!"'), "here.toml")


def test_a_file_that_is_no_toml_is_named_with_the_line() -> None:
    with pytest.raises(Damaged, match=r"^here\.toml: .*line 2"):
        parse("\n[[line]\n", "here.toml")


def test_a_file_without_a_line_is_refused() -> None:
    with pytest.raises(Damaged, match=r"^here\.toml: line: "):
        parse("", "here.toml")


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


def test_the_catalogue_holds_the_lines_of_today_the_lowest_first() -> None:
    amounts = {line.id: (line.amount_flop, line.operator) for line in catalogue()}
    assert amounts["eu-aia-51-2"] == (10**25, ">")
    assert amounts["kr-ai-basic"] == (10**26, ">=")
    assert amounts["ca-sb53"] == amounts["ny-raise"] == (10**26, ">")
    assert list(amounts.values()) == sorted(amounts.values(), key=lambda line: line[0])
    applying = {line.id for line in catalogue() if line.applies_on(date(2026, 11, 23))}
    assert "us-eo14110" not in applying
    assert "ny-raise" in applying


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A catalogue of our own making."""
    (tmp_path / "catalogue").mkdir()
    monkeypatch.setattr(ledger.thresholds, "files", lambda package: tmp_path)
    catalogue.cache_clear()
    yield tmp_path / "catalogue"
    catalogue.cache_clear()


def test_a_line_that_stands_twice_is_refused(shipped: Path) -> None:
    (shipped / "a.toml").write_text(LINE)
    (shipped / "b.toml").write_text(LINE.replace("Here", "There"))
    with pytest.raises(Damaged, match=r"^b\.toml: line here-1: the catalogue has one of this id already"):
        catalogue()


def test_what_is_no_toml_is_no_part_of_the_catalogue(shipped: Path) -> None:
    (shipped / "a.toml").write_text(LINE)
    (shipped / "README.md").write_text("Lines in law, as data")
    assert [line.id for line in catalogue()] == ["here-1"]
