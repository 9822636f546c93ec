"""The ClickHouse HTTP interface in front of the embedded engine, in a process of its own: for tests.

    python -m tests.services.clickhouse.server DIRECTORY PORT [--user U --password P] [--cert FILE --key FILE]

What it is: the engine's own SQL, types, formats, settings, limits and errors, reached by the real HTTP client as it
reaches a server (query text, parameters and settings in the URL or a form, INSERT … FORMAT with the rows in the body,
compression both ways, errors with their code in a header, a name and a password, TLS), by several processes at once.

What it is not: a ClickHouse server. No replicas and no Keeper, so nothing here runs a Replicated or Distributed table
or ON CLUSTER; no roles, quotas or profiles; no session, no cancelling, and no answer before a query is done. A real
server takes its place where FLOPLEDGER_TEST_CLICKHOUSE names one.

`POST /faults` with a list of faults makes the next inserts fail, be slow, or be done without saying so.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import re
import tempfile
import threading
import time
from dataclasses import dataclass
from email.parser import BytesParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import chdb
import lz4.frame
import uvicorn
import zstandard
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_OF_THE_TRANSPORT = frozenset(
    {
        *("query", "database", "default_format", "user", "password", "compress", "decompress", "buffer_size"),
        *("session_id", "session_timeout", "session_check", "query_id", "quota_key", "wait_end_of_query", "role"),
        *("client_protocol_version", "send_progress_in_http_headers", "http_headers_progress_interval_ms"),
        "enable_http_compression",
    }
)
"""What a server takes out of the URL before the rest is settings."""
_WITH_ROWS = re.compile(rb"\s*(INSERT\s+INTO\s[^\n]*?)\s+FORMAT\s+(\w+)[ \t]*\r?(?:\n|$)", re.IGNORECASE)
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_ANSWERING = ("SELECT", "WITH", "SHOW", "DESC", "EXPLAIN", "EXISTS", "(")
_CODE = re.compile(r"Code: (\d+)")
_STATUS = {"60": 404, "47": 404, "81": 404, "62": 400, "516": 401, "497": 403, "241": 500, "159": 408}
FAULTS = {
    "refuse": "Code: 252. DB::Exception: Too many parts, injected before the insert. (TOO_MANY_PARTS)",
    "lose": "Code: 319. DB::Exception: Injected after the insert was done. (UNKNOWN_STATUS_OF_INSERT)",
    "slow": "",
}


@dataclass
class Fault:
    """What happens to the next `count` inserts: see `FAULTS`; each takes `seconds` longer."""

    kind: str
    count: int
    seconds: float = 0.0


class Engine:
    """One directory of the engine; every request has a handle, and with it settings, of its own."""

    def __init__(self, directory: Path) -> None:
        self._path = str(directory)
        self._kept_open = _connect(self._path)
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def inject(self, faults: list[Fault]) -> None:
        """These come next; what was left of others is forgotten."""
        with self._lock:
            self._faults = faults

    def ask(self, query: bytes, asked: Mapping[str, str]) -> tuple[bytes, str | None]:
        """The answer and its format; None for a statement that answers nothing."""
        handle: Any = _connect(self._path)
        try:
            if asked.get("database"):
                handle.query(f"USE `{asked['database']}`", "TabSeparated")
            settings = [name for name in asked if name not in _OF_THE_TRANSPORT and not name.startswith("param_")]
            if settings:
                # Behind readonly nothing can be set any more.
                settings.sort(key="readonly".__eq__)
                handle.query("SET " + ", ".join(f"{name} = {_quoted(asked[name])}" for name in settings), "Null")
            with_rows = _WITH_ROWS.match(query)
            if with_rows is not None:
                self._insert(handle, with_rows[1].decode(), with_rows[2].decode(), query[with_rows.end() :])
                return b"", None
            parameters = {name.removeprefix("param_"): asked[name] for name in asked if name.startswith("param_")}
            text = query.decode()
            given = _FORMAT.search(text)
            form = given[1] if given else asked.get("default_format", "TabSeparated")
            answer = handle.query(text, form, params=parameters).bytes() or b""
            return answer, form if text.lstrip().upper().startswith(_ANSWERING) else None
        finally:
            handle.close()

    def _insert(self, handle: Any, head: str, form: str, rows: bytes) -> None:
        fault = self._fault()
        if fault is not None:
            time.sleep(fault.seconds)
            if fault.kind == "refuse":
                raise RuntimeError(FAULTS["refuse"])
        if rows:
            with tempfile.NamedTemporaryFile(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as file:
                file.write(rows)
                file.flush()
                handle.query(f"{head} FROM INFILE '{file.name}' COMPRESSION 'none' FORMAT {form}", "Null")
        if fault is not None and fault.kind == "lose":
            raise RuntimeError(FAULTS["lose"])

    def _fault(self) -> Fault | None:
        with self._lock:
            while self._faults and self._faults[0].count <= 0:
                self._faults.pop(0)
            if self._faults:
                self._faults[0].count -= 1
                return self._faults[0]
            return None


def _connect(path: str) -> Any:
    connect: Any = chdb.connect
    return connect(path)


def application(engine: Engine, login: str | None) -> Starlette:
    """The interface; `login` is user:password, None lets everybody in."""

    async def ask(request: Request) -> Response:
        if login is not None and not _may(request, login):
            return _error("Code: 516. DB::Exception: Authentication failed. (AUTHENTICATION_FAILED)")
        asked = dict(request.query_params)
        body = _decoded(await request.body(), request.headers.get("content-encoding", ""))
        kind = request.headers.get("content-type", "")
        if kind.startswith("multipart/form-data"):
            asked |= _form(kind, body)
            body = b""
        query = b"\n".join(part for part in (asked.get("query", "").encode(), body) if part)
        if not query:
            return Response("Ok.\n")
        try:
            answer, form = await run_in_threadpool(engine.ask, query, asked)
        except Exception as error:
            # Whatever the engine says is the client's to hear.
            return _error(str(error))
        headers = {"X-ClickHouse-Summary": "{}"} | ({} if form is None else {"X-ClickHouse-Format": form})
        accepted = request.headers.get("accept-encoding", "") if asked.get("enable_http_compression") == "1" else ""
        if answer and "zstd" in accepted:
            answer, headers["Content-Encoding"] = zstandard.compress(answer), "zstd"
        elif answer and "gzip" in accepted:
            answer, headers["Content-Encoding"] = gzip.compress(answer), "gzip"
        return Response(answer, headers=headers)

    async def ping(request: Request) -> Response:
        del request
        return Response("Ok.\n")

    async def faults(request: Request) -> Response:
        engine.inject([Fault(**fault) for fault in json.loads(await request.body())])
        return JSONResponse({})

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/faults", faults, methods=["POST"]),
            Route("/", ask, methods=["GET", "POST"]),
        ]
    )


def _may(request: Request, login: str) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Basic ")
    named = f"{request.headers.get('x-clickhouse-user')}:{request.headers.get('x-clickhouse-key')}"
    return login in {base64.b64decode(given).decode(), named}


def _decoded(body: bytes, encoding: str) -> bytes:
    match encoding:
        case "lz4":
            return bytes(lz4.frame.decompress(body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
        case "gzip":
            return gzip.decompress(body)
    return body


def _form(kind: str, body: bytes) -> dict[str, str]:
    parts = BytesParser().parsebytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    found: dict[str, str] = {}
    for part in parts.walk():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            found[name] = payload.decode()
    return found


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _error(text: str) -> Response:
    found = _CODE.search(text)
    code = found[1] if found else "1002"
    headers = {"X-ClickHouse-Exception-Code": code}
    return Response(f"{text} (version test)\n", _STATUS.get(code, 500), headers)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("--login", help="user:password")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    given = parser.parse_args()
    uvicorn.run(
        application(Engine(given.directory), given.login),
        host="127.0.0.1",
        port=given.port,
        log_level="error",
        ssl_certfile=given.cert,
        ssl_keyfile=given.key,
    )


if __name__ == "__main__":
    main()
