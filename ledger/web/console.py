"""A stranger's statement, answered within limits wherever the ledger is open: in this process, at its holder's gateway
or on a server. What passes is decided in one place, `ledger.readonly`.
"""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import orjson

from ledger.access import Remote
from ledger.errors import Refused, Retry
from ledger.gateway.engine import Engine, Limits
from ledger.gateway.errors import Failed
from ledger.gateway.server import read_token
from ledger.place import server_of
from ledger.readonly import check
from ledger.store import Store

if TYPE_CHECKING:
    from cli.settings import Settings
    from ledger.access import Access

SHOWN_ROWS = 1_000
LIMITS = Limits(execution_s=30, memory_bytes=1 << 30, result_bytes=64 << 20, concurrent=2, wait_s=5.0)
"""Of the page: a question that takes more goes to the gateway, or to the server."""
_BIG = re.compile(r"U?Int(128|256)")
_HEAD = re.compile(r"^(Code: \d+\. )?(DB::Exception: )?")
_TAIL = re.compile(r"(: While executing .*| \(version [^)]*\))$", re.DOTALL)
_DESCRIBED = re.compile(r"\s*(SHOW|DESC|DESCRIBE)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """The first rows of an answer. Numbers that JSON readers round are text; with `more` there are further rows."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    more: bool


class Asking(Protocol):
    """Whatever answers a checked statement in one of ClickHouse's formats."""

    def ask(self, sql: str, form: str, limit: int, mark: str) -> bytes:
        """The answer's bytes, of at most `limit` rows if that is not zero; raises `Failed` or `LedgerError`."""
        ...

    def cancel(self, mark: str) -> None:
        """Stop the question with this mark."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


class Console:
    """Asks for auditors; raises `Refused` with the reason for what gets no answer, `Retry` when it is away."""

    def __init__(self, asking: Callable[[], Asking]) -> None:
        """`asking` is opened with the first question."""
        self._open = asking
        self._asking: Asking | None = None
        self._lock = threading.Lock()

    def table(self, sql: str, mark: str, rows: int = SHOWN_ROWS) -> Table:
        """What of the answer can be shown."""
        answer = orjson.loads(self._ask(check(sql), "JSONCompact", rows + 1, mark))
        return Table(
            [column["name"] for column in answer["meta"]],
            [column["type"] for column in answer["meta"]],
            answer["data"][:rows],
            len(answer["data"]) > rows,
        )

    def csv(self, sql: str, mark: str) -> bytes:
        """All of it, with the names of the columns."""
        return self._ask(check(sql), "CSVWithNames", 0, mark)

    def parquet(self, sql: str, mark: str) -> bytes:
        """All of it. Parquet has no integers of 128 or 256 bits: they become decimal text."""
        checked = check(sql)
        if _DESCRIBED.match(checked):
            return self._ask(checked, "Parquet", 0, mark)
        described = orjson.loads(self._ask(f"DESCRIBE (\n{checked}\n)", "JSONCompact", 0, mark))["data"]
        big = [name for name, kind, *_ in described if _BIG.search(kind) and "(" not in kind.replace("Nullable(", "")]
        if big:
            texts = ", ".join(f"toString({_quoted(name)}) AS {_quoted(name)}" for name in big)
            checked = f"SELECT * REPLACE ({texts}) FROM (\n{checked}\n)"
        return self._ask(checked, "Parquet", 0, mark)

    def cancel(self, mark: str) -> None:
        """Whoever asked has gone."""
        if self._asking is not None:
            self._asking.cancel(mark)

    def close(self) -> None:
        """Let go of whatever answers."""
        with self._lock:
            if self._asking is not None:
                self._asking.close()
                self._asking = None

    def _ask(self, sql: str, form: str, limit: int, mark: str) -> bytes:
        try:
            return self._opened().ask(sql, form, limit, mark)
        except Failed as error:
            raise Refused(plain(str(error))) from error

    def _opened(self) -> Asking:
        with self._lock:
            if self._asking is None:
                self._asking = self._open()
            return self._asking


class Here:
    """The engine in this process, by connections of their own."""

    def __init__(self, directory: Path, limits: Limits = LIMITS) -> None:
        self._engine = Engine(directory, limits)

    def ask(self, sql: str, form: str, limit: int, mark: str) -> bytes:
        """As the protocol says."""
        settings = {"output_format_json_quote_64bit_integers": "1"} | ({"limit": str(limit)} if limit else {})
        return self._engine.ask(sql, form, "default", {}, settings, mark).data

    def cancel(self, mark: str) -> None:
        """As the protocol says."""
        self._engine.cancel(mark)

    def close(self) -> None:
        """As the protocol says."""
        self._engine.close()


class ByGateway:
    """Another process holds the ledger: its gateway answers, which stops a question whose client hangs up."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=httpx.Timeout(70, connect=5))

    def ask(self, sql: str, form: str, limit: int, mark: str) -> bytes:
        """As the protocol says."""
        asked = {"default_format": form, "output_format_json_quote_64bit_integers": "1"}
        if limit:
            asked["limit"] = str(limit)
        try:
            answer = self._http.post("/", params=asked, content=sql)
        except httpx.TransportError as error:
            raise Retry(
                f"the gateway of whoever holds the ledger does not answer ({error}): questions go through it, see "
                "FLOPLEDGER_GATEWAY_PORT"
            ) from error
        if answer.status_code != httpx.codes.OK:
            raise Refused(plain(answer.text))
        return answer.content

    def cancel(self, mark: str) -> None:
        """It ends with the gateway's own limit."""

    def close(self) -> None:
        """As the protocol says."""
        self._http.close()


class OnServer:
    """A ClickHouse server, within what its profiles and these limits allow."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def ask(self, sql: str, form: str, limit: int, mark: str) -> bytes:
        """As the protocol says."""
        return self._store.query_bytes(sql, form, limit, mark)

    def cancel(self, mark: str) -> None:
        """It ends with its time limit: to kill takes a right that readers do not have."""

    def close(self) -> None:
        """As the protocol says."""
        self._store.close()


def console(access: Access, settings: Settings) -> Console:
    """For a ledger that is reached like this."""
    server = server_of(settings)
    if server is not None and not isinstance(access, Remote):
        return Console(lambda: OnServer(Store.server(server)))
    if isinstance(access, Remote):
        return Console(lambda: _by_gateway(settings))
    return Console(lambda: Here(settings.data_dir / "ledger"))


def _by_gateway(settings: Settings) -> ByGateway:
    if not settings.gateway_port:
        raise Retry(
            "another process holds this ledger and its gateway is off: questions go through it, so set "
            "FLOPLEDGER_GATEWAY_PORT for both"
        )
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.gateway_host, settings.gateway_host)
    token = None if settings.gateway_token_file is None else read_token(settings.gateway_token_file)
    return ByGateway(f"http://{host}:{settings.gateway_port}", token)


def new_mark() -> str:
    """What a question is called while it runs."""
    return str(uuid.uuid4())


def plain(text: str) -> str:
    """The engine's message without what only programs read."""
    return _TAIL.sub("", _HEAD.sub("", text.strip())).strip()


def _quoted(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
