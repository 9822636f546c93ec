from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest

from collector import ledger_gauges
from collector.ledger_gauges import LedgerGauges
from collector.metric_names import MetricName
from collector.telemetry import Telemetry
from ledger.errors import Retry
from tests.collector.notify.world import raise_alert
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from tests.ledger.engine import Clock

LINE_FLOP = 10**25


def grow(ledger: Ledger, run: str, per_hour_flop: int, hours: int = 200) -> None:
    chain = Chain(len(run))
    readings = [(n * per_hour_flop, NOW_NS - (hours - n) * HOUR_NS) for n in range(1, hours + 1)]
    take(ledger, [chain.seal(meter(flop, at_ns=at_ns, run=run)) for flop, at_ns in readings])


def samples(telemetry: Telemetry) -> dict[str, float]:
    lines = telemetry.exposition().decode().splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[:1] != "#")}


def test_what_the_ledger_holds_can_be_alerted_on(ledger: Ledger, clock: Clock) -> None:
    ledger.publish_catalogue()
    grow(ledger, "r", 4 * 10**22)
    raise_alert(ledger, "a")
    telemetry = Telemetry()
    LedgerGauges(ledger, clock).offer(telemetry.metrics)
    found = samples(telemetry)
    assert found['flopledger_run_flop{basis="hardware",run="r"}'] == 8e24
    assert found['flopledger_run_flop_low{basis="hardware",run="r"}'] == 8e24
    assert found['flopledger_run_flop_high{basis="hardware",run="r"}'] == 8e24
    named = 'basis="hardware",subject="r",subject_kind="run",threshold="eu-aia-51-2"'
    assert found[f"flopledger_subject_fraction{{{named}}}"] == pytest.approx(0.8)
    assert found[f"flopledger_subject_fraction_high{{{named}}}"] == pytest.approx(0.8)
    expected_s = found['flopledger_run_crossing_seconds{end="expected",run="r",threshold="eu-aia-51-2"}']
    assert 40 * 3600 < expected_s < 60 * 3600
    assert found['flopledger_run_crossing_seconds{end="early",run="r",threshold="eu-aia-51-2"}'] <= expected_s
    assert found['flopledger_alerts_active{kind="estimate",state="raised"}'] == 1
    assert found['flopledger_gauges_left_out{what="runs"}'] == 0
    names = {name.partition("{")[0].removesuffix("_seconds") for name in found}
    assert {name.replace(".", "_") for name in get_args(MetricName) if ".collector." not in name} <= names
    telemetry.close()


def test_there_are_never_more_than_so_many_and_it_says_how_many_are_missing(
    ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_gauges, "MOST_RUNS", 3)
    monkeypatch.setattr(ledger_gauges, "MOST_FRACTIONS", 5)
    ledger.publish_catalogue()
    chain = Chain()
    take(ledger, [chain.seal(*(meter(n * 10**24, run=f"run-{n}") for n in range(1, 8)))])
    values = LedgerGauges(ledger, clock).values()
    assert {named["run"] for _, named in values.flop} == {"run-7", "run-6", "run-5"}
    assert len(values.fraction_high) == 5
    left_out = {named["what"]: value for value, named in values.left_out}
    assert left_out["runs"] == 4
    assert left_out["fractions"] > 7


def test_it_is_read_anew_when_it_is_old_and_only_by_the_writer(ledger: Ledger, clock: Clock) -> None:
    asked: list[str] = []

    class Counting:
        away = writer = True

        def query(self, sql: str, parameters: Any = None) -> Any:
            asked.append(sql)
            if self.away:
                raise Retry("away")
            return ledger.query(sql, parameters)

        def is_writer(self) -> bool:
            return self.writer

    reader, seconds = Counting(), [0.0]
    ledger.publish_catalogue()
    take(ledger, [Chain().seal(meter(10**24))])
    gauges = LedgerGauges(reader, clock, lambda: seconds[0])  # type: ignore[arg-type]
    assert gauges.values().flop_high == [], "a ledger that is away is no error of the scrape"
    reader.away = False
    assert gauges.values().flop_high == []
    seconds[0] += 31
    assert gauges.values().flop_high != []
    count = len(asked)
    gauges.values()
    assert len(asked) == count
    reader.writer = False
    assert gauges.values().flop_high == []
    assert len(asked) == count
