"""docs/auditors.md: every statement runs, through the check that strangers' statements pass, and answers what it says.

The ledger is small and known: two nodes count for `big`, one for `small`, one batch is excluded, one run is declared,
one amount is corrected. `python -m tests.ledger.test_auditors` writes the answers of this ledger into the page.
"""

from __future__ import annotations

import re
import tempfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ledger.adjustments import append_new, correction
from ledger.declarations import Declaration
from ledger.journal import Statement
from ledger.ledger import Ledger
from ledger.readonly import check
from tests.ledger.chains import NOW_NS, Chain, evidence, meter
from tests.ledger.engine import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "auditors.md"
QUESTION = re.compile(r"```sql\n(?P<sql>.*?)\n```\n\n(?P<answer>(?:\|[^\n]*\n)+|@ANSWER\n)", re.DOTALL)
HOUR_NS = 3_600_000_000_000
REPORTED: dict[str, Any] = {"basis": "architecture", "method": "reported-run", "device": "rank-0"}


def fill(ledger: Ledger) -> None:
    """What the page's answers are about."""
    one, two = Chain(1), Chain(2)
    at: dict[str, Any] = {"at_ns": NOW_NS + HOUR_NS, "observed_ns": HOUR_NS}
    sealed = [
        one.seal(
            meter(0, run="big", device="GPU-1", observed_ns=0), meter(0, run="big", observed_ns=0, device="GPU-2")
        ),
        one.seal(
            meter(4 * 10**24, 39 * 10**23, 41 * 10**23, run="big", device="GPU-1", **at),
            meter(3 * 10**24, 29 * 10**23, 31 * 10**23, run="big", device="GPU-2", **at),
            meter(6 * 10**24, run="big", **{**REPORTED, "at_ns": NOW_NS + HOUR_NS}),
        ),
        two.seal(
            meter(10**18, run="small", device="GPU-3"),
            meter(None, 0, 5 * 10**17, run="unattributed", device="GPU-3", method="busy", **{**at, "at_ns": NOW_NS}),
        ),
    ]
    excluded = two.seal(meter(10**26, run="small", device="GPU-3", at_ns=NOW_NS + HOUR_NS))
    items = [evidence(item, offset=offset) for offset, item in enumerate(sealed)]
    for chain in (one, two):
        data = {"agent": chain.agent, "cluster": "c", "node": chain.node, "enrolment": "first-use"}
        ledger.append([Statement("agent", "collector", data)])
    assert ledger.collisions(items) == [None] * 3
    ledger.record(items)
    ledger.record([evidence(excluded, "physics: more than the silicon can do in that time", offset=3)])
    declared = Declaration("big", model_id="m", purpose="pre-training", planned_flop=2 * 10**25, devices=4)
    ledger.append([declared.statement("lab")])
    append_new(
        ledger, [correction("big", -(10**24), -(10**24), -(10**24), "an evaluation was counted as training")], "lab"
    )


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with closing(Ledger.open(tmp_path_factory.mktemp("auditors"), Clock())) as opened:
        fill(opened)
        yield opened


def questions() -> list[tuple[str, str]]:
    return [(found["sql"], found["answer"]) for found in QUESTION.finditer(PAGE.read_text(encoding="utf-8"))]


def answer(ledger: Ledger, sql: str) -> str:
    """A table as the page has it."""
    result = ledger.query(check(sql))
    rows = [result.columns, ["---"] * len(result.columns), *result.rows]
    return "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "NULL"
        case bool():
            return str(value).lower()
        case float() | Decimal():
            return f"{value:g}"
        case list() | tuple():
            return ", ".join(map(_cell, value))
        case _:
            return str(value)


@pytest.mark.parametrize(
    ("sql", "expected"), questions(), ids=[sql.split("FROM")[1].split()[0] for sql, _ in questions()]
)
def test_the_cookbooks_answer_is_the_ledgers(ledger: Ledger, sql: str, expected: str) -> None:
    assert answer(ledger, sql) == expected


def test_every_statement_of_the_page_was_found() -> None:
    assert len(questions()) == PAGE.read_text(encoding="utf-8").count("```sql") > 10


if __name__ == "__main__":
    with closing(Ledger.open(Path(tempfile.mkdtemp()), Clock())) as filled:
        fill(filled)
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(
            QUESTION.sub(lambda found: f"```sql\n{found['sql']}\n```\n\n{answer(filled, found['sql'])}", page),
            encoding="utf-8",
        )
