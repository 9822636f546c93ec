"""Ask, answer, compress: `/ping`, `/replicas_status`, and `/` for everything else, on a port of its own.

Whoever holds the ledger serves it. Nothing can be changed through it (`ledger/readonly.py`); without a token it listens
on loopback for whoever can reach that.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import threading
import uuid
from base64 import b64decode
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from ledger.errors import Fatal
from ledger.gateway.asking import understood
from ledger.gateway.compression import encoded, framed
from ledger.gateway.engine import Engine, Limits
from ledger.gateway.errors import AUTHENTICATION_FAILED, QUERY_TOO_LARGE, UNKNOWN_EXCEPTION, Failed
from ledger.gateway.formats import MEDIA_TYPES
from ledger.gateway.native import revised
from ledger.listening import listen

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from ledger.gateway.asking import Asked
    from ledger.gateway.engine import Answer

log = logging.getLogger(__name__)

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Gateway:
    """Serves the ledger in `directory`, which this process holds, until stopped."""

    def __init__(
        self, directory: Path, host: str, port: int, token: str | None = None, limits: Limits | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._token = token
        self._local = token is None and host in LOOPBACK
        if token is None and host not in LOOPBACK:
            raise Fatal(
                f"gateway_host {host} is reachable from elsewhere: set FLOPLEDGER_GATEWAY_TOKEN_FILE as well, or keep "
                "it on 127.0.0.1"
            )
        self._listener = listen(host, port, "the gateway", "choose another FLOPLEDGER_GATEWAY_PORT, or 0 for none")
        self.port: int = self._listener.getsockname()[1]
        self._engine = Engine(directory, self._limits)
        routes = [
            Route("/ping", self._ping),
            Route("/replicas_status", self._ping),
            Route("/", self._query, methods=["GET", "POST"]),
        ]
        self._server = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=routes),
                log_level="error",
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=5,
                h11_max_incomplete_event_size=self._limits.request_bytes,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="ledger-gateway", daemon=True
        )

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop what still runs, and listening."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._listener.close()
        self._engine.close()

    async def _ping(self, request: Request) -> Response:
        del request
        return Response("Ok.\n", media_type="text/html; charset=UTF-8")

    async def _query(self, request: Request) -> Response:
        mark = str(uuid.uuid4())
        try:
            self._admit(request)
            body = await self._body(request)
            if request.method == "GET" and not request.url.query:
                return await self._ping(request)
            asked = understood(request.query_params.multi_items(), request.headers, body)
            answer = await self._run(request, asked, mark)
            return await asyncio.to_thread(self._response, asked, answer, mark)
        except Failed as error:
            return self._sorry(error, mark)
        except Exception:
            log.exception("the gateway could not answer question %s", mark)
            return self._sorry(Failed(UNKNOWN_EXCEPTION, "a mistake of the gateway's own: see the log"), mark)

    def _sorry(self, error: Failed, mark: str) -> Response:
        headers = {"X-ClickHouse-Exception-Code": str(error.code), "X-ClickHouse-Query-Id": mark}
        return Response(error.body(self._engine.version), error.status, headers, "text/plain; charset=UTF-8")

    def _admit(self, request: Request) -> None:
        if self._local:
            # A page of the web may make a browser believe that its own name is this machine.
            name = (request.url.hostname or "").lower()
            if name not in LOOPBACK:
                raise Failed(AUTHENTICATION_FAILED, f"asked as {name:.60}: ask 127.0.0.1, or set a token")
        elif not any(hmac.compare_digest(said.encode(), (self._token or "").encode()) for said in _secrets(request)):
            raise Failed(AUTHENTICATION_FAILED, "Authentication failed: the token is missing or wrong")

    async def _body(self, request: Request) -> bytes:
        parts: list[bytes] = []
        async for part in request.stream():
            parts.append(part)
            if sum(map(len, parts)) > self._limits.request_bytes:
                raise Failed(QUERY_TOO_LARGE, f"a request holds at most {self._limits.request_bytes} bytes")
        return b"".join(parts)

    async def _run(self, request: Request, asked: Asked, mark: str) -> Answer:
        """The engine's answer; a client that hangs up stops its question."""
        ask = partial(self._engine.ask, asked.sql, asked.form, asked.database, asked.parameters, asked.settings, mark)
        running = asyncio.ensure_future(asyncio.to_thread(ask))
        gone = asyncio.ensure_future(_hung_up(request))
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                await asyncio.to_thread(self._engine.cancel, mark)
            return await running
        finally:
            gone.cancel()

    def _response(self, asked: Asked, answer: Answer, mark: str) -> Response:
        data = revised(answer.data, asked.revision) if asked.form == "Native" else answer.data
        headers = {
            "X-ClickHouse-Query-Id": asked.query_id or mark,
            "X-ClickHouse-Format": asked.form,
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": self._engine.name.strip(),
            "X-ClickHouse-Summary": _summary(answer),
        }
        if asked.framed:
            data = framed(data)
        elif asked.encoding is not None:
            data = encoded(data, asked.encoding)
            headers["Content-Encoding"] = asked.encoding
        return Response(data, 200, headers, MEDIA_TYPES[asked.form])


def read_token(path: Path) -> str:
    """The secret in a file; raises `Fatal` when it cannot be read or says nothing."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Fatal(f"gateway_token_file {path} cannot be read: {error}") from error
    if not token:
        raise Fatal(f"gateway_token_file {path} is empty: put a secret of your choice in it")
    return token


def _secrets(request: Request) -> Iterator[str]:
    """Wherever clients of ClickHouse put a token or a password."""
    kind, _, said = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        yield said.strip()
    if kind.lower() == "basic":
        with suppress(ValueError):
            yield b64decode(said).decode().partition(":")[2]
    yield request.headers.get("x-clickhouse-key", "")
    yield request.query_params.get("password", "")


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _summary(answer: Answer) -> str:
    counted: dict[str, Any] = {
        "read_rows": answer.rows_read,
        "read_bytes": answer.bytes_read,
        "written_rows": 0,
        "written_bytes": 0,
        "total_rows_to_read": answer.rows_read,
        "result_bytes": len(answer.data),
        "elapsed_ns": answer.elapsed_ns,
    }
    return json.dumps({name: str(value) for name, value in counted.items()})
