"""What others ask the agent by HTTP: does it live, does it count, what does it say of itself.

/healthz   200, or 503 when sampling is stuck: restart it
/readyz    200, or 503 while no device can be measured, with why
/metrics   Prometheus
"""

from __future__ import annotations

import socket
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import make_wsgi_app

from agent.errors import Fatal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

    from agent.health import Health


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without the look-up of our own name that the standard server makes, which may hang."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        host, port = self.socket.getsockname()[:2]
        self.server_address = (host, port)
        self.server_name, self.server_port = host, port
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Probes come every few seconds."""


class Endpoint:
    """Serves on `host`:`port` from a thread of its own, until stopped. Port 0 picks a free one."""

    def __init__(self, host: str, port: int, health: Health) -> None:
        self._health = health
        self._metrics = make_wsgi_app()
        try:
            self._server = (_Server6 if ":" in host else _Server)((host, port), _Quiet)
        except OSError as error:
            raise Fatal(
                f"FLOPLEDGER_METRICS_HOST, FLOPLEDGER_METRICS_PORT: {host}:{port}: {error.strerror or error}; "
                "choose others, or port 0 for none"
            ) from error
        self._server.set_app(self._answer)
        self.port: int = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="endpoint", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        verdicts: dict[str, Callable[[], str | None]] = {
            "/healthz": self._health.stuck,
            "/readyz": self._health.trouble,
        }
        path = environ["PATH_INFO"]
        if path == "/metrics":
            exposition: Iterable[bytes] = self._metrics(environ, start_response)
            return exposition
        if path not in verdicts:
            return _text(start_response, "404 Not Found", "only /healthz, /readyz and /metrics are served here")
        trouble = verdicts[path]()
        if trouble is None:
            return _text(start_response, "200 OK", "ok")
        return _text(start_response, "503 Service Unavailable", trouble)


def _text(start_response: StartResponse, status: str, line: str) -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain; charset=utf-8")])
    return [f"{line}\n".encode()]
