"""The gate that every request passes: from here, who, not too often, on; and what is written down of it.

Assets and the sign-in form are for everybody; there is nothing of the ledger in them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import HTTPException, Request, Security
from fastapi.security import HTTPBearer
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli.exits import Misconfigured
from ledger.web import trouble
from ledger.web.entry.admission import Entry, NotLetIn
from ledger.web.entry.pace import KNOCKS, REQUESTS, TooOften
from ledger.web.entry.proxy import Caller
from ledger.web.entry.roles import Role, Who

log = logging.getLogger(__name__)

SIGN_IN = "/sign-in"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FOR_ALL = ("/static/", "/favicon.ico", "/healthz", SIGN_IN)


class Gate:
    """Lets through whom `admission` knows; `request.state.who` and `.caller` are there behind it."""

    def __init__(self, app: ASGIApp, entry: Entry) -> None:
        self._app = app
        self._admission = entry.admission
        self._pace = entry.pace
        self._audit = entry.audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer with why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._pass(Request(scope, receive), send)
        else:
            raise RuntimeError("nothing but HTTP is served here")

    async def _pass(self, request: Request, send: Send) -> None:
        began = time.perf_counter()
        scope = request.scope
        caller = self._caller(request)
        who: Who | None = None
        answer: Response | None = None
        try:
            _refuse_other_origins(request, caller)
            if not request.url.path.startswith(_FOR_ALL):
                who = await run_in_threadpool(self._who, request, caller)
                if who is None:
                    answer = self._sign_in(request)
        except TooOften as error:
            answer = _sorry(request, 429, str(error), {"retry-after": str(error.after_s)})
        except NotLetIn as error:
            answer = _sorry(request, 401, str(error), {"www-authenticate": "Bearer"})
        except Misconfigured as error:
            log.error("nobody can be let in: %s", error)
            answer = _sorry(request, 503, "who may come in cannot be read: the server's log says why", {})
        except HTTPException as error:
            answer = _sorry(request, error.status_code, error.detail, {})
        scope.setdefault("state", {}).update(who=who, caller=caller)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                if caller.https:
                    MutableHeaders(scope=message).setdefault("strict-transport-security", "max-age=31536000")
                self._note(request, caller, who, message["status"], time.perf_counter() - began)
            await send(message)

        await (answer or self._app)(scope, request.receive, noted)

    def _caller(self, request: Request) -> Caller:
        peer = request.client.host if request.client else "local"
        return self._admission.proxies.caller(peer, request.url.scheme == "https", request.headers)

    def _who(self, request: Request, caller: Caller) -> Who | None:
        self._pace.check(KNOCKS, caller.address)
        try:
            who = self._admission.who(caller, request.url.hostname or "", request.headers, request.cookies)
        except NotLetIn:
            self._pace.take(KNOCKS, caller.address)
            raise
        if who is not None and who.way != "loopback":
            self._pace.take(REQUESTS, who.name)
        return who

    def _sign_in(self, request: Request) -> Response:
        """What somebody gets who brings nothing: the form, or for a program the sentence."""
        asked_for_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if self._admission.tokens is not None and asked_for_page and not _is_api(request):
            back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"{SIGN_IN}?next={quote(back, safe='')}", 303)
        way = "with a token, as `Authorization: Bearer …`" if self._admission.tokens else "by the proxy that signs in"
        return _sorry(request, 401, f"this page wants to know who you are: come {way}", _BEARER)

    def _note(self, request: Request, caller: Caller, who: Who | None, status: int, took_s: float) -> None:
        path = request.url.path
        if path.startswith(("/static/", "/favicon.ico", "/healthz")):
            return
        what: dict[str, Any] = {
            "who": who.name if who else None,
            "role": who.role if who else None,
            "way": who.way if who else None,
            "from": caller.address,
            "method": request.method,
            "path": path,
            "query": request.url.query or None,
            "status": status,
        }
        if request.method in _SAFE and status < 400:
            self._audit.looked(**what)
        else:
            self._audit.did(**what, ms=round(took_s * 1_000))


_BEARER = {"www-authenticate": "Bearer"}
_bearer = HTTPBearer(auto_error=False, description="a token that `flopledger web token` made")


def needs(role: Role) -> Any:
    """A dependency of a route: only for whom this role, or one above it, was given."""

    def checked(request: Request, said: object = Security(_bearer)) -> Who:
        del said
        who = who_asks(request)
        if not who.role.covers(role):
            raise HTTPException(
                403, f"this takes the role {role}, and {who.name} is {who.role}: ask whoever gives out tokens here"
            )
        return who

    return Security(checked)


def entry_of(request: Request) -> Entry:
    """What was set up for who may come in."""
    found: Entry = request.app.state.entry
    return found


def who_asks(request: Request) -> Who:
    """Whom the gate has let in."""
    who = request.state.who
    assert isinstance(who, Who)
    return who


def too_often(request: Request, error: Exception) -> Response:
    """What a route answers whose own pace somebody exceeds."""
    assert isinstance(error, TooOften)
    return _sorry(request, 429, str(error), {"retry-after": str(error.after_s)})


def _refuse_other_origins(request: Request, caller: Caller) -> None:
    """What changes something must come from our own page, or from a program: browsers say where they come from."""
    if request.method in _SAFE:
        return
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        ours = site in {"same-origin", "none"}
    else:
        origin = request.headers.get("origin")
        ours = origin is None or _is_ours(origin, caller, request.headers)
    if not ours:
        raise HTTPException(403, "this was sent from another site's page, and is not done for that")


def _is_ours(origin: str, caller: Caller, headers: Mapping[str, str]) -> bool:
    """Older browsers name the origin alone."""
    parts = urlsplit(origin)
    forwarded = headers.get("x-forwarded-host") if caller.trusted else None
    return parts.netloc != "" and parts.netloc == (forwarded or headers.get("host", ""))


def _is_api(request: Request) -> bool:
    return request.url.path.startswith(("/api/", "/live"))


def _sorry(request: Request, status: int, says: str, headers: Mapping[str, str]) -> Response:
    if _is_api(request) or "text/html" not in request.headers.get("accept", ""):
        answer: Response = JSONResponse({"error": says}, status)
    else:
        title = {401: "Who is there?", 429: "A little slower, please"}.get(status, "This does not work that way")
        answer = trouble.page(status, title, says)
    answer.headers.update(headers)
    return answer
