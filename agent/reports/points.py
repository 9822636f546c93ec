"""Reading an export: the data points that are ours, each with its meter, its stream and its exact amount.

A stream is one counter of one process, from its start to its end: resource, scope, instrument, attributes and start
time. Of the resource, `service.instance.id` and `process.*` are left out. A forked child (a data loader's worker)
inherits the parent's counters, and its SDK exports them again, with the same start time and value but under a fresh
instance id: as a stream of its own, every fork would count the whole run once more. Processes that are not forks of
one another differ in their start time, which is in nanoseconds.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.reports.amount import Amount, of_double, of_integer
from agent.reports.identity import canonical, digest
from agent.reports.instruments import UNITS, unit_size
from agent.reports.refusal import Refused, Tally
from agent.reports.source import MAX_PURPOSE_CHARS, ReportKey, Source, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
    from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics

_CUMULATIVE = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE
_NO_RECORDED_VALUE = 1  # DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_IDENTITY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Point:
    """The cumulative `amount` of `stream` at `at_ns`; `start_ns` is when it was zero. Both are Unix time."""

    key: ReportKey
    instrument: str
    stream: str
    start_ns: int
    at_ns: int
    amount: Amount


def read_points(request: ExportMetricsServiceRequest, node: str, tally: Tally) -> Iterator[Point]:
    """The points of `request` that can be counted; those of ours that cannot are told to `tally`.

    Metrics of other names pass in silence. `node` names the host of a reporter that does not say its own.
    """
    for resource_metrics in request.resource_metrics:
        ours = _ours(resource_metrics)
        if not ours:
            continue
        try:
            source = read_source(resource_metrics.resource.attributes, node)
        except Refused as refused:
            tally.refuse(sum(_count(metric) for _, metric in ours), str(refused))
            continue
        for scope, metric in ours:
            try:
                unit = _unit(metric)
            except Refused as refused:
                tally.refuse(_count(metric), str(refused))
                continue
            counter = _counter(source, scope, metric)
            for point in metric.sum.data_points:
                if point.flags & _NO_RECORDED_VALUE:
                    continue
                try:
                    yield _point(point, metric.name, unit, source, counter)
                except Refused as refused:
                    tally.refuse(1, str(refused))


def _ours(resource_metrics: ResourceMetrics) -> list[tuple[InstrumentationScope, Metric]]:
    return [
        (scope_metrics.scope, metric)
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
        if metric.name in UNITS
    ]


def _unit(metric: Metric) -> int:
    if metric.WhichOneof("data") != "sum" or not metric.sum.is_monotonic:
        raise Refused(f"{metric.name} must be a monotonic sum: create it with create_counter")
    if metric.sum.aggregation_temporality != _CUMULATIVE:
        raise Refused(
            f"{metric.name} must be cumulative, since a retried delta counts twice: "
            "set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"
        )
    unit = unit_size(metric.name, metric.unit)
    if unit is None:
        known = ", ".join(repr(name) for name in UNITS[metric.name])
        raise Refused(f"{metric.name}: unit {metric.unit[:MAX_PURPOSE_CHARS]!r} is none of {known}")
    return unit


def _counter(source: Source, scope: InstrumentationScope, metric: Metric) -> bytes:
    """One instrument of one source: what all its streams share."""
    return digest(
        source.identity,
        scope.name.encode(),
        scope.version.encode(),
        canonical(scope.attributes),
        metric.name.encode(),
        metric.unit.encode(),
    )


def _point(point: NumberDataPoint, instrument: str, unit: int, source: Source, counter: bytes) -> Point:
    if not point.start_time_unix_nano:
        raise Refused(f"{instrument}: without start_time_unix_nano a restart looks like a retry")
    stream = digest(counter, canonical(point.attributes), point.start_time_unix_nano.to_bytes(8))
    return Point(
        key=source.key(point.attributes),
        instrument=instrument,
        stream=urlsafe_b64encode(stream[:_IDENTITY_BYTES]).rstrip(b"=").decode(),
        start_ns=point.start_time_unix_nano,
        at_ns=point.time_unix_nano,
        amount=_amount(point, instrument, unit),
    )


def _amount(point: NumberDataPoint, instrument: str, unit: int) -> Amount:
    kind = point.WhichOneof("value")
    try:
        if kind == "as_int":
            return of_integer(point.as_int, unit)
        if kind == "as_double":
            return of_double(point.as_double, unit)
    except ValueError as error:
        raise Refused(f"{instrument}: {error}") from error
    raise Refused(f"{instrument}: a data point without a value")


def _count(metric: Metric) -> int:
    data = metric.WhichOneof("data")
    return len(getattr(metric, data).data_points) if data else 0
