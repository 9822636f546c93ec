from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.endpoint import Endpoint
from collector.errors import Fatal
from collector.main import Collector
from collector.telemetry import Telemetry
from ledger.errors import Retry as LedgerRetry
from tests.collector.rig import Failing, Rig, spoilt
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.store import Store
    from tests.ledger.engine import Clock

HOST = "127.0.0.1"


@pytest.fixture
def rig(store: Store, clock: Clock) -> Rig:
    return Rig(store, clock)


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    made = Telemetry()
    yield made
    made.close()


@pytest.fixture
def endpoint(rig: Rig, clock: Clock, telemetry: Telemetry) -> Iterator[Endpoint]:
    rig.collector = Collector(rig.source, rig.ledger, rig.quarantine, rig.told.extend, clock, metrics=telemetry.metrics)
    telemetry.watch(rig.source, rig.collector.health)
    served = Endpoint(HOST, 0, rig.collector.health, telemetry, rig.ledger)
    served.start()
    yield served
    served.stop()


def get(endpoint: Endpoint, path: str) -> tuple[int, str]:
    answer = httpx.get(f"http://{HOST}:{endpoint.port}{path}", timeout=30)
    return answer.status_code, answer.text


def once(_: float) -> bool:
    return True


def test_it_is_ready_once_a_round_went_through_and_not_while_the_ledger_is_away(endpoint: Endpoint, rig: Rig) -> None:
    assert get(endpoint, "/readyz") == (503, "not connected yet\n")
    rig.collector.run(once, 5)
    assert get(endpoint, "/readyz") == (200, "ok\n")
    rig.collector._ledger = Failing(rig.ledger, "answer_requests", LedgerRetry("the server is away"))  # type: ignore[assignment]
    rig.collector.run(once, 5)
    assert get(endpoint, "/readyz") == (503, "the server is away\n")
    assert get(endpoint, "/healthz") == (200, "ok\n"), "to restart it would mend nothing"
    rig.collector.run(once, 5)
    assert get(endpoint, "/readyz") == (200, "ok\n")


def test_a_ledger_that_does_not_answer_is_noticed_though_nothing_is_recorded(
    rig: Rig, clock: Clock, telemetry: Telemetry
) -> None:
    rig.collector.run(once, 5)
    served = Endpoint(
        HOST, 0, rig.collector.health, telemetry, Failing(rig.ledger, "query", LedgerRetry("disk is gone"))
    )
    served.start()
    assert get(served, "/readyz") == (503, "disk is gone\n")
    served.stop()


def test_a_main_loop_that_is_stuck_is_not_alive(endpoint: Endpoint, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rig.collector.health, "_beat_s", -(10.0**9))
    code, text = get(endpoint, "/healthz")
    assert (code, text.startswith("the main loop has not come by")) == (503, True)


def test_metrics_count_what_became_of_every_message(endpoint: Endpoint, rig: Rig) -> None:
    chains = [Chain(0), Chain(1)]
    rig.send(chains[0].seal(meter(5), meter(6, run="s")), spoilt(chains[0].seal(meter(7))))
    rig.send(chains[1].seal(meter(5), sealed_at_ns=NOW_NS + HOUR_NS))
    rig.collector.run(once, 5)
    code, text = get(endpoint, "/metrics")
    assert code == 200
    found = {
        (sample.name.removeprefix("flopledger_collector_"), sample.labels.get("reason")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    expected = {
        ("messages_total", None): 3,
        ("batches_total", None): 2,
        ("readings_total", None): 3,
        ("quarantined_total", "unauthentic"): 1,
        ("excluded_total", "future"): 1,
        ("partitions", None): 1,
        ("lag_messages", None): 0,
        ("ready", None): 1,
        ("insert_duration_seconds_count", None): 1,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert found["commit_age_seconds", None] < 60


def test_a_port_that_is_taken_is_said(endpoint: Endpoint, rig: Rig, telemetry: Telemetry) -> None:
    with pytest.raises(Fatal, match="FLOPLEDGER_COLLECTOR_PORT"):
        Endpoint(HOST, endpoint.port, rig.collector.health, telemetry, rig.ledger)
