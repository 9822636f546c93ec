"""Reports on a ledger of which every amount is known."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured
from ledger.access import Holder
from ledger.commands import app
from ledger.errors import Refused
from ledger.ledger import Ledger
from ledger.report import questions
from ledger.report.commands import write
from ledger.report.gather import Report, gather
from ledger.report.render import html_report, json_report, markdown_report
from ledger.report.treatment import summed, treated
from tests.ledger.chains import NOW_NS
from tests.ledger.engine import Clock
from tests.ledger.report.world import COUNTED, DISPUTED, E23, EXCLUDED, fill

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EU = "eu-aia-51-2"
COLUMNS = (("flop", "counted"), ("disputed_flop", "disputed"), ("excluded_flop", "excluded"))
VOID = {"meta", "br", "line", "rect", "path", "polyline", "polygon"}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.fixture(scope="module")
def ledger(directory: Path) -> Iterator[Ledger]:
    opened = Ledger.open(directory, Clock())
    fill(opened)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def report(ledger: Ledger) -> Report:
    return gather(ledger, "big", EU, "", NOW_NS)


def amounts(rows: list[dict[str, Any]]) -> dict[tuple[str, str], int]:
    return {(row["basis"], row["treatment"]): row["flop"] for row in rows}


def test_the_totals_are_those_that_are_known(report: Report) -> None:
    hardware, architecture = report.standing
    assert (hardware["flop"], hardware["disputed_flop"], hardware["excluded_flop"]) == (COUNTED, DISPUTED, EXCLUDED)
    assert (architecture["basis"], architecture["flop"]) == ("architecture", 90 * E23)
    assert amounts(report.treatments) == {
        ("hardware", "counted"): COUNTED,
        ("hardware", "disputed"): DISPUTED,
        ("hardware", "excluded"): EXCLUDED,
        ("architecture", "counted"): 90 * E23,
    }


def adds_up(made: Report) -> bool:
    """What is listed part by part is what the view of the totals says."""
    listed = amounts(made.treatments)
    columns = (("flop", "counted"), ("disputed_flop", "disputed"), ("excluded_flop", "excluded"))
    return all(
        row[column] == listed.get((row["basis"], treatment), 0)
        for row in made.standing
        for column, treatment in columns
    )


@pytest.mark.parametrize(("kind", "subject"), [("model", "big"), ("system", "duo")])
def test_what_is_listed_adds_up_to_the_total_under_every_policy(ledger: Ledger, kind: str, subject: str) -> None:
    parts = ledger.query(questions.PARTS, {"kind": kind, "subject": subject}).dicts()
    sql = f"SELECT * FROM {kind}_totals WHERE {kind}_id = {{subject:String}}"
    totals = ledger.query(sql, {"subject": subject}).dicts()
    policies: dict[str, dict[str, str]] = {}
    for policy, purpose, treatment in ledger.query("SELECT policy, purpose, treatment FROM policies").rows:
        policies.setdefault(policy, {})[purpose] = treatment
    assert {row["policy"] for row in totals} == set(policies)
    for row in totals:
        listed = amounts(summed((treated(part, policies[row["policy"]]) for part in parts), "basis", "treatment"))
        for column, treatment in COLUMNS:
            assert row[column] == listed.get((row["basis"], treatment), 0)


def test_a_run_has_no_more_than_its_own(ledger: Ledger) -> None:
    made = gather(ledger, "pre", EU, "", NOW_NS)
    assert (made.subject_kind, made.standing[0]["flop"]) == ("run", 128 * E23)
    assert {part["known_by"] for part in made.parts} == {"measured", "imported", "corrected"}
    assert adds_up(made)


def test_days_add_up_to_what_was_measured_of_the_counted_runs(report: Report) -> None:
    assert sum(day["flop"] for day in report.days) == (120 + 8) * E23


def test_json_holds_flop_as_decimal_strings(report: Report) -> None:
    read = json.loads(json_report(report))
    assert read["standing"][0]["flop"] == str(COUNTED)
    assert read["line"]["id"] == EU
    assert read["adjustments"][1]["flop"] == str(-2 * E23)
    assert read["runs"][0].keys() >= {"run_id", "planned_flop"}
    assert read["made_at"] == "2026-11-23T14:26:40Z"


class _Page(HTMLParser):
    """Follows the tags of a page, and keeps what could load or run something."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.loads += [
            name for name, _ in attrs if name in {"src", "href", "srcset", "action"} or name.startswith("on")
        ]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_needs_nothing_and_runs_nothing(report: Report) -> None:
    text = html_report(report)
    page = _Page()
    page.feed(text)
    assert page.open == []
    assert page.loads == []
    assert page.seen >= {"svg", "table", "h1"}
    assert not page.seen & {"script", "link", "img", "iframe", "object"}
    assert "@import" not in text
    assert "url(" not in text


def test_the_page_says_what_is_asked_of_it(report: Report) -> None:
    text = html_report(report)
    for said in (
        "1.4 × 10²⁵",
        f"{COUNTED:,}",
        "By the hardware estimate, the line is crossed.",
        "generator training",
        "gpm-cycles",
        "counted twice",
        "declared world size",
        "writer",
        "Crossing the line was foreseeable from 2026-11-23 14:26 UTC on",
        "the notification is due by 2026-12-07 14:26 UTC",
        "flopledger ledger verify",
    ):
        assert said in text
    assert "&lt;script&gt;" in text


def test_markdown_escapes_what_people_typed_and_says_the_same(report: Report) -> None:
    text = markdown_report(report)
    assert f"{COUNTED:,}" in text
    assert "<script>" not in text
    assert "\\<script\\>alert('x')\\</script\\> & co" in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) >= 6
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1


def test_without_a_checkpoint_it_says_how_to_make_one_and_with_one_it_names_the_root(
    ledger: Ledger, report: Report
) -> None:
    assert report.checkpoint is None
    assert "none yet: <code>flopledger ledger checkpoint" in html_report(report)
    assert "none yet: `flopledger ledger checkpoint" in markdown_report(report)
    ledger.checkpoint("me")
    after = gather(ledger, "big", EU, "", NOW_NS)
    assert after.checkpoint is not None
    assert after.checkpoint["root"] in html_report(after)
    assert after.checkpoint["root"] in markdown_report(after)
    assert len(after.checkpoint["root"]) == 64


def test_a_condition_that_nobody_declared_is_told(ledger: Ledger) -> None:
    made = gather(ledger, "writer", "eu-gpai-1e23", "", NOW_NS)
    assert made.standing[0]["condition"] == "not declared"
    assert "that its other conditions hold is not declared" in html_report(made)


def test_a_modification_is_held_against_its_original(ledger: Ledger) -> None:
    made = gather(ledger, "big", "eu-gpai-third", "", NOW_NS)
    assert made.standing == []
    assert "That is not a total of nothing." in html_report(made)
    assert "That is not a total of nothing." in markdown_report(made)


@pytest.mark.parametrize(
    ("subject", "line", "kind", "said"),
    [
        ("bigger", EU, "", "'bigger' is no run, model or system on record"),
        ("big", EU, "run", "no run 'big' is on record"),
        ("big", "eu-aia-51", "", "no line 'eu-aia-51' is on record; near it: eu-aia-51-2"),
        ("big", "us-eo14110-cluster", "", "us-eo14110-cluster is a line on what a cluster can do"),
    ],
)
def test_what_is_not_on_record_is_told(ledger: Ledger, subject: str, line: str, kind: str, said: str) -> None:
    with pytest.raises(Refused) as caught:
        gather(ledger, subject, line, kind, NOW_NS)
    assert said in str(caught.value)


def test_the_command_writes_a_file_or_prints(
    ledger: Ledger, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(directory))
    holder = Holder(ledger, directory)
    holder.start()
    ask = ["report", "big", "--threshold", EU]
    out = tmp_path / "big.html"
    try:
        assert CliRunner().invoke(app, [*ask, "--out", str(out)]).exit_code == 0
        printed = CliRunner().invoke(app, [*ask, "--format", "json"]).stdout
    finally:
        holder.stop()
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(printed)["standing"][0]["flop"] == str(COUNTED)
    with pytest.raises(Misconfigured, match=r"such\.html: No such file or directory"):
        write(tmp_path / "no" / "such.html", "")
    assert [path.name for path in tmp_path.iterdir()] == ["big.html"]
