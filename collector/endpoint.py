"""What others ask the collector by HTTP: does it live, is it ready, what does it count.

/healthz   200, or 503 when the main loop is stuck: restart it
/readyz    200, or 503 while the ledger, the brokers or the quarantine are away
/metrics   Prometheus
"""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from collector.errors import Fatal
from ledger.errors import LedgerError

if TYPE_CHECKING:
    from starlette.requests import Request

    from collector.health import Health
    from collector.telemetry import Telemetry
    from ledger.reader import Reader


class Endpoint:
    """Serves on `host`:`port` from a thread of its own, until stopped. Port 0 picks a free one."""

    def __init__(self, host: str, port: int, health: Health, telemetry: Telemetry, ledger: Reader) -> None:
        self._health = health
        self._telemetry = telemetry
        self._ledger = ledger
        routes = [
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
            Route("/metrics", self._metrics),
        ]
        self._listener = _listen(host, port)
        self.port: int = self._listener.getsockname()[1]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="endpoint", daemon=True)

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer what was asked, then no more."""
        self._server.should_exit = True
        self._thread.join(timeout=10)

    def _healthz(self, request: Request) -> Response:
        del request
        return _verdict(self._health.stuck())

    async def _readyz(self, request: Request) -> Response:
        del request
        return _verdict(self._health.trouble() or await run_in_threadpool(self._ledger_trouble))

    def _metrics(self, request: Request) -> Response:
        del request
        return Response(self._telemetry.exposition(), headers={"content-type": CONTENT_TYPE_LATEST})

    def _ledger_trouble(self) -> str | None:
        try:
            self._ledger.query("SELECT 1")
        except LedgerError as error:
            return str(error)
        return None


def _verdict(trouble: str | None) -> Response:
    return PlainTextResponse("ok\n") if trouble is None else PlainTextResponse(f"{trouble}\n", status_code=503)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Fatal(
            f"FLOPLEDGER_COLLECTOR_HOST, FLOPLEDGER_COLLECTOR_PORT: {host}:{port}: {error.strerror}; choose others"
        ) from error
