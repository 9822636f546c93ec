"""Exports as an SDK would send them, built by hand so that they can also be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from agent.reports.instruments import COMPUTE, TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping

START_NS = 1_700_000_000_000_000_000
CUMULATIVE = 2

RUN = {"flopledger.run.id": "r1", "service.instance.id": "p1"}


def attributes(values: Mapping[str, str | int]) -> list[KeyValue]:
    return [
        KeyValue(key=key, value=AnyValue(int_value=v) if isinstance(v, int) else AnyValue(string_value=v))
        for key, v in values.items()
    ]


def point(
    value: float, at_s: int = 1, start_ns: int = START_NS, own: Mapping[str, str | int] | None = None
) -> NumberDataPoint:
    data = NumberDataPoint(
        start_time_unix_nano=start_ns,
        time_unix_nano=start_ns + at_s * 1_000_000_000,
        attributes=attributes(own or {}),
    )
    if isinstance(value, int):
        data.as_int = value
    else:
        data.as_double = value
    return data


def compute(*points: NumberDataPoint, unit: str = "FLOP", temporality: int = CUMULATIVE) -> Metric:
    counter = Sum(data_points=points, is_monotonic=True)
    counter.aggregation_temporality = temporality  # type: ignore[assignment]  # an enum number, also a wrong one
    return Metric(name=COMPUTE, unit=unit, sum=counter)


def tokens(*points: NumberDataPoint) -> Metric:
    metric = compute(*points, unit="{token}")
    metric.name = TOKENS
    return metric


def export(*metrics: Metric, resource: Mapping[str, str | int] = RUN) -> ExportMetricsServiceRequest:
    return ExportMetricsServiceRequest(
        resource_metrics=[
            ResourceMetrics(
                resource=Resource(attributes=attributes(resource)), scope_metrics=[ScopeMetrics(metrics=metrics)]
            )
        ]
    )
