from __future__ import annotations

import contextlib
import gzip
import json
import tracemalloc
from http import HTTPStatus

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from agent.reports.decode import MAX_BODY_BYTES, Media, decode, encode, media_of, unpack
from agent.reports.refusal import Declined
from tests.agent.reports.exports import compute, export, point, tokens

REQUEST = export(compute(point(2**62), point(0.5)), tokens(point(3)))


@pytest.mark.parametrize("media", Media)
def test_an_export_survives_both_forms(media: Media) -> None:
    assert decode(encode(REQUEST, media), media) == REQUEST


def test_json_is_read_as_sdks_write_it() -> None:
    written = json.loads(json_format.MessageToJson(REQUEST))
    written["resourceMetrics"][0]["aKeyOfTheFuture"] = {"x": 1}
    metric = written["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]
    metric["sum"]["aggregationTemporality"] = 2
    metric["sum"]["dataPoints"][0]["exemplars"] = [
        {"asInt": "1", "spanId": "eee19b7ec3c1b174", "traceId": "5b8efff798038103d269b633813fc60c"}
    ]
    request = decode(json.dumps(written).encode(), Media.JSON)
    point_read = request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0]
    assert point_read.as_int == 2**62


@pytest.mark.parametrize(
    ("content_type", "media"),
    [
        ("application/x-protobuf", Media.PROTOBUF),
        ("application/json; charset=utf-8", Media.JSON),
        (" Application/JSON ", Media.JSON),
    ],
)
def test_content_types_are_matched_as_http_says(content_type: str, media: Media) -> None:
    assert media_of(content_type) is media


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/protobuf"])
def test_another_content_type_is_declined(content_type: str) -> None:
    with pytest.raises(Declined, match="neither application/x-protobuf nor application/json") as caught:
        media_of(content_type)
    assert caught.value.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


@given(st.binary(max_size=2_000), st.binary(max_size=2_000))
def test_gzip_is_unpacked_in_one_member_or_more(first: bytes, second: bytes) -> None:
    assert unpack(gzip.compress(first) + gzip.compress(second), "gzip") == first + second


def test_a_body_of_the_limit_passes_and_one_byte_more_does_not() -> None:
    most = bytes(MAX_BODY_BYTES)
    assert unpack(most, "identity") == most
    assert unpack(gzip.compress(most), "GZIP") == most
    for body, encoding in ((most + b"\0", ""), (gzip.compress(most + b"\0"), "gzip")):
        with pytest.raises(Declined, match="more than 4194304 bytes") as caught:
            unpack(body, encoding)
        assert caught.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_a_gzip_bomb_is_not_unpacked_past_the_limit() -> None:
    bomb = gzip.compress(bytes(16 * MAX_BODY_BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(Declined, match="more than"):
            unpack(bomb, "gzip")
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BODY_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "body",
    [b"plain", gzip.compress(b"x" * 99)[:-9], gzip.compress(b"x" * 99)[:-1] + b"!"],
    ids=["plain", "cut", "wrong length"],
)
def test_what_is_not_gzip_is_declined(body: bytes) -> None:
    with pytest.raises(Declined, match="not gzip"):
        unpack(body, "gzip")


def test_another_encoding_is_declined() -> None:
    with pytest.raises(Declined, match="neither gzip nor identity") as caught:
        unpack(b"", "br")
    assert caught.value.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE


@given(st.binary(max_size=200), st.sampled_from(Media))
def test_any_bytes_are_an_export_or_declined(body: bytes, media: Media) -> None:
    with contextlib.suppress(Declined):
        decode(body, media)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '"x"',
        "null",
        '{"resourceMetrics": {"\\ud800": 1}}',
        '{"\\ud800": 1, "\\ud800": 2}',
        '{"a":' * 100_000,
        '{"resourceMetrics":' + "[" * 500 + "]" * 500 + "}",
        '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"asInt":1e99}]}}]}]}]}',
        '{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"sum":{"dataPoints":[{"asInt":' + "9" * 5_000 + "}]}}]}]}]}",
    ],
)
def test_json_that_is_no_export_is_declined(text: str) -> None:
    with pytest.raises(Declined, match="not an OTLP metrics export in application/json") as caught:
        decode(text.encode(), Media.JSON)
    assert caught.value.status == HTTPStatus.BAD_REQUEST
    assert str(caught.value).encode()
