"""The console: one statement that reads, answered as a table, CSV or Parquet; each is written down before it runs."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from ledger.errors import LedgerError, Refused
from ledger.web.auditing import AuditingOf, unless_gone
from ledger.web.console import LIMITS, SHOWN_ROWS, Console, Table, new_mark
from ledger.web.entry.gate import entry_of, needs
from ledger.web.entry.pace import QUESTIONS
from ledger.web.entry.roles import Role, Who
from ledger.web.entry.sign_in import small_form
from ledger.web.pages import rendered
from ledger.web.state import Page, PageOf

router = APIRouter(include_in_schema=False)
api = APIRouter(tags=["audit"])
Auditor = Annotated[Who, needs(Role.AUDITOR)]

MAX_SQL = 60_000
MAX_CELL = 400
Form = Literal["csv", "parquet"]
MEDIA_TYPES = {"csv": "text/csv; charset=utf-8; header=present", "parquet": "application/vnd.apache.parquet"}


@dataclass(frozen=True, slots=True)
class Example:
    """One question of the cookbook."""

    question: str
    sql: str


class Question(BaseModel):
    """What is asked through the API."""

    sql: str = Field(max_length=MAX_SQL, description="one statement that reads: SELECT, DESCRIBE or SHOW")
    format: Literal["json", "csv", "parquet"] = Field(
        "json", description="json is cut after its first rows, and says so"
    )


class Answer(BaseModel):
    """The first rows of an answer. Integers past 2^53 are decimal strings."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]
    more: bool = Field(description="there are further rows: ask for csv or parquet")


@cache
def cookbook() -> tuple[Example, ...]:
    """The questions of docs/auditors.md."""
    found = tomllib.loads((files("ledger.web") / "cookbook.toml").read_text(encoding="utf-8"))
    return tuple(Example(one["question"], one["sql"].strip()) for one in found["question"])


@router.get("/ask")
def ask_form(page: PageOf, who: Auditor, example: Annotated[int, Query(ge=0)] = 0) -> HTMLResponse:
    """The form, with a question from the cookbook in it."""
    del who
    examples = cookbook()
    return _shown(page, examples[example].sql if example < len(examples) else "", None, None)


@router.post("/ask")
async def ask(request: Request, page: PageOf, auditing: AuditingOf, who: Auditor) -> Response:
    """The answer under the form, or as a file."""
    form = await small_form(request, 4 * MAX_SQL)
    sql, wanted = form.get("sql", ""), form.get("as", "table")
    try:
        if not sql.strip() or len(sql) > MAX_SQL:
            raise Refused(f"write one statement of at most {MAX_SQL:,} characters")
        if wanted in MEDIA_TYPES:
            return await _file(request, auditing.console, who, sql, wanted)
        table = await _table(request, auditing.console, who, sql)
    except Refused as error:
        return await run_in_threadpool(_shown, page, sql, None, str(error), 400)
    except LedgerError as error:
        return await run_in_threadpool(_shown, page, sql, None, str(error), 503)
    return await run_in_threadpool(_shown, page, sql, table, None)


@api.post("/ask", responses={200: {"content": {name: {} for name in ("text/csv", "application/vnd.apache.parquet")}}})
async def ask_api(request: Request, auditing: AuditingOf, who: Auditor, question: Question) -> Answer:
    """Ask by SQL. What writes, reaches outside or takes too much is refused with the reason."""
    if question.format != "json":
        return await _file(request, auditing.console, who, question.sql, question.format)  # type: ignore[return-value]
    table = await _table(request, auditing.console, who, question.sql)
    return Answer(columns=table.columns, types=table.types, rows=table.rows, more=table.more)


async def _table(request: Request, console: Console, who: Who, sql: str) -> Table:
    await _noted(request, who, sql, "table")
    mark = new_mark()
    return await unless_gone(request, lambda: console.table(sql, mark), lambda: console.cancel(mark))


async def _file(request: Request, console: Console, who: Who, sql: str, form: str) -> Response:
    await _noted(request, who, sql, form)
    mark = new_mark()
    ask_for = console.csv if form == "csv" else console.parquet
    data = await unless_gone(request, lambda: ask_for(sql, mark), lambda: console.cancel(mark))
    headers = {"content-disposition": f'attachment; filename="flopledger-answer.{form}"'}
    return Response(data, media_type=MEDIA_TYPES[form], headers=headers)


async def _noted(request: Request, who: Who, sql: str, form: str) -> None:
    entry = entry_of(request)
    entry.pace.take(QUESTIONS, who.name)
    said = {"who": who.name, "role": who.role, "way": who.way, "from": request.state.caller.address}
    await run_in_threadpool(lambda: entry.audit.will(**said, asks=sql, form=form))


def _shown(page: Page, sql: str, table: Table | None, says: str | None, status: int = 200) -> HTMLResponse:
    answer = rendered(
        page,
        "ask.html",
        section="/ask",
        sql=sql,
        table=table,
        says=says,
        examples=cookbook(),
        cell=_cell,
        numeric=_numeric,
        shown_rows=SHOWN_ROWS,
        limits=LIMITS,
    )
    answer.status_code = status
    return answer


def _cell(value: Any) -> str:
    text = "NULL" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}… ({len(text):,} characters)"


def _numeric(kind: str) -> bool:
    return kind.removeprefix("Nullable(").startswith(("UInt", "Int", "Float", "Decimal"))
