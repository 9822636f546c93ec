"""The collector's metrics on their way out: Prometheus asks the endpoint, OTLP is pushed.

With `OTEL_EXPORTER_OTLP_ENDPOINT` in the environment they are pushed there, with or without an endpoint of ours.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

from collector.metrics import Metrics

if TYPE_CHECKING:
    from collector.health import Health
    from collector.sources.interface import Source

PUSH_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


class Telemetry:
    """Metrics with somewhere to go."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        readers: list[MetricReader] = [PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)]
        if os.environ.get(PUSH_ENDPOINT):
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

            readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
        resource = Resource.create({"service.name": "flopledger-collector"})
        self._provider = MeterProvider(readers, resource, shutdown_on_exit=False)
        self.metrics = Metrics(self._provider.get_meter("flopledger.collector"))

    def watch(self, source: Source, health: Health) -> None:
        """Offer what these know, whenever somebody asks."""
        gauge = self.metrics.gauge
        gauge("flopledger.collector.lag.messages", "{message}", lambda: source.lag().messages)
        gauge("flopledger.collector.lag.age", "s", lambda: source.lag().seconds)
        gauge("flopledger.collector.partitions", "{partition}", lambda: len(source.owned()))
        gauge("flopledger.collector.commit.age", "s", health.commit_age_s)
        gauge("flopledger.collector.assessment.age", "s", health.assessment_age_s)
        gauge("flopledger.collector.beat.age", "s", health.beat_age_s)
        gauge("flopledger.collector.ready", "1", lambda: int(health.trouble() is None))

    def exposition(self) -> bytes:
        """All of it as Prometheus scrapes it."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """Push what is left, and stop."""
        self._provider.shutdown()
