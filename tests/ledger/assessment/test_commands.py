"""`flopledger alerts …` against a ledger that this process holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured
from ledger.assessment import commands
from ledger.declarations import Declaration
from ledger.errors import Refused
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from typer.testing import Result

    from ledger.ledger import Ledger


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("alerts")


@pytest.fixture(scope="module")
def there(directory: Path) -> Iterator[Ledger]:
    with held(directory) as ledger:
        ledger.append([Declaration("llama", planned_flop=38 * 10**24).statement("me")])
        take(ledger, [Chain().seal(meter(6 * 10**24, run="llama"))])
        ledger.raise_alerts("me")
        yield ledger


@pytest.fixture(autouse=True)
def here(there: Ledger, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del there
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(directory))


def say(*arguments: str) -> Result:
    return CliRunner().invoke(commands.app, list(arguments))


def rows(*arguments: str) -> list[dict[str, Any]]:
    said = say(*arguments, "--format", "json")
    assert said.exit_code == 0, said.exception
    found: list[dict[str, Any]] = json.loads(said.stdout)["alerts"]
    return found


def test_alerts_are_listed_in_the_order_of_raising_with_their_state() -> None:
    found = rows("list")
    assert {row["subject"] for row in found} == {"llama"}
    assert [row["percent"] for row in found if row["kind"] == "planned"] == [50, 75, 90, 100]
    assert {row["state"] for row in found} == {"raised"}
    assert {row["first_seen"] for row in found} == {"2026-11-23T14:26:40Z"}
    assert rows("list", "--all") == found


def test_one_is_shown_with_its_evidence_and_by_when_the_law_wants_to_know() -> None:
    (moment,) = [row for row in rows("list") if row["kind"] == "foreseeable"]
    (shown,) = rows("show", moment["alert_id"][:13])
    assert shown["notify_by"] == "2026-12-07T14:26:40Z"
    assert "two weeks" in shown["notification"]
    assert shown["evidence"]["journal_entry"] > 0
    assert moment["alert_id"] in say("show", moment["alert_id"]).stdout


def test_somebody_takes_one_on_once() -> None:
    alert = next(row["alert_id"] for row in rows("list") if row["kind"] == "estimate")
    assert "acknowledged in journal entry" in say("ack", alert, "--note", "told legal", "--author", "Ada").stdout
    assert "acknowledged already by Ada" in say("ack", alert, "--note", "me too", "--author", "Bob").stdout
    (shown,) = rows("show", alert)
    assert (shown["state"], shown["acknowledged_by"], shown["acknowledged_note"]) == (
        "acknowledged",
        "Ada",
        "told legal",
    )
    assert alert in {row["alert_id"] for row in rows("list")}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("show", "nothing-like-it"), "no alert 'nothing-like-it' is on record"),
        (("ack", "nothing-like-it", "--note", "x"), "no alert 'nothing-like-it' is on record"),
        (("show", ""), "more than one alert begins with ''"),
        (("simulate", "new"), "neither a pace nor a budget"),
        (("simulate", "new", "--planned-flop", "0", "--flop-per-hour", "1e20"), "a budget of 0 FLOP makes no sense"),
        (("simulate", "new", "--flop-per-hour", "fast"), "--flop-per-hour 'fast'"),
        (("simulate", "new", "--flop-per-hour=-1e20"), "less than nothing"),
        (("simulate", "new", "--flop-per-hour", "1e20", "--planned-end", "soon"), "--planned-end"),
    ],
)
def test_what_makes_no_sense_is_one_clear_sentence(arguments: tuple[str, ...], says: str) -> None:
    error = say(*arguments).exception
    assert isinstance(error, Misconfigured)
    assert says in str(error)


def test_a_budget_of_zero_cannot_be_declared(there: Ledger) -> None:
    with pytest.raises(Refused, match="a budget of 0 FLOP makes no sense"):
        Declaration("r", planned_flop=0).statement("me")


def test_a_plan_is_played_forward_and_nothing_is_written(there: Ledger) -> None:
    entries = there.query("SELECT count() FROM journal").rows
    found = [row for row in rows("simulate", "new", "--flop-per-hour", "1e22") if row["threshold"] == "eu-aia-51-2"]
    assert there.query("SELECT count() FROM journal").rows == entries
    at = [row["at"] for row in found]
    assert at == sorted(at)
    reached = {row["percent"]: row["at"] for row in found if row["kind"] == "estimate"}
    assert list(reached) == [50, 75, 90, 100]
    leads = {row["lead_days"]: row["at"] for row in found if row["lead_days"]}
    assert list(leads) == [30, 14, 7]
    (moment,) = [row for row in found if row["kind"] == "foreseeable"]
    assert moment["at"] < leads[30] < reached[50] < leads[14] < reached[75] < leads[7] < reached[100]
    planned = rows("simulate", "new", "--planned-flop", "2e25")
    assert {row["kind"] for row in planned} == {"planned", "foreseeable"}


def test_a_run_on_record_brings_its_total_and_its_budget() -> None:
    kinds = [(row["kind"], row["percent"]) for row in rows("simulate", "llama", "--flop-per-hour", "1e20")]
    assert ("planned", 100) in kinds
    assert ("estimate", 50) in kinds
