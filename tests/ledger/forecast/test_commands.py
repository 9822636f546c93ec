"""`flopledger ledger forecast RUN`, asked of a ledger that this process holds and serves."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured
from ledger.commands import app
from ledger.declarations import Declaration
from ledger.forecast.commands import FORECAST_COLUMNS
from tests.ledger.chains import HOUR_NS, Chain, meter, take
from tests.ledger.engine import held
from tests.ledger.forecast.test_ledger_series import DAY_NS, LINE, grow
from wire.rfc3339 import format_ns, parse_ns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("served")
    # The command knows no other time than the real one.
    now_ns = time.time_ns()
    with held(directory) as ledger:
        grow(ledger, 240, LINE * 2 // 5, "steady", end_ns=now_ns)
        grow(ledger, 3, LINE // 1000, "young", end_ns=now_ns)
        grow(ledger, 240, LINE * 2, "done", end_ns=now_ns - 30 * DAY_NS)
        take(ledger, [Chain(90).seal(meter(None, 0, LINE, run="laptop", at_ns=now_ns - HOUR_NS))])
        ledger.append(
            [
                Declaration("steady", planned_flop=2 * LINE, planned_end=format_ns(now_ns + 40 * DAY_NS)).statement(
                    "me"
                ),
                Declaration("declared", planned_flop=LINE).statement("me"),
            ]
        )
        yield directory


@pytest.fixture(autouse=True)
def data_dir(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(served))


def ask(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["forecast", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def answers(*arguments: str) -> dict[str, dict[str, Any]]:
    found = json.loads(ask(*arguments, "--format", "json"))["forecasts"]
    assert all(tuple(row) == FORECAST_COLUMNS for row in found)
    return {row["threshold"]: row for row in found}


def test_every_line_that_matters_has_a_day_an_interval_and_a_probability() -> None:
    found = answers("steady")
    assert {"eu-aia-51-2", "ca-sb53", "kr-ai-basic", "ny-raise"} <= set(found)
    assert "us-eo14110-model" not in found
    near, far = found["eu-aia-51-2"], found["ca-sb53"]
    assert near["answer"] == "foreseen"
    assert near["early_at"] < near["expected_at"] < near["late_at"]
    assert 13 * DAY_NS < parse_ns(near["expected_at"]) - time.time_ns() < 17 * DAY_NS
    assert near["probability"] > 0.9
    assert near["line_flop"] == str(LINE)
    assert near["beyond_budget"] is False
    assert far["beyond_budget"] is True
    assert far["probability"] < 0.1
    assert near["until"] == far["until"]


@pytest.mark.parametrize(
    ("run", "answer"),
    [("young", "too young"), ("laptop", "bounds only"), ("declared", "not measured yet"), ("done", "not growing")],
)
def test_what_cannot_be_foreseen_is_said(run: str, answer: str) -> None:
    row = answers(run)["ca-sb53"]
    assert row["answer"] == answer
    assert row["expected_at"] is None


def test_a_line_that_is_behind_is_crossed_and_has_no_date() -> None:
    row = answers("done", "--threshold", "eu-aia-51-2")["eu-aia-51-2"]
    assert (row["answer"], row["expected_at"], row["probability"]) == ("crossed", None, 1.0)


def test_a_line_out_of_force_is_answered_when_it_is_asked_for() -> None:
    assert list(answers("steady", "--threshold", "us-eo14110-model")) == ["us-eo14110-model"]


def test_people_get_a_table_with_the_method_above_it() -> None:
    text = ask("steady")
    assert text.startswith("steady: growing, as of ")
    assert "hardware basis, method renewal/1" in text
    assert "foreseen" in text
    assert ask("steady", "--format", "csv").startswith(",".join(FORECAST_COLUMNS))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), "no run 'nobody'"),
        (("steady", "--threshold", "nowhere"), "no line 'nowhere'"),
        (("steady", "--threshold", "us-eo14110-cluster"), "line on a cluster"),
    ],
)
def test_a_run_or_line_that_is_not_there_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(Misconfigured, match=message):
        ask(*arguments)
