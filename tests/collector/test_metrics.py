from __future__ import annotations

import runpy
from pathlib import Path
from typing import get_args

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from collector.health import Health
from collector.metric_names import MetricName
from collector.notify.lane import Lane
from collector.quarantine import QuarantineClass
from collector.sources.memory import MemoryBroker
from collector.telemetry import Telemetry
from tests.collector.notify.world import Told
from wire.plausible import EXCLUSIONS, exclusion_kind

ROOT = Path(__file__).parents[2]
NAMES = set(get_args(MetricName))
TABLE = runpy.run_path(str(ROOT / "scripts" / "metrics_table.py"))
PAGE = (ROOT / "docs" / "collector.md").read_text("utf-8")


def test_the_table_of_metrics_is_up_to_date_and_complete() -> None:
    assert PAGE.endswith(TABLE["metrics_table"]())
    assert {name for name, *_ in TABLE["metrics"]()} == NAMES


def test_every_class_of_reason_is_explained() -> None:
    assert all(f"| `{reason}` |" in PAGE for reason in (*get_args(QuarantineClass), *EXCLUSIONS))


def test_a_reason_of_no_known_kind_is_counted_as_other() -> None:
    assert {exclusion_kind(f"{kind}: field") for kind in EXCLUSIONS} == set(EXCLUSIONS)
    assert exclusion_kind("anything: else") == "other"


def test_what_is_offered_is_what_is_listed() -> None:
    telemetry = Telemetry()
    telemetry.watch(MemoryBroker().source(), Health())
    telemetry.metrics.watch_deliveries([Lane(Told(), lambda attempts: None, lambda: 0, lambda: 0.0)], lambda: 0)
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)
    made = type(telemetry.metrics)(provider.get_meter("test"))
    made.committed(1, [])
    made.quarantined("schema")
    made.inserted(0.1)
    made.retried()
    made.assessed()
    data = reader.get_metrics_data()
    assert data is not None
    counted = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    offered = {name for name in NAMES if name.replace(".", "_") in telemetry.exposition().decode()}
    # Nothing was excluded, nothing assessed here, and the broker in memory keeps no times.
    silent = {f"flopledger.collector.{name}" for name in ("excluded", "assessment.age", "lag.age")}
    of_the_ledger = {name for name in NAMES if not name.startswith("flopledger.collector.")}
    assert counted | offered | silent | of_the_ledger == NAMES
    telemetry.close()
    provider.shutdown()
