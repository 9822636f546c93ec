"""From the bytes of a request to a message, in either of OTLP/HTTP's two forms, and answers back in the same form."""

from __future__ import annotations

import gzip
import io
import zlib
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from agent.reports.refusal import Declined

if TYPE_CHECKING:
    from google.protobuf.message import Message

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Of a body, as sent and as unpacked. One process reports two numbers: a real export has a few hundred bytes."""


class Media(StrEnum):
    """The two forms of OTLP over HTTP."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


def media_of(content_type: str) -> Media:
    """The form that a Content-Type header names; parameters such as charset do not matter."""
    bare = content_type.partition(";")[0].strip().lower()
    try:
        return Media(bare)
    except ValueError:
        reason = f"Content-Type {bare[:64]!r} is neither {Media.PROTOBUF} nor {Media.JSON}"
        raise Declined(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason) from None


def unpack(body: bytes, content_encoding: str) -> bytes:
    """`body` without its Content-Encoding: gzip, or none. No more than the limit is ever unpacked."""
    encoding = content_encoding.strip().lower()
    if encoding == "gzip":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(body)) as packed:
                body = packed.read(MAX_BODY_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise Declined(HTTPStatus.BAD_REQUEST, f"not gzip: {error}") from error
    elif encoding not in {"", "identity"}:
        reason = f"Content-Encoding {encoding[:64]!r} is neither gzip nor identity"
        raise Declined(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)
    if len(body) > MAX_BODY_BYTES:
        raise Declined(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MAX_BODY_BYTES} bytes")
    return body


def decode(body: bytes, media: Media) -> ExportMetricsServiceRequest:
    """The export in an unpacked body."""
    request = ExportMetricsServiceRequest()
    try:
        if media is Media.JSON:
            if not body.lstrip().startswith(b"{"):
                raise ValueError("not a JSON object")
            json_format.Parse(body.decode(), request, ignore_unknown_fields=True)
        else:
            request.ParseFromString(body)
    except (DecodeError, json_format.ParseError, ValueError, RecursionError) as error:
        # A JSON key may hold half a surrogate pair, which no answer can be encoded with.
        detail = str(error)[:200].encode(errors="replace").decode()
        reason = f"not an OTLP metrics export in {media}: {detail}"
        raise Declined(HTTPStatus.BAD_REQUEST, reason) from error
    return request


def encode(message: Message, media: Media) -> bytes:
    """An answer's body."""
    if media is Media.JSON:
        return json_format.MessageToJson(message, indent=None).encode()
    return message.SerializeToString()
