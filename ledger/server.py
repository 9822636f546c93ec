"""A ClickHouse server's client: asked first whether it is there, lets us in and is new enough."""

from __future__ import annotations

import logging
import re
import ssl
from typing import TYPE_CHECKING

import clickhouse_connect
import httpx

from ledger.errors import Fatal, Refused, Retry

if TYPE_CHECKING:
    from pathlib import Path

    from clickhouse_connect.driver.client import Client

    from ledger.place import Server

OLDEST = (25, 8)
"""The oldest server that the client library still speaks to."""
NAMED_BY = "it is named by FLOPLEDGER_CLICKHOUSE_URL, the chart's clickhouse.url"
CONNECT_S = 10
ANSWER_S = 30
"""What one statement may take. A round of the collector makes at most eight, which stays under the five minutes after
which Kafka gives its partitions away."""
_CODE_HEADER = "X-ClickHouse-Exception-Code"
_UNKNOWN_DATABASE = "81"
_NOT_LET_IN = frozenset({"192", "193", "194", "497", "516"})


def open_client(server: Server, answer_s: int = ANSWER_S) -> Client:
    """Raises `Retry` when nobody answers, `Fatal` for a server too old, `Refused` when it does not let us in."""
    # What it logs, it raises as well; what we raise says it once.
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    password = _secret(server.password_file)
    _check_version(server, _ask_version(server, password))
    return clickhouse_connect.get_client(
        interface=server.scheme,
        host=server.host,
        port=server.port,
        username=server.user,
        password=password,
        database=server.database,
        ca_cert=None if server.ca_file is None else str(server.ca_file),
        # One session would let one statement through at a time, and fail the others.
        autogenerate_session_id=False,
        connect_timeout=CONNECT_S,
        send_receive_timeout=answer_s,
        # Progress headers would keep a stuck statement alive beyond that time.
        settings={"send_progress_in_http_headers": 0},
        client_name="flopledger",
        tz_mode="aware",
        dedicated_pool=True,
    )


def _ask_version(server: Server, password: str) -> str:
    try:
        verify = ssl.create_default_context(cafile=server.ca_file) if server.scheme == "https" else True
    except OSError as error:
        raise Refused(f"FLOPLEDGER_CLICKHOUSE_CA_FILE {server.ca_file}: {error.strerror or error}") from error
    try:
        answer = httpx.get(
            server.url,
            params={"query": "SELECT version()", "database": server.database},
            headers={"X-ClickHouse-User": server.user, "X-ClickHouse-Key": password},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            verify=verify,
        )
    except httpx.TransportError as error:
        raise Retry(f"the ClickHouse server {server.url} does not answer: {error}; {NAMED_BY}") from error
    if answer.is_success:
        return answer.text.strip()
    code = answer.headers.get(_CODE_HEADER, "")
    text = answer.text.strip().split("\n", 1)[0]
    if code in _NOT_LET_IN:
        raise Refused(f"{server.url} does not let {server.user!r} in: {text}")
    if code == _UNKNOWN_DATABASE:
        raise Refused(f"{server.url} has no database {server.database}: CREATE DATABASE {server.database}")
    raise Retry(f"{server.url} answers {answer.status_code}, which is no ClickHouse server at work: {text}")


def _check_version(server: Server, version: str) -> None:
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None:
        raise Fatal(f"{server.url} is no ClickHouse server: asked for its version, it says {version[:80]!r}")
    if (int(found[1]), int(found[2])) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise Fatal(
            f"{server.url} runs ClickHouse {version}, which is too old: {wanted} or newer is needed; {NAMED_BY}"
        )


def _secret(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"FLOPLEDGER_CLICKHOUSE_PASSWORD_FILE {path} cannot be read: {error}") from error
