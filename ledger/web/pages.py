"""The pages, as HTML: everything is in them before any script runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse

from ledger.web import words
from ledger.web.headline import headline
from ledger.web.listing import listed
from ledger.web.state import Page, PageOf

router = APIRouter(include_in_schema=False)


@router.get("/")
def overview(page: PageOf, q: str = "", number: Annotated[int, Query(alias="page")] = 1) -> HTMLResponse:
    """Every run and model against every line."""
    found = page.overview()
    return rendered(page, "overview.html", overview=found, headline=headline(found), found=listed(found, q, number))


@router.get("/runs/{run_id:path}")
def run(page: PageOf, run_id: str) -> HTMLResponse:
    """One run: how it grew, how it may go on, and what it is made of."""
    return rendered(page, "run.html", overview=page.overview(), run=page.run(run_id))


@router.get("/models/{model_id:path}")
def model(page: PageOf, model_id: str) -> HTMLResponse:
    """One model: what counts, and the runs behind it."""
    return rendered(page, "model.html", overview=page.overview(), group=page.group("model", model_id))


@router.get("/systems/{system_id:path}")
def system(page: PageOf, system_id: str) -> HTMLResponse:
    """One system of several models."""
    return rendered(page, "model.html", overview=page.overview(), group=page.group("system", system_id))


@router.get("/fleet")
def fleet(page: PageOf) -> HTMLResponse:
    """Devices by method, who is silent, and what belongs to nobody."""
    return rendered(page, "fleet.html", overview=page.overview(), fleet=page.fleet())


def rendered(page: Page, template: str, **found: Any) -> HTMLResponse:
    """A template with what every page shows: how old it is, and whether the ledger answers."""
    made = words.environment().get_template(template)
    return HTMLResponse(made.render(view=page.watch.view, now_ns=page.now_ns(), **found))
