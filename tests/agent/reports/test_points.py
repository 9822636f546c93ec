from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint

from agent.reports.instruments import COMPUTE
from agent.reports.points import Point, read_points
from agent.reports.refusal import Refusals, Tally
from tests.agent.reports.exports import RUN, START_NS, attributes, compute, export, point, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


def read(request: ExportMetricsServiceRequest) -> tuple[list[Point], Refusals]:
    tally = Tally()
    return list(read_points(request, "node-7", tally)), tally.refusals()


def refusal(metric: Metric, resource: Mapping[str, str | int] = RUN) -> str:
    points, refusals = read(export(metric, resource=resource))
    assert not points
    assert refusals.rejected == 1
    return refusals.message


def only(metric: Metric, resource: Mapping[str, str | int] = RUN) -> Point:
    points, refusals = read(export(metric, resource=resource))
    assert refusals == Refusals(0, "")
    assert len(points) == 1
    return points[0]


def ranked(rank: int) -> dict[str, str | int]:
    return {**RUN, "rank": rank}


@pytest.mark.parametrize(
    ("unit", "flop"),
    [("FLOP", 3), ("{FLOP}", 3), ("GFLOP", 3 * 10**9), ("{TFLOP}", 3 * 10**12), ("PFLOP", 3 * 10**15)],
)
def test_compute_is_read_in_its_unit(unit: str, flop: int) -> None:
    assert only(compute(point(3), unit=unit)).amount.point == flop


@pytest.mark.parametrize("unit", ["", "flop", "FLOPS", "FLOP/s", "EFLOP", "1", "{}", "{{FLOP}}"])
def test_another_unit_is_refused_by_name(unit: str) -> None:
    assert "'FLOP', 'GFLOP', 'TFLOP', 'PFLOP'" in refusal(compute(point(3), unit=unit))


def test_a_delta_is_refused_with_what_to_set() -> None:
    message = refusal(compute(point(3), temporality=1))
    assert "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative" in message


def test_an_unspecified_temporality_is_refused() -> None:
    assert "cumulative" in refusal(compute(point(3), temporality=0))


def test_what_can_go_down_is_refused() -> None:
    metric = compute(point(3))
    metric.sum.is_monotonic = False
    assert "create_counter" in refusal(metric)


@pytest.mark.parametrize(
    "metric",
    [
        Metric(name=COMPUTE, unit="FLOP", gauge=Gauge(data_points=[NumberDataPoint(as_int=1)])),
        Metric(name=COMPUTE, unit="FLOP", histogram=Histogram(data_points=[HistogramDataPoint()])),
    ],
)
def test_a_gauge_or_histogram_of_this_name_is_refused(metric: Metric) -> None:
    assert "create_counter" in refusal(metric)


def test_a_metric_of_ours_without_data_is_no_point() -> None:
    assert read(export(Metric(name=COMPUTE))) == ([], Refusals(0, ""))


def test_other_metrics_pass_in_silence_even_without_a_run() -> None:
    assert read(export(Metric(name="loss", gauge=Gauge(data_points=[point(1.0)])), resource={})) == (
        [],
        Refusals(0, ""),
    )


@pytest.mark.parametrize("run", ["", "x" * 513, "unattributed"])
def test_a_run_must_be_named(run: str) -> None:
    assert "OTEL_RESOURCE_ATTRIBUTES=flopledger.run.id=" in refusal(compute(point(1)), {"flopledger.run.id": run})


def test_without_a_run_every_point_is_refused() -> None:
    points, refusals = read(export(compute(point(1), point(2)), tokens(point(3)), resource={"host.name": "a"}))
    assert not points
    assert refusals.rejected == 3


def test_what_is_not_said_has_its_default() -> None:
    key = only(compute(point(1))).key
    assert (key.run, key.model, key.purpose, key.dtype, key.method) == (
        "r1",
        None,
        "pre-training",
        "undeclared",
        "reported-rank",
    )


def test_what_is_said_is_kept() -> None:
    resource = RUN | {
        "flopledger.model.id": "m",
        "flopledger.purpose": "rl",
        "flopledger.dtype": "bf16",
        "flopledger.scope": "run",
    }
    key = only(compute(point(1)), resource).key
    assert (key.model, key.purpose, key.dtype, key.method) == ("m", "rl", "bf16", "reported-run")


def test_a_points_own_scope_goes_before_the_resources() -> None:
    request = compute(point(1, own={"flopledger.scope": "rank"}))
    assert only(request, RUN | {"flopledger.scope": "run"}).key.method == "reported-rank"


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("flopledger.dtype", "float32", "fp64, fp32, tf32, bf16"),
        ("flopledger.scope", "node", "neither 'rank' nor 'run'"),
        ("flopledger.purpose", "x" * 65, "more than 64"),
        ("flopledger.model.id", "x" * 513, "more than 512"),
    ],
)
def test_a_wrong_attribute_is_refused_with_what_it_may_be(name: str, value: str, part: str) -> None:
    assert part in refusal(compute(point(1)), RUN | {name: value})


def test_an_attribute_of_another_type_is_refused() -> None:
    request = export(compute(point(1)))
    request.resource_metrics[0].resource.attributes[0].value.bool_value = True
    assert "must be a string" in read(request)[1].message


def test_a_number_may_name_a_run() -> None:
    assert only(compute(point(1)), {"flopledger.run.id": 1234}).key.run == "1234"


@pytest.mark.parametrize(
    ("resource", "reporter"),
    [
        ({"service.instance.id": "a-1", "process.pid": 7}, "reporter:a-1"),
        ({"process.pid": 7, "host.name": "h"}, "reporter:h:7"),
        ({"process.pid": 7}, "reporter:node-7:7"),
    ],
)
def test_a_reporter_is_named_as_well_as_it_names_itself(resource: dict[str, str | int], reporter: str) -> None:
    assert only(compute(point(1)), {"flopledger.run.id": "r"} | resource).key.reporter == reporter


@pytest.mark.parametrize("resource", [{"host.name": "h"}, {"service.instance.id": "x" * 600}])
def test_a_reporter_without_a_usable_name_is_named_by_its_attributes(resource: dict[str, str | int]) -> None:
    forwards: dict[str, str | int] = {"flopledger.run.id": "r", **resource}
    backwards: dict[str, str | int] = {**resource, "flopledger.run.id": "r"}
    named = only(compute(point(1)), forwards).key.reporter
    assert named == only(compute(point(1)), backwards).key.reporter
    assert len(named) == len("reporter:") + 16


def test_a_value_without_a_start_is_refused() -> None:
    assert "start_time_unix_nano" in refusal(compute(point(1, start_ns=0)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, -1])
def test_a_value_that_is_no_amount_is_refused(value: float) -> None:
    assert COMPUTE in refusal(compute(point(value)))


def test_a_point_without_a_value_is_refused() -> None:
    assert "without a value" in refusal(compute(NumberDataPoint(start_time_unix_nano=START_NS)))


def test_a_point_marked_as_not_recorded_is_passed_over() -> None:
    missing = NumberDataPoint(start_time_unix_nano=START_NS, flags=1)
    assert read(export(compute(missing))) == ([], Refusals(0, ""))


def test_a_stream_is_the_same_whatever_the_order_of_attributes() -> None:
    there = only(compute(point(1, own={"a": "1", "b": "2"})), RUN | {"x": "1", "y": "2"})
    back = only(compute(point(1, own={"b": "2", "a": "1"})), {"y": "2", "x": "1"} | RUN)
    assert there == back


@pytest.mark.parametrize(
    "other",
    [
        compute(point(1, start_ns=START_NS + 1)),
        compute(point(1, own={"phase": "b"})),
        compute(point(1), unit="GFLOP"),
        tokens(point(1)),
    ],
)
def test_what_differs_is_another_stream(other: Metric) -> None:
    assert only(compute(point(1))).stream != only(other).stream


def test_another_library_in_the_same_process_is_another_stream() -> None:
    request = export(compute(point(1)))
    [before], _ = read(request)
    scope = request.resource_metrics[0].scope_metrics[0].scope
    for change in ({"name": "a"}, {"version": "2"}, {"attributes": attributes({"a": 1})}):
        scope.CopyFrom(InstrumentationScope(**change))
        assert read(request)[0][0].stream != before.stream


def test_another_rank_is_another_stream() -> None:
    assert only(compute(point(1)), ranked(0)).stream != only(compute(point(1)), ranked(1)).stream


def test_a_fork_of_a_process_is_the_same_stream() -> None:
    child: dict[str, str | int] = {**RUN, "service.instance.id": "p2", "process.pid": 8, "process.parent_pid": 7}
    assert only(compute(point(1))).stream == only(compute(point(1)), child).stream


def test_only_the_first_reasons_are_told_but_all_points_are_counted() -> None:
    metrics = [compute(point(1), unit=f"u{n}") for n in range(20)]
    refusals = read(export(*metrics))[1]
    assert refusals.rejected == 20
    assert refusals.message.count("; ") == 4
