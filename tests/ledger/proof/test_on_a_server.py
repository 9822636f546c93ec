"""`verify`, `checkpoint` and `rebuild` of a ledger on a server, from a command beside its collectors."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from ledger.agents import FIRST_USE, enrolled
from ledger.commands import app
from ledger.evidence import Evidence
from ledger.ledger import Ledger
from ledger.migrate import migrate
from ledger.place import server
from ledger.rollups import Rollups
from ledger.store import Store
from tests.ledger.chains import HOUR_NS, Chain, meter
from wire.keys import load_or_create_key
from wire.opening import open_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wire.seal import Sealed

BATCHES = 30


@pytest.fixture(scope="module")
def ledger(clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger that a collector has filled and goes on holding, as the environment of commands names it."""
    key_file = tmp_path_factory.mktemp("keys") / "ledger.key"
    load_or_create_key(key_file)
    place = server(clickhouse_url, key_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOPLEDGER_CLICKHOUSE_URL", clickhouse_url)
        patch.setenv("FLOPLEDGER_LEDGER_KEY_FILE", str(key_file))
        with closing(Store.server(place)) as store:
            migrate(store)
        with closing(Ledger.open(place, time.time_ns)) as found:
            found.publish_catalogue()
            for number in (1, 2):
                chain = Chain(number)
                found.append([enrolled(chain.agent, FIRST_USE, "collector")])
                record(found, [chain.seal(reading(number, hour)) for hour in range(BATCHES)])
            yield found


def reading(number: int, hour: int) -> Any:
    at_ns = time.time_ns() // HOUR_NS * HOUR_NS - (BATCHES + 1 - hour) * HOUR_NS
    return meter((hour + 1) * 10**20, run=f"run-{number}", at_ns=at_ns, device=f"GPU-{number}")


def record(ledger: Ledger, sealed: list[Sealed]) -> None:
    items = [
        Evidence(one, open_batch(one), time.time_ns() // 1_000 * 1_000, "topic", 0, n, None)
        for n, one in enumerate(sealed)
    ]
    reasons = ledger.collisions(items)
    ledger.record([replace(item, excluded_reason=why) for item, why in zip(items, reasons, strict=True)])


def ask(*arguments: str, code: int = 0) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*arguments, "--format", "json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def totals(ledger: Ledger) -> Any:
    return ledger.query("SELECT run_id, flop, meters FROM run_totals ORDER BY run_id").rows


def test_it_is_in_order_says_so_and_what_is_not_is_found_and_made_anew(ledger: Ledger, clickhouse_url: str) -> None:
    store = ledger._store
    Rollups(store).refresh()
    found = ask("verify")
    assert (found["ok"], found["findings"]) == (True, [])
    assert found["batches"] == 2 * BATCHES
    before = totals(ledger)
    assert before == [("run-1", BATCHES * 10**20, 1), ("run-2", BATCHES * 10**20, 1)]
    store.command(
        "INSERT INTO meters SELECT * REPLACE (toUInt128(flop + 1) AS flop, toUInt128(flop_high + 1) AS flop_high) "
        "FROM meters FINAL WHERE run = 'run-2'"
    )
    assert totals(ledger) != before
    tampered = ask("verify", code=1)
    assert {finding["table"] for finding in tampered["findings"]} >= {"meters"}
    # A collector goes on meanwhile, on the same server.
    ledger.append([enrolled(Chain(3).agent, FIRST_USE, "collector")])
    record(ledger, [Chain(3).seal(reading(3, 0))])
    done = ask("rebuild")["rebuilt"][0]
    assert (done["batches"], done["readings"]) == (2 * BATCHES + 1, 2 * BATCHES + 1)
    assert totals(ledger) == [*before, ("run-3", 10**20, 1)]
    assert ask("verify")["ok"]
