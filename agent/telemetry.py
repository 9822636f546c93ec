"""What the agent says of itself, by opentelemetry-sdk: read from its state when somebody asks, never on the hot path.

Prometheus scrapes it on `metrics_port`; with `OTEL_EXPORTER_OTLP_ENDPOINT` in the environment it is pushed there too.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from agent.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.main import Agent
    from agent.outbox import Outbox

PUSH_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


def start_telemetry(
    agent: Agent, outbox: Outbox, metrics_port: int, outage_s: Callable[[], float] | None = None
) -> Callable[[], None]:
    """Expose the agent's own metrics; returns what stops it. Without a port and an endpoint nothing is started.

    `outage_s` says for how long nothing could be shipped; None where nothing is shipped.
    """
    readers: list[MetricReader] = []
    if metrics_port:
        readers.append(_prometheus_reader(metrics_port))
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


def _prometheus_reader(port: int) -> MetricReader:
    from opentelemetry.exporter.prometheus import PrometheusMetricReader  # noqa: PLC0415
    from prometheus_client import start_http_server  # noqa: PLC0415

    try:
        start_http_server(port, "127.0.0.1")
    except OSError as error:
        raise Fatal(f"FLOPLEDGER_METRICS_PORT: port {port}: {error.strerror}; choose another, or 0 for none") from error
    return PrometheusMetricReader()
