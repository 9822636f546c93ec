"""`flopledger ledger …` and `thresholds …`, asked of a ledger that this process holds and serves."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured
from ledger import commands, threshold_commands
from ledger.errors import Refused
from ledger.migrate import migrations
from ledger.totals import COVERAGE_COLUMNS, RECONCILED_COLUMNS, RUN_COLUMNS, TOTAL_COLUMNS, UNATTRIBUTED_COLUMNS
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import held
from wire.batch import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLOP = 38 * 10**24


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("served")
    with held(directory) as ledger:
        readings = [
            meter(FLOP, run="llama", observed_ns=10**9),
            meter(None, 0, 5, run="laptop", method="cpu-time"),
            meter(FLOP, run="llama", basis="architecture", method="reported-run"),
            meter(7, run=UNATTRIBUTED),
        ]
        take(ledger, [Chain().seal(*readings)])
        ledger.raise_alerts("me")
        yield directory


@pytest.fixture(autouse=True)
def data_dir(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(served))


def ask(*arguments: str, app: Any = commands.app, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code
    return result.stdout


def rows(noun: str, *arguments: str, app: Any = commands.app, code: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ask(*arguments, "--format", "json", app=app, code=code))[noun]
    return found


@pytest.mark.parametrize(
    ("arguments", "noun", "columns", "count"),
    [
        (("totals",), "totals", TOTAL_COLUMNS, 3),
        (("coverage",), "coverage", COVERAGE_COLUMNS, 2),
        (("unattributed",), "unattributed", UNATTRIBUTED_COLUMNS, 1),
        (("reconciliation",), "reconciliation", RECONCILED_COLUMNS, 2),
        (("runs", "list"), "runs", RUN_COLUMNS, 2),
        (("migrate",), "migrations", ("number", "name", "sha256", "applied_at"), len(migrations())),
    ],
)
def test_what_a_command_prints_is_the_same_in_every_format(
    arguments: tuple[str, ...], noun: str, columns: tuple[str, ...], count: int
) -> None:
    found = [row for row in rows(noun, *arguments) if row.get("run_id") != "declared later"]
    assert [tuple(row) for row in found] == [columns] * count
    lines = list(csv.reader(io.StringIO(ask(*arguments, "--format", "csv"))))
    assert tuple(lines[0]) == columns
    assert len(lines) >= count + 1
    assert columns[0].replace("_", " ") in ask(*arguments)


def test_totals_are_exact_and_unknown_is_null() -> None:
    found = {(row["run_id"], row["basis"]): row for row in rows("totals", "totals")}
    assert found["llama", "hardware"]["flop"] == str(FLOP)
    assert found["laptop", "hardware"]["flop"] is None
    assert found["laptop", "hardware"]["flop_high"] == "5"
    assert found["llama", "hardware"]["last_at"] == "2026-11-23T14:26:40Z"


def test_sql_answers_whatever_reads() -> None:
    found = rows("rows", "sql", "SELECT toUInt256(1) AS flop, map('a', 1) AS m, toDate('2026-11-23') AS day")
    assert found == [{"flop": "1", "m": {"a": 1}, "day": "2026-11-23"}]
    assert [row["name"] for row in rows("rows", "sql", "SHOW TABLES LIKE 'run_t%'")] == ["run_totals"]
    assert rows("rows", "sql", "SELECT run_id FROM run_totals WHERE false") == []


def test_sql_that_does_more_is_refused_before_it_is_asked() -> None:
    with pytest.raises(Refused, match="only statements that read"):
        ask("sql", "DROP TABLE journal")


def declaration(run_id: str) -> dict[str, Any]:
    return next(row for row in rows("runs", "runs", "list") if row["run_id"] == run_id)


def test_what_is_not_given_stays_as_it_was_declared() -> None:
    run = "declared later"
    said = ask("runs", "set", run, "--model", "m", "--planned-flop", "3.8e25", "--planned-end", "2026-12-24T18:30:00Z")
    assert said.startswith(f"{run}: declared in journal entry ")
    ask("runs", "set", run, "--devices", "8", "--purpose", "fine-tuning", "--author", "alice")
    assert declaration(run) == {
        "run_id": run,
        "model_id": "m",
        "purpose": "fine-tuning",
        "dtype": "",
        "planned_flop": str(FLOP),
        "planned_end": "2026-12-24T18:30:00Z",
        "declared_devices": 8,
        "parent": "",
        "declared": True,
        "measured": False,
        "adjusted": False,
    }
    (last,) = rows("rows", "sql", "SELECT body FROM journal WHERE kind = 'run' ORDER BY entry_index DESC LIMIT 1")
    assert json.loads(last["body"])["author"] == "alice"


def test_a_budget_is_taken_exactly_and_not_by_way_of_a_float() -> None:
    ask("runs", "set", "declared later", "--planned-flop", "10000000000000000000000001")
    assert declaration("declared later")["planned_flop"] == "10000000000000000000000001"
    ask("runs", "set", "declared later", "--planned-flop", "1e25")
    assert declaration("declared later")["planned_flop"] == "1" + "0" * 25


WHY = ("--reason", "counted twice on node 7", "--author", "Ada")


def test_a_correction_is_listed_beside_what_was_measured() -> None:
    before = rows("totals", "totals")
    said = ask("correct", "llama", "--flop", "-1.5e24", "--low", "-2e24", "--high", "-1e24", *WHY)
    assert said.startswith("llama: corrected in journal entry ")
    again = ask("correct", "llama", "--flop", "-1.5e24", "--low", "-2e24", "--high", "-1e24", *WHY)
    assert again == "llama: this is on record already\n"
    (found,) = rows("adjustments", "adjustments")
    assert (found["run_id"], found["kind"], found["author"]) == ("llama", "correction", "Ada")
    assert (found["flop"], found["flop_low"], found["flop_high"]) == (
        "-15" + "0" * 23,
        "-2" + "0" * 24,
        "-1" + "0" * 24,
    )
    assert "-1.50 × 10²⁴" in ask("adjustments")
    assert rows("totals", "totals") == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("llama", *WHY), "give --flop, or both --low and --high"),
        (("llama", "--low", "1", *WHY), "give --flop, or both --low and --high"),
        (("llama", "--flop", "much", *WHY), "--flop 'much' is not a number"),
        (("llama", "--flop", "1", "--low", "2", *WHY), "flop_low: bounds out of order"),
        (("llama", "--flop", "0", *WHY), "flop: a correction by 0 FLOP changes nothing"),
        (("llama", "--flop", "1", "--from", "monday", *WHY), "period_start: 'monday': not an RFC 3339 time"),
        (("llama", "--flop", "1", "--reason", "", "--author", "Ada"), "reason: must be given"),
        (("lama", "--flop", "1", *WHY), "no run 'lama' was measured, declared or imported"),
    ],
)
def test_a_correction_that_makes_no_sense_writes_nothing(arguments: tuple[str, ...], sentence: str) -> None:
    before = rows("rows", "sql", "SELECT max(entry_index) AS last_index FROM journal")
    with pytest.raises((Refused, Misconfigured), match=sentence):
        ask("correct", *arguments)
    assert rows("rows", "sql", "SELECT max(entry_index) AS last_index FROM journal") == before


def test_an_assessment_that_finds_a_line_crossed_says_no() -> None:
    found = rows("standing", "assess", app=threshold_commands.app, code=1)
    (line,) = [
        row for row in found if (row["subject"], row["basis"], row["threshold"]) == ("llama", "hardware", "eu-aia-51-2")
    ]
    (total,) = rows("rows", "sql", "SELECT flop FROM run_accounts WHERE run_id = 'llama' AND basis = 'hardware'")
    assert (line["flop"], line["line_flop"], line["crossed"]) == (total["flop"], str(10**25), True)
    assert line["share"] == pytest.approx(int(total["flop"]) / 10**25)
