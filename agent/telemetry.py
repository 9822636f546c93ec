"""What the agent says of itself, by opentelemetry-sdk: read from its state when somebody asks, never on the hot path.

Prometheus scrapes it from the endpoint; with `OTEL_EXPORTER_OTLP_ENDPOINT` in the environment it is pushed there too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.main import Agent
    from agent.outbox import Outbox

PUSH_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def start_telemetry(
    agent: Agent, outbox: Outbox, outage_s: Callable[[], float] | None = None, *, exposed: bool = False
) -> Callable[[], None]:
    """Register the agent's own metrics; returns what stops it. With nobody to tell them to nothing is started.

    `exposed` says that an endpoint serves Prometheus's registry.

    `outage_s` says for how long nothing could be shipped; None where nothing is shipped.
    """
    readers: list[MetricReader] = []
    if exposed:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415

        readers.append(PrometheusMetricReader())
    if os.environ.get(PUSH_ENDPOINT):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    if not readers:
        return lambda: None
    provider = MeterProvider(readers, Resource.create({"service.name": "flopledger-agent"}), shutdown_on_exit=False)
    meter = provider.get_meter("flopledger.agent")

    def counter(name: str, read: Callable[[], int], description: str) -> None:
        meter.create_observable_counter(name, [_observe(read)], description=description)

    def gauge(name: str, read: Callable[[], float], unit: str, description: str) -> None:
        meter.create_observable_gauge(name, [_observe(read)], unit=unit, description=description)

    counter("flopledger.agent.ticks", lambda: agent.ticks, "samples of all devices")
    counter("flopledger.agent.batches", lambda: outbox.next_seq, "batches sealed in the life of this chain")
    gauge("flopledger.agent.devices", lambda: len(agent.devices), "{device}", "devices measured now")
    gauge(
        "flopledger.agent.devices.silent", lambda: agent.silent_devices, "{device}", "devices that cannot be read now"
    )
    gauge("flopledger.agent.outbox.batches", outbox.stored_batches, "{batch}", "batches that nobody acknowledged yet")
    gauge("flopledger.agent.outbox.size", outbox.stored_bytes, "By", "bytes of those batches")
    if outage_s is not None:
        gauge("flopledger.agent.outage", outage_s, "s", "for how long nothing could be shipped")
    return provider.shutdown


def _observe(read: Callable[[], float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def callback(options: CallbackOptions) -> Iterable[Observation]:
        del options
        return [Observation(read())]

    return callback
