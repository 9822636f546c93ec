"""What is said when something is not there or does not work: a page that says what to do, and JSON under /api."""

from __future__ import annotations

import logging

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from ledger.errors import LedgerError, Refused
from ledger.web import words

log = logging.getLogger(__name__)

RETRY_S = 5


class NotOnRecord(Exception):
    """Nothing of this name is in the ledger; `near` are names that look like it."""

    def __init__(self, kind: str, name: str, near: list[str]) -> None:
        super().__init__(f"no {kind} of this name is on record")
        self.kind = kind
        self.name = name
        self.near = near


def install(app: FastAPI) -> None:
    """Have the application answer with these."""
    app.add_exception_handler(NotOnRecord, _not_on_record)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _misunderstood)
    app.add_exception_handler(LedgerError, _ledger_away)
    app.add_exception_handler(Exception, _our_mistake)


def page(status: int, title: str, says: str, **more: object) -> HTMLResponse:
    """One calm page."""
    template = words.environment().get_template("trouble.html")
    html = template.render(title=title, says=says, status=status, **{"near": [], "kind": "", "detail": "", **more})
    return HTMLResponse(html, status)


def _wants_json(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _json(status: int, says: str, **more: object) -> JSONResponse:
    return JSONResponse({"error": says, **more}, status)


def _not_on_record(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotOnRecord)
    if _wants_json(request):
        return _json(404, str(error), near=error.near)
    return page(
        404,
        f"No {error.kind} of this name",
        "The ledger has nothing under the name",
        name=error.name,
        near=error.near,
        kind=error.kind,
    )


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if _wants_json(request):
        answer: Response = _json(error.status_code, error.detail)
    elif error.status_code == 404:
        answer = page(404, "Nothing is here", "There is no page at this address.")
    else:
        answer = page(error.status_code, "This does not work that way", error.detail)
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer


def _misunderstood(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    says = "; ".join(f"{'.'.join(map(str, found['loc'][1:]))}: {found['msg']}" for found in error.errors())
    if _wants_json(request):
        return _json(422, says)
    return page(422, "This was not understood", says)


def _ledger_away(request: Request, error: Exception) -> Response:
    status = 400 if isinstance(error, Refused) and _wants_json(request) else 503
    if _wants_json(request):
        answer: Response = _json(status, str(error))
    else:
        answer = page(
            503,
            "The ledger does not answer",
            "It may be starting, busy, or being restored. This page tries again by itself, every few seconds.",
            detail=str(error),
        )
    answer.headers["retry-after"] = str(RETRY_S)
    return answer


def _our_mistake(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    says = "This is our own mistake. The server's log has the details; please report them."
    return _json(500, says) if _wants_json(request) else page(500, "Something went wrong here", says)
