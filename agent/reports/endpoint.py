"""One request, one answer: OTLP/HTTP metrics as a WSGI application."""

from __future__ import annotations

import hmac
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING

from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it brings its stubs, but no marker
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from agent.reports.decode import MAX_BODY_BYTES, Media, decode, encode, media_of, unpack
from agent.reports.refusal import Declined

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from google.protobuf.message import Message

    from agent.reports.book import ReportBook
    from agent.reports.refusal import Refusals

PATH = "/v1/metrics"
MAX_WARNINGS = 100

_HEADERS: Mapping[HTTPStatus, tuple[str, str]] = {
    HTTPStatus.METHOD_NOT_ALLOWED: ("Allow", "POST"),
    HTTPStatus.UNAUTHORIZED: ("WWW-Authenticate", "Bearer"),
}

log = logging.getLogger(__name__)


class Endpoint:
    """Takes exports into `book`. With a `token`, only from those who bear it."""

    def __init__(self, book: ReportBook, token: str | None = None) -> None:
        self._book = book
        self._token = token
        self._warned: set[str] = set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, in the form it came in; in JSON where that is not known, for a person with curl."""
        status, media, headers = HTTPStatus.OK, Media.JSON, []
        answer: Message
        try:
            self._admit(environ)
            media = media_of(environ.get("CONTENT_TYPE", ""))
            answer = self._export(environ, media)
        except Declined as declined:
            status = declined.status
            answer = Status(message=str(declined))
            headers = [_HEADERS[status]] if status in _HEADERS else []
        body = encode(answer, media)
        headers += [("Content-Type", media.value), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _admit(self, environ: WSGIEnvironment) -> None:
        if environ["PATH_INFO"] != PATH:
            raise Declined(HTTPStatus.NOT_FOUND, f"only {PATH} is served here")
        if environ["REQUEST_METHOD"] != "POST":
            raise Declined(HTTPStatus.METHOD_NOT_ALLOWED, f"{PATH} takes POST")
        if self._token is not None:
            scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token.encode()):
                reason = "the token is missing or wrong: set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20…"
                raise Declined(HTTPStatus.UNAUTHORIZED, reason)

    def _export(self, environ: WSGIEnvironment, media: Media) -> ExportMetricsServiceResponse:
        body = environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
        refusals = self._book.accept(decode(unpack(body, environ.get("HTTP_CONTENT_ENCODING", "")), media))
        response = ExportMetricsServiceResponse()
        if refusals.rejected:
            self._warn(refusals)
            response.partial_success.rejected_data_points = refusals.rejected
            response.partial_success.error_message = refusals.message
        return response

    def _warn(self, refusals: Refusals) -> None:
        """Log each reason once: most SDKs show nobody what a partial success says."""
        if refusals.message not in self._warned and len(self._warned) < MAX_WARNINGS:
            self._warned.add(refusals.message)
            log.warning("a training loop's report was refused: %s", refusals.message)
