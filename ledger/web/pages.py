"""The pages, as HTML: everything is in them before any script runs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import HTMLResponse

from ledger.errors import Retry
from ledger.web import words
from ledger.web.headline import headline
from ledger.web.listing import listed
from ledger.web.overview import Overview
from ledger.web.state import Page, PageOf

router = APIRouter(include_in_schema=False)


@router.get("/")
def overview(page: PageOf, q: str = "", number: Annotated[int, Query(alias="page")] = 1) -> HTMLResponse:
    """Every run and model against every line."""
    found = seen(page)
    return rendered(page, "overview.html", overview=found, headline=headline(found), found=listed(found, q, number))


def seen(page: Page) -> Overview:
    """What the last look found; raises `LedgerError` when there was none that found anything."""
    view = page.watch.view
    if view.found is None:
        raise Retry(view.trouble.says if view.trouble else "nobody has looked yet")
    return view.found


def rendered(page: Page, template: str, **found: Any) -> HTMLResponse:
    """A template with what every page shows: how old it is, and whether the ledger answers."""
    view = page.watch.view
    made = words.environment().get_template(template)
    return HTMLResponse(made.render(view=view, now_ns=page.now_ns(), **found))
