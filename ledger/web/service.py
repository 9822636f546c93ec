"""The page on a port: beside what counts in `flopledger up`, or by itself."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from cli.settings import Settings
from ledger.access import Access
from ledger.listening import PortTaken, listen
from ledger.web.app import create_app
from ledger.web.state import Page

log = logging.getLogger(__name__)


class Server:
    """Serves one ledger from a thread of its own until stopped. Port 0 picks a free one."""

    def __init__(self, access: Access, settings: Settings, now_ns: Callable[[], int], port: int | None = None) -> None:
        app = create_app(access, settings, now_ns)
        self.page: Page = app.state.page
        self._listener = listen(
            settings.web_host,
            settings.web_port if port is None else port,
            "the page",
            "free it, or choose another port with FLOPLEDGER_WEB_PORT",
        )
        self.port: int = self._listener.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="error",
                lifespan="on",
                server_header=False,
                timeout_graceful_shutdown=2,
                proxy_headers=False,  # which proxies are believed is for `entry/proxy.py` to say
            )
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._listener],), name="page", daemon=True)
        self.url = f"http://{settings.web_host}:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Let viewers go, and answer no more."""
        self.page.watch.stop()
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._listener.close()


@contextmanager
def showing(access: Access, settings: Settings, now_ns: Callable[[], int]) -> Iterator[Server | None]:
    """While the block runs, the page is there. A port that is taken is said once: counting matters more."""
    if not settings.web_port:
        yield None
        return
    try:
        server = Server(access, settings, now_ns)
    except PortTaken as error:
        log.warning("%s; until then there is no page, and counting goes on", error)
        yield None
        return
    server.start()
    log.info("the page is at %s", server.url)
    try:
        yield server
    finally:
        server.stop()
