from __future__ import annotations

import gzip
import http.client
import json
import logging
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.sdk.metrics import Counter, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from agent.errors import Fatal
from agent.reports.book import ReportBook
from agent.reports.decode import MAX_BODY_BYTES, Media, encode
from agent.reports.receiver import Receiver
from tests.agent.reports.exports import RUN, compute, export, point

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
GOOD = encode(export(compute(point(7))), Media.PROTOBUF)
DELTA = export(compute(point(7), temporality=1))
NEVER_MS = 1e12


@pytest.fixture
def book() -> ReportBook:
    return ReportBook()


@pytest.fixture
def receiver(book: ReportBook) -> Iterator[Receiver]:
    receiver = Receiver(book, port=0)
    receiver.start()
    yield receiver
    receiver.close()


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


def ask(
    receiver: Receiver,
    body: bytes = b"",
    headers: Mapping[str, str] = PROTOBUF,
    method: str = "POST",
    path: str = "/v1/metrics",
) -> Answer:
    connection = http.client.HTTPConnection(receiver.host, receiver.port, timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def flop(book: ReportBook) -> int:
    return sum(reported.flop for reported in book.take()[0])


def provider(receiver: Receiver, exporter: OTLPMetricExporter | None = None) -> MeterProvider:
    """The real SDK, exporting when told to."""
    exporter = exporter or OTLPMetricExporter(f"http://127.0.0.1:{receiver.port}/v1/metrics")
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=NEVER_MS)
    return MeterProvider([reader], resource=Resource.create(RUN), shutdown_on_exit=False)


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip])
def test_the_sdk_reports_and_nothing_is_lost_or_doubled(
    receiver: Receiver, book: ReportBook, compression: Compression
) -> None:
    endpoint = f"http://127.0.0.1:{receiver.port}/v1/metrics"
    sdk = provider(receiver, OTLPMetricExporter(endpoint, compression=compression))
    meter = sdk.get_meter("train")
    flops = meter.create_counter("flopledger.training.compute", unit="GFLOP")
    tokens = meter.create_counter("flopledger.training.tokens", unit="{token}")
    for step in range(5):
        flops.add(10**9 + step)
        tokens.add(4096)
        sdk.force_flush()
        sdk.force_flush()
    sdk.shutdown()
    [reported] = book.take()[0]
    assert reported.flop == reported.flop_low == reported.flop_high == (5 * 10**9 + 10) * 10**9
    assert reported.tokens == 5 * 4096
    assert reported.key.reporter == "reporter:p1"
    assert reported.observed_ns > 0


def test_an_agent_that_was_killed_goes_on_where_it_had_stored(receiver: Receiver, book: ReportBook) -> None:
    sdk = provider(receiver)
    counter = sdk.get_meter("train").create_counter("flopledger.training.compute", unit="FLOP")
    counter.add(100)
    sdk.force_flush()
    stored, state = book.take()
    counter.add(20)
    sdk.force_flush()  # heard, but never stored
    receiver.close()

    again = ReportBook()
    again.restore(json.loads(json.dumps(state)))
    successor = Receiver(again, port=receiver.port)
    successor.start()
    counter.add(3)
    sdk.shutdown()
    successor.close()
    assert sum(reported.flop for reported in (*stored, *again.take()[0])) == 123


def test_an_sdk_that_sends_deltas_is_told_so(
    receiver: Receiver, book: ReportBook, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = f"http://127.0.0.1:{receiver.port}/v1/metrics"
    deltas: dict[type, AggregationTemporality] = {Counter: AggregationTemporality.DELTA}
    sdk = provider(receiver, OTLPMetricExporter(endpoint, preferred_temporality=deltas))
    counter = sdk.get_meter("train").create_counter("flopledger.training.compute", unit="FLOP")
    with caplog.at_level(logging.WARNING, logger="agent.reports.endpoint"):
        for _ in range(2):
            counter.add(1)
            sdk.force_flush()
        sdk.shutdown()
    assert flop(book) == 0
    [told] = [r.getMessage() for r in caplog.records if r.name == "agent.reports.endpoint"]
    assert "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative" in told


FORKING = """
import os, sys
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

reader = PeriodicExportingMetricReader(OTLPMetricExporter(sys.argv[1]), export_interval_millis=1e12)
provider = MeterProvider([reader], resource=Resource.create({"flopledger.run.id": "r"}), shutdown_on_exit=False)
counter = provider.get_meter("train").create_counter("flopledger.training.compute", unit="FLOP")
counter.add(1000)
for worker in range(3):
    if os.fork() == 0:
        provider.force_flush()
        os._exit(0)
    os.wait()
counter.add(10)
provider.force_flush()
"""


def test_workers_forked_by_a_training_process_do_not_count_it_again(receiver: Receiver, book: ReportBook) -> None:
    endpoint = f"http://127.0.0.1:{receiver.port}/v1/metrics"
    subprocess.run([sys.executable, "-c", FORKING, endpoint], check=True, timeout=60)
    assert flop(book) == 1010


def test_a_json_client_needs_no_sdk(receiver: Receiver, book: ReportBook) -> None:
    name = {"key": "flopledger.run.id", "value": {"stringValue": "by-hand"}}
    data_point = {"startTimeUnixNano": "1", "timeUnixNano": "2", "asInt": "9007199254740993"}
    counter = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [data_point]}
    metric = {"name": "flopledger.training.compute", "unit": "TFLOP", "sum": counter}
    body = {"resourceMetrics": [{"resource": {"attributes": [name]}, "scopeMetrics": [{"metrics": [metric]}]}]}
    answer = ask(receiver, gzip.compress(json.dumps(body).encode()), JSON | {"Content-Encoding": "gzip"})
    assert (answer.status, answer.headers["Content-Type"], json.loads(answer.body)) == (200, "application/json", {})
    assert flop(book) == 9007199254740993 * 10**12


def test_an_accepted_export_is_answered_in_its_own_form(receiver: Receiver) -> None:
    answer = ask(receiver, GOOD)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/x-protobuf")
    assert ExportMetricsServiceResponse.FromString(answer.body) == ExportMetricsServiceResponse()


def test_refused_points_are_a_partial_success(receiver: Receiver) -> None:
    answer = ask(receiver, encode(DELTA, Media.PROTOBUF))
    partial = ExportMetricsServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_data_points) == (200, 1)
    assert "cumulative" in partial.error_message


def test_a_partial_success_in_json_has_its_count_as_a_string(receiver: Receiver) -> None:
    answer = ask(receiver, encode(DELTA, Media.JSON), JSON)
    assert json.loads(answer.body)["partialSuccess"]["rejectedDataPoints"] == "1"


@pytest.mark.parametrize(
    ("request_", "status", "part"),
    [
        ({"path": "/v1/traces"}, 404, "/v1/metrics"),
        ({"method": "GET"}, 405, "POST"),
        ({"body": b"\xff"}, 400, "not an OTLP metrics export"),
        ({"body": b"{", "headers": JSON}, 400, "not an OTLP metrics export"),
        ({"body": b"x", "headers": PROTOBUF | {"Content-Encoding": "gzip"}}, 400, "not gzip"),
        ({"body": b"x", "headers": {"Content-Type": "text/plain"}}, 415, "application/x-protobuf"),
        ({"body": b"x", "headers": PROTOBUF | {"Content-Encoding": "br"}}, 415, "gzip"),
        ({"body": bytes(MAX_BODY_BYTES + 1)}, 413, "4194304"),
    ],
)
def test_another_request_is_told_what_is_wrong(
    receiver: Receiver, book: ReportBook, request_: dict[str, object], status: int, part: str
) -> None:
    answer = ask(receiver, **request_)  # type: ignore[arg-type]
    assert answer.status == status
    if answer.headers["Content-Type"] == "application/json":
        message = json.loads(answer.body)["message"]
    else:
        message = Status.FromString(answer.body).message
    assert part in message
    assert book.take()[0] == []


def test_a_refused_method_says_which_is_allowed(receiver: Receiver) -> None:
    assert ask(receiver, method="PUT").headers["Allow"] == "POST"


def test_a_body_in_chunks_is_read(receiver: Receiver, book: ReportBook) -> None:
    connection = http.client.HTTPConnection(receiver.host, receiver.port, timeout=30)
    connection.request("POST", "/v1/metrics", iter([GOOD[:10], GOOD[10:]]), PROTOBUF, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert flop(book) == 7


@pytest.fixture
def guarded(book: ReportBook) -> Iterator[Receiver]:
    receiver = Receiver(book, port=0, token="s3cret")
    receiver.start()
    yield receiver
    receiver.close()


@pytest.mark.parametrize("authorization", [None, "s3cret", "Bearer", "Bearer wrong", "Basic s3cret", "Bearer s3crét"])
def test_without_the_token_nothing_is_counted(guarded: Receiver, book: ReportBook, authorization: str | None) -> None:
    headers = PROTOBUF if authorization is None else PROTOBUF | {"Authorization": authorization}
    answer = ask(guarded, GOOD, headers)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert flop(book) == 0


def test_the_sdk_bears_the_token_from_its_environment(
    guarded: Receiver, book: ReportBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
    sdk = provider(guarded)
    sdk.get_meter("train").create_counter("flopledger.training.compute", unit="FLOP").add(5)
    sdk.shutdown()
    assert flop(book) == 5


def test_beyond_loopback_a_token_is_needed(book: ReportBook) -> None:
    with pytest.raises(Fatal, match="token"):
        Receiver(book, host="0.0.0.0")
    Receiver(book, host="0.0.0.0", token="t")


def test_a_host_that_is_no_address_is_fatal(book: ReportBook) -> None:
    with pytest.raises(Fatal, match="'here' is not an IP address"):
        Receiver(book, host="here")


def test_a_port_that_is_taken_is_fatal(receiver: Receiver, book: ReportBook) -> None:
    with pytest.raises(Fatal, match=f"port {receiver.port}: Address already in use"):
        Receiver(book, port=receiver.port).start()


def test_it_listens_on_ipv6_loopback(book: ReportBook) -> None:
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this kernel has no IPv6")
    receiver = Receiver(book, host="::1", port=0)
    receiver.start()
    assert ask(receiver, GOOD).status == 200
    receiver.close()


def test_once_closed_the_port_is_free_and_it_can_start_again(book: ReportBook) -> None:
    receiver = Receiver(book, port=0)
    receiver.close()
    receiver.start()
    with socket.create_connection((receiver.host, receiver.port), timeout=30):  # left open by the client
        receiver.close()
    receiver.close()
    receiver.start()
    assert ask(receiver, GOOD).status == 200
    receiver.close()
    with pytest.raises(ConnectionRefusedError):
        ask(receiver, GOOD)
