"""Signing in with a token, for people with a browser; signing out; and whether the page is alive."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from ledger.web import words
from ledger.web.entry.gate import SIGN_IN, entry_of
from ledger.web.entry.pace import KNOCKS, TooOften
from ledger.web.entry.sessions import LASTS_S, cookie_name

MAX_FORM_BYTES = 4_096
router = APIRouter(include_in_schema=False)


@router.get("/healthz")
def healthz() -> PlainTextResponse:
    """The server answers; whether the ledger does, its pages say."""
    return PlainTextResponse("ok\n")


@router.get(SIGN_IN)
def sign_in_form(request: Request, back: Annotated[str, Query(alias="next")] = "/") -> Response:
    """The form, or the page itself where nobody is asked."""
    if entry_of(request).admission.sessions is None:
        return RedirectResponse(local(back), 303)
    return _form(back)


@router.post(SIGN_IN)
async def sign_in(request: Request) -> Response:
    """A session for a good token."""
    form = await small_form(request)
    token, back = form.get("token", "").strip(), form.get("next", "/")
    admission, pace = entry_of(request).admission, entry_of(request).pace
    address = request.state.caller.address
    try:
        pace.check(KNOCKS, address)
        found = None if admission.tokens is None else await run_in_threadpool(admission.tokens.of, token)
        if found is None:
            pace.take(KNOCKS, address)
    except TooOften as error:
        return _form(back, str(error), 429)
    if found is None or admission.sessions is None:
        return _form(back, "This token is not known here, or not any more.", 401)
    answer = RedirectResponse(local(back), 303)
    secure = request.state.caller.https
    answer.set_cookie(
        cookie_name(secure),
        admission.sessions.begin(found.mark),
        max_age=LASTS_S,
        path="/",
        secure=secure,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request) -> Response:
    """Forget the session in this browser."""
    answer = RedirectResponse(SIGN_IN, 303)
    secure = request.state.caller.https
    answer.delete_cookie(cookie_name(secure), path="/", secure=secure, httponly=True, samesite="lax")
    return answer


def local(back: str) -> str:
    """Only a path of this page: nobody is sent elsewhere."""
    plain = back.isascii() and back.isprintable() and "\\" not in back
    return back if plain and back.startswith("/") and not back.startswith("//") else "/"


async def small_form(request: Request, max_bytes: int = MAX_FORM_BYTES) -> dict[str, str]:
    """The last value of each field of a form; one that is too large, or none, is taken for empty."""
    parts: list[bytes] = []
    async for part in request.stream():
        parts.append(part)
        if sum(map(len, parts)) > max_bytes:
            return {}
    try:
        said = parse_qs(b"".join(parts).decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in said.items()}


def _form(back: str, says: str = "", status: int = 200) -> HTMLResponse:
    template = words.environment().get_template("sign_in.html")
    return HTMLResponse(template.render(back=local(back), says=says), status)
