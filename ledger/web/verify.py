"""Verification from the page: start one, watch it read the evidence, and see what it found, down to the batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, HTTPException, Path
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse

from ledger.errors import Refused
from ledger.proof.checkpoint import Checkpoint, understood
from ledger.web.auditing import Auditing, AuditingOf
from ledger.web.entry.gate import entry_of, needs
from ledger.web.entry.pace import VERIFICATIONS
from ledger.web.entry.roles import Role, Who
from ledger.web.entry.sign_in import small_form
from ledger.web.pages import rendered
from ledger.web.state import Page, PageOf
from ledger.web.verifying import Verification

router = APIRouter(include_in_schema=False)
api = APIRouter(tags=["audit"])
Auditor = Annotated[Who, needs(Role.AUDITOR)]
Number = Annotated[int, Path(ge=1, le=1 << 31)]

MAX_CHECKPOINT_BYTES = 4 << 20
LOOK_S = 0.3


class Begin(BaseModel):
    """What a verification is held against beside the ledger's own evidence."""

    checkpoint: str | None = Field(
        None, max_length=MAX_CHECKPOINT_BYTES, description="the text of a checkpoint's file that was kept outside"
    )


class Found(BaseModel):
    """One fault: the first record that has it."""

    kind: str
    table: str
    detail: str
    agent: str | None
    chain: str | None
    seq: int | None


class Verified(BaseModel):
    """A verification as it stands."""

    number: int
    state: str
    by: str
    began_at: str
    ended_at: str | None
    against_checkpoint: int | None
    share: float
    trouble: str | None
    ok: bool | None
    findings: list[Found]
    read: dict[str, Any] | None


class VerifiedList(BaseModel):
    """The last few, the newest first."""

    verifications: list[Verified]


@router.get("/verify")
def verify_page(page: PageOf, auditing: AuditingOf, who: Auditor) -> HTMLResponse:
    """What can be started, and what was."""
    del who
    return _shown(page, auditing, None)


@router.post("/verify")
async def begin(request: Request, page: PageOf, auditing: AuditingOf, who: Auditor) -> Response:
    """Start one, and lead to it."""
    form = await small_form(request, 2 * MAX_CHECKPOINT_BYTES)
    try:
        started = await run_in_threadpool(_started, request, auditing, who, form.get("checkpoint", ""))
    except Refused as error:
        return await run_in_threadpool(_shown, page, auditing, str(error), 400)
    return RedirectResponse(f"/verify/{started.number}", 303)


@router.get("/verify/{number}")
def verification(page: PageOf, auditing: AuditingOf, who: Auditor, number: Number) -> HTMLResponse:
    """One of them: how far it is, or what it found."""
    del who
    return rendered(page, "verification.html", section="/verify", v=_one(auditing, number))


@router.post("/verify/{number}/stop")
def stop(auditing: AuditingOf, who: Auditor, number: Number) -> Response:
    """Have it end."""
    del who
    auditing.verifications.stop(_one(auditing, number).number)
    return RedirectResponse(f"/verify/{number}", 303)


@api.get("/verifications")
def listed(auditing: AuditingOf, who: Auditor) -> VerifiedList:
    """The last few verifications that were started from the page."""
    del who
    return VerifiedList(verifications=[_said(one) for one in auditing.verifications.latest()])


@api.post("/verifications", status_code=202, responses={400: {}, 429: {}})
def begin_api(request: Request, auditing: AuditingOf, who: Auditor, wanted: Begin) -> Verified:
    """Start one; refused while another one runs."""
    return _said(_started(request, auditing, who, wanted.checkpoint or ""))


@api.get("/verifications/{number}", responses={404: {}})
def one(auditing: AuditingOf, who: Auditor, number: Number) -> Verified:
    """One of the last few, with what it found."""
    del who
    return _said(_one(auditing, number))


@api.post("/verifications/{number}/stop", responses={404: {}})
def stop_api(auditing: AuditingOf, who: Auditor, number: Number) -> Verified:
    """Have it end after what it reads now."""
    del who
    found = _one(auditing, number)
    auditing.verifications.stop(number)
    return _said(found)


@router.get("/verify/{number}/events")
async def events(auditing: AuditingOf, who: Auditor, number: Number) -> StreamingResponse:
    """How far it is, until it has ended."""
    del who
    found = _one(auditing, number)
    return StreamingResponse(_told(found), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _told(found: Verification) -> AsyncIterator[bytes]:
    last = b""
    while True:
        state = found.state
        said = orjson.dumps({"state": state, "share": round(found.share, 3)})
        if said != last:
            last = said
            yield b"event: progress\ndata: " + said + b"\n\n"
        if state != "running":
            return
        await asyncio.sleep(LOOK_S)


def _started(request: Request, auditing: Auditing, who: Who, checkpoint: str) -> Verification:
    expect: Checkpoint | None = None
    if checkpoint.strip():
        expect = understood(checkpoint.encode(), "the checkpoint")
    entry = entry_of(request)
    entry.pace.take(VERIFICATIONS, who.name)
    said = {"who": who.name, "role": who.role, "way": who.way, "from": request.state.caller.address}
    entry.audit.will(**said, verifies="all evidence", against=None if expect is None else expect.entry_index)
    return auditing.verifications.start(who.name, expect)


def _one(auditing: Auditing, number: int) -> Verification:
    found = auditing.verifications.get(number)
    if found is None:
        raise HTTPException(404, f"no verification {number} is kept here: the last few are, until the page restarts")
    return found


def _said(found: Verification) -> Verified:
    return Verified.model_validate(found.row())


def _shown(page: Page, auditing: Auditing, says: str | None, status: int = 200) -> HTMLResponse:
    answer = rendered(page, "verify.html", section="/verify", all=auditing.verifications.latest(), says=says)
    answer.status_code = status
    return answer
