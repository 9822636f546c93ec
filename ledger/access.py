"""How a command reaches the ledger. One in a data directory has one holder: others reach it through the holder's Unix
socket, `ledger.sock` there, readable by its owner alone. One on a server is reached there by everybody.

`connect` gives a command the ledger any way: at the server, opened here when nobody holds it, or by asking its holder.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import httpx
import pyarrow as pa
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.routing import Route

from ledger.deliveries import Attempt, record_attempts
from ledger.errors import Fatal, LedgerError, Refused, Retry
from ledger.journal import Statement
from ledger.ledger import Ledger
from ledger.migrate import refuse_unmigrated
from ledger.place import Server
from ledger.proof.checkpoint import KIND as CHECKPOINT
from ledger.proof.rebuild import Rebuilt, rebuild
from ledger.readonly import check
from ledger.requests import Requests
from ledger.store import Result, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request

    from ledger.place import Place

SOCKET = "ledger.sock"


class Access(Protocol):
    """What a command needs of a ledger, wherever it is open."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Rows of one statement that reads."""
        ...

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """The same by column: strings as bytes, a UInt128 as sixteen bytes, little-endian."""
        ...

    def append(self, statements: Sequence[Statement]) -> list[int]:
        """Write to the journal; returns the entries' indices."""
        ...

    def checkpoint(self, author: str) -> int:
        """Put a checkpoint over all evidence on record; returns the journal entry's index."""
        ...

    def rebuild(self, progress: Callable[[float], object]) -> Rebuilt:
        """Derive every other table from the evidence anew."""
        ...


@contextmanager
def connect(place: Place, now_ns: Callable[[], int]) -> Iterator[Access]:
    """The ledger there: on its server, in its data directory, or at whoever holds that.

    Raises `Held` when a holder does not answer, `Retry` when a server does not.
    """
    if isinstance(place, Server):
        with closing(AtServer(Store.server(place))) as there:
            yield there
        return
    path = place / SOCKET
    if _there(path):
        remote = Remote(path)
        if remote.answers():
            try:
                yield remote
            finally:
                remote.close()
            return
    ledger = Ledger.open(place, now_ns)
    try:
        yield ledger
    finally:
        ledger.close()


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}; choose another directory with FLOPLEDGER_DATA_DIR") from error


class AtServer:
    """A ledger on a server, for a command: it reads there, and asks the journal's writer for what it wants written."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._requests = Requests(store)
        try:
            refuse_unmigrated(store)
        except LedgerError:
            store.close()
            raise

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Ask the server."""
        return self._store.query(sql, parameters)

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Ask the server, by column."""
        return self._store.query_arrow(sql, parameters)

    def append(self, statements: Sequence[Statement]) -> list[int]:
        """Ask for these and wait until they stand; raises `Retry` when nobody signs them."""
        return self._requests.wait(self._requests.put(statements))

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Into the server's table: a collector may."""
        record_attempts(self._store, attempts)

    def checkpoint(self, author: str) -> int:
        """Ask for one and wait until it stands; raises `Retry` when nobody makes it."""
        return self.append([Statement(CHECKPOINT, author, {})])[0]

    def rebuild(self, progress: Callable[[float], object]) -> Rebuilt:
        """From here: it needs the right to make and drop tables, and no collector has to stop."""
        return rebuild(self._store, time.time_ns, progress)

    def close(self) -> None:
        """Hang up."""
        self._store.close()


class Remote:
    """A ledger that another process holds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)),
            base_url="http://ledger",
            timeout=httpx.Timeout(120, connect=2),
        )

    def answers(self) -> bool:
        """Somebody listens; a socket left behind by a killed holder answers nobody."""
        # Asked first by hand: the HTTP library leaves a socket open that could not connect.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(2)
            if probe.connect_ex(str(self._path)) != 0:
                return False
        try:
            return self._http.get("/health").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Ask the holder."""
        answer = self.ask("/query", {"sql": sql, "parameters": dict(parameters or {})})
        return Result(tuple(answer["columns"]), [_revived(row) for row in answer["rows"]])

    def query_arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Ask the holder, who answers with an Arrow stream."""
        answer = self._post("/arrow", {"sql": sql, "parameters": dict(parameters or {})})
        return pa.ipc.open_stream(answer.content).read_all()

    def append(self, statements: Sequence[Statement]) -> list[int]:
        """Have the holder write."""
        body = [{"kind": s.kind, "author": s.author, "data": dict(s.data)} for s in statements]
        indices: list[int] = self.ask("/journal", {"statements": body})["indices"]
        return indices

    def record_attempts(self, attempts: Sequence[Attempt]) -> None:
        """Have the holder keep them."""
        self.ask("/attempts", {"attempts": [attempt.portable() for attempt in attempts]})

    def checkpoint(self, author: str) -> int:
        """Have the holder number the evidence and sign."""
        index: int = self.ask("/checkpoint", {"author": author})["index"]
        return index

    def rebuild(self, progress: Callable[[float], object]) -> Rebuilt:
        """Have the holder do it, however long it takes."""
        del progress
        return Rebuilt(**json.loads(self._post("/rebuild", {}, timeout_s=None).content))

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    def ask(self, path: str, body: Mapping[str, Any]) -> Any:
        """Post JSON to one of the holder's paths; raises `Refused` or `Retry` when it does not answer with 200."""
        return json.loads(self._post(path, body).content)

    def _post(self, path: str, body: Mapping[str, Any], timeout_s: float | None = 120) -> httpx.Response:
        headers = {"content-type": "application/json"}
        try:
            answer = self._http.post(path, content=json.dumps(body), headers=headers, timeout=timeout_s)
        except httpx.TransportError as error:
            raise Retry(f"{self._path}: {error}") from error
        if answer.status_code == httpx.codes.BAD_REQUEST:
            raise Refused(answer.text)
        if answer.status_code != httpx.codes.OK:
            raise Retry(answer.text)
        return answer


class Holder:
    """Serves the ledger of this process on its socket until stopped."""

    def __init__(self, ledger: Ledger, data_dir: Path, more: Mapping[str, Callable[[Any], Any]] | None = None) -> None:
        """`more` answers other paths: from the JSON that was sent to the JSON that goes back."""
        self._ledger = ledger
        self._path = data_dir / SOCKET
        routes = [
            Route("/health", self._health),
            Route("/query", self._query, methods=["POST"]),
            Route("/arrow", self._query_arrow, methods=["POST"]),
            Route("/journal", self._append, methods=["POST"]),
            Route("/attempts", _answering(self._record_attempts), methods=["POST"]),
            Route("/checkpoint", self._checkpoint, methods=["POST"]),
            Route("/rebuild", self._rebuild, methods=["POST"]),
            *(Route(path, _answering(work), methods=["POST"]) for path, work in (more or {}).items()),
        ]
        self._server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off"))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._listener],), name="ledger-socket", daemon=True
        )

    def start(self) -> None:
        """Listen; a socket left behind by a killed holder goes first."""
        self._path.unlink(missing_ok=True)
        try:
            self._listener.bind(str(self._path))
        except OSError as error:
            self._listener.close()
            raise Fatal(f"{self._path}: {error}; a socket's path holds 107 bytes: use a shorter directory") from error
        # Nobody can connect before uvicorn listens, so the mode is right in time.
        self._path.chmod(0o600)
        self._thread.start()

    def stop(self) -> None:
        """Answer what was asked, then stop listening."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._path.unlink(missing_ok=True)

    async def _health(self, request: Request) -> Response:
        del request
        return _json({"ok": True})

    async def _query(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        return await _answer(self._answer_query, asked)

    async def _query_arrow(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        return await _answer(self._answer_arrow, asked)

    async def _append(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        return await _answer(self._answer_append, asked)

    async def _checkpoint(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        return await _answer(self._answer_checkpoint, asked)

    async def _rebuild(self, request: Request) -> Response:
        del request
        return await _answer(lambda _: _json(asdict(self._ledger.rebuild())), None)

    def _answer_query(self, asked: Any) -> Response:
        result = self._ledger.query(check(asked["sql"]), asked["parameters"])
        return _json({"columns": result.columns, "rows": [_portable(row) for row in result.rows]})

    def _answer_arrow(self, asked: Any) -> Response:
        table = self._ledger.query_arrow(check(asked["sql"]), asked["parameters"])
        stream = pa.BufferOutputStream()
        with pa.ipc.new_stream(stream, table.schema) as writer:
            writer.write_table(table)
        return Response(stream.getvalue().to_pybytes(), media_type="application/vnd.apache.arrow.stream")

    def _answer_append(self, asked: Any) -> Response:
        statements = [Statement(s["kind"], s["author"], s["data"]) for s in asked["statements"]]
        return _json({"indices": self._ledger.append(statements)})

    def _record_attempts(self, asked: Any) -> Any:
        self._ledger.record_attempts([Attempt.revived(said) for said in asked["attempts"]])
        return {}

    def _answer_checkpoint(self, asked: Any) -> Response:
        return _json({"index": self._ledger.checkpoint(asked["author"])})


def _answering(work: Callable[[Any], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await _answer(lambda asked: _json(work(asked)), json.loads(await request.body()))

    return answer


async def _answer(work: Callable[[Any], Response], asked: Any) -> Response:
    try:
        return await run_in_threadpool(work, asked)
    except Retry as error:
        return Response(str(error), httpx.codes.SERVICE_UNAVAILABLE)
    except LedgerError as error:
        return Response(str(error), httpx.codes.BAD_REQUEST)


def _json(value: Any) -> Response:
    return Response(json.dumps(value), media_type="application/json")


def _portable(cell: Any) -> Any:
    """JSON has no times and no bytes; they travel as an object with a mark, which nothing else does."""
    found: Any
    match cell:
        case None | str() | int() | float():
            found = cell
        case datetime():
            found = {"time": cell.isoformat()}
        case UUID():
            found = {"uuid": str(cell)}
        case bytes():
            found = {"hex": cell.hex()}
        case Mapping():
            found = {"map": [_portable(pair) for pair in cell.items()]}
        case Sequence():
            found = [_portable(item) for item in cell]
        case _:
            found = str(cell)
    return found


def _revived(cell: Any) -> Any:
    if isinstance(cell, list):
        return [_revived(item) for item in cell]
    if isinstance(cell, dict):
        ((kind, value),) = cell.items()
        return _REVIVE[kind](value)
    return cell


_REVIVE: dict[str, Callable[[Any], Any]] = {
    "time": datetime.fromisoformat,
    "uuid": UUID,
    "hex": bytes.fromhex,
    "map": lambda pairs: dict(map(_revived, pairs)),
}
