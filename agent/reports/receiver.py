"""The OTLP/HTTP receiver: a socket, a thread, and the endpoint behind them."""

from __future__ import annotations

import socket
import threading
from ipaddress import ip_address
from typing import TYPE_CHECKING

from waitress import create_server, wasyncore

from agent.errors import Fatal
from agent.reports.decode import MAX_BODY_BYTES
from agent.reports.endpoint import Endpoint

if TYPE_CHECKING:
    from waitress.server import TcpWSGIServer

    from agent.reports.book import ReportBook

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 4319
"""Not OTLP's own 4318, where a collector often listens already."""
MAX_CONNECTIONS = 512
THREADS = 2
LONGEST_WAIT_S = 30


class Receiver:
    """Listens from `start` until `close`. `host` is an IP address; beyond loopback, a `token` is needed.

    Port 0 takes a free one; `port` is the one in use.
    """

    def __init__(
        self, book: ReportBook, host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, token: str | None = None
    ) -> None:
        try:
            address = ip_address(host)
        except ValueError as error:
            raise Fatal(f"reports: {host!r} is not an IP address") from error
        if token is None and not address.is_loopback:
            raise Fatal(f"reports: {host} can be reached from other machines, so a token must be set")
        self.host = host
        self.port = port
        self._family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
        self._endpoint = Endpoint(book, token)
        self._sockets: dict[int, object] = {}
        self._stopped = threading.Event()
        self._server: TcpWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind, then serve in a thread of its own. Raises `Fatal` when the address cannot be had."""
        try:
            listening = socket.create_server((self.host, self.port), family=self._family)
        except OSError as error:
            raise Fatal(f"reports: cannot listen on {self.host} port {self.port}: {error.strerror}") from error
        self.port = listening.getsockname()[1]
        self._server = create_server(
            self._endpoint,
            map=self._sockets,
            sockets=[listening],
            threads=THREADS,
            connection_limit=MAX_CONNECTIONS,
            inbuf_overflow=2 * MAX_BODY_BYTES,  # bodies stay in memory, never in a temporary file
            # Above the endpoint's limit, so that a body a little too large is told so instead of being cut off.
            max_request_body_size=2 * MAX_BODY_BYTES,
            ident=None,
        )
        self._stopped.clear()
        self._thread = threading.Thread(target=self._serve, name="reports", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the requests at hand, then let go of the port. What comes later is retried by the SDK."""
        if self._server is None or self._thread is None:
            return
        self._server.task_dispatcher.shutdown()
        self._stopped.set()
        self._server.pull_trigger()
        self._thread.join()
        # Only now: a wake-up written to a descriptor that is closed already could land in another file.
        wasyncore.close_all(self._sockets)
        self._server = self._thread = None

    def _serve(self) -> None:
        while not self._stopped.is_set():
            wasyncore.loop(timeout=LONGEST_WAIT_S, use_poll=True, map=self._sockets, count=1)
