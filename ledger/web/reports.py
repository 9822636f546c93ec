"""The report as the ledger makes it: chosen here, opened as a page of its own or taken along."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse, Response

from ledger.errors import Refused
from ledger.report.gather import gather
from ledger.report.render import html_report, json_report, markdown_report
from ledger.web.entry.gate import needs
from ledger.web.entry.roles import Role, Who
from ledger.web.pages import rendered
from ledger.web.state import Page, PageOf

router = APIRouter(include_in_schema=False)
api = APIRouter(tags=["ledger"])
Viewer = Annotated[Who, needs(Role.VIEWER)]
Name = Annotated[str, Query(min_length=1, max_length=512)]
Kind = Literal["", "model", "system", "run"]

CONTENT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The report carries its style in itself, and no script."""
_OFFERED = """
SELECT DISTINCT subject_kind, subject FROM subject_runs WHERE subject_kind IN ('model', 'system', 'run')
ORDER BY indexOf(['model', 'system', 'run'], subject_kind), subject LIMIT 2000
"""
_LINES = """
SELECT id, jurisdiction, instrument, status FROM thresholds WHERE subject != 'cluster'
ORDER BY status != 'in force', jurisdiction, id
"""
_MAKERS = {"html": html_report, "json": json_report, "markdown": markdown_report}
_MEDIA_TYPES = {"html": "text/html", "json": "application/json", "markdown": "text/markdown; charset=utf-8"}
_ENDINGS = {"html": "html", "json": "json", "markdown": "md"}


@router.get("/report")
def report_form(page: PageOf, who: Viewer, subject: str = "", threshold: str = "eu-aia-51-2") -> HTMLResponse:
    """Whom about, and against which line."""
    del who
    return _form(page, subject, threshold, None)


@router.get("/report/document")
def document(
    page: PageOf,
    who: Viewer,
    subject: Name,
    threshold: Name,
    kind: Kind = "",
    form: Literal["html", "json", "markdown"] = "html",
    take: bool = False,
) -> Response:
    """The report, to read or to take along."""
    del who
    try:
        text = _MAKERS[form](gather(page.access, subject, threshold, kind, page.now_ns()))
    except Refused as error:
        return _form(page, subject, threshold, str(error), 404)
    headers = {"content-security-policy": CONTENT_POLICY}
    if take or form != "html":
        headers["content-disposition"] = f'attachment; filename="flopledger-report.{_ENDINGS[form]}"'
    return Response(text, media_type=_MEDIA_TYPES[form], headers=headers)


@api.get("/report", response_class=Response, responses={200: {"content": {"application/json": {}}}, 400: {}})
def report_api(page: PageOf, who: Viewer, subject: Name, threshold: Name, kind: Kind = "") -> Response:
    """All values of the report on one model, system or run against one line."""
    del who
    text = json_report(gather(page.access, subject, threshold, kind, page.now_ns()))
    return Response(text, media_type="application/json")


def _form(page: Page, subject: str, threshold: str, says: str | None, status: int = 200) -> HTMLResponse:
    offered = page.access.query(_OFFERED).rows
    lines = page.access.query(_LINES).dicts()
    answer = rendered(
        page,
        "report_form.html",
        section="/report",
        offered=offered,
        lines=lines,
        subject=subject,
        threshold=threshold,
        says=says,
    )
    answer.status_code = status
    return answer
