"""The page as an application: what is watched, what is answered, and what is refused.

look (watch.py) → gather (overview.py, run.py, …) → answer once for all viewers (answers.py) → render (pages.py, api.py)
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from cli.settings import Settings
from ledger.access import Access
from ledger.web import acknowledging, api, ask, assets, evidence_pages, live, pages, reports, trouble, verify
from ledger.web.auditing import Auditing
from ledger.web.entry import sign_in
from ledger.web.entry.admission import Entry
from ledger.web.entry.gate import Gate, too_often
from ledger.web.entry.pace import TooOften
from ledger.web.guard import Guard
from ledger.web.state import Page

API = "/api/v1"


def create_app(access: Access, settings: Settings, now_ns: Callable[[], int] = time.time_ns) -> FastAPI:
    """The application over one ledger. Looks at it while it is served; nothing is written by a GET."""
    page = Page.over(access, settings, now_ns)
    entry = Entry.of(settings, now_ns)
    auditing = Auditing.over(access, settings, now_ns)

    @asynccontextmanager
    async def watching(app: FastAPI) -> AsyncIterator[None]:
        del app
        page.watch.start()
        try:
            yield
        finally:
            page.watch.stop()
            auditing.close()
            entry.audit.close()

    app = FastAPI(
        title="flopledger",
        version=version("flopledger"),
        description="Cumulative training compute per run and model, against lines in law. FLOP are exact integers as "
        "decimal strings; times are RFC 3339 in UTC; null is unknown and never zero.",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=watching,
    )
    app.state.page = page
    app.state.entry = entry
    app.state.auditing = auditing
    # The one that is added last is passed first.
    app.add_middleware(Gate, entry=entry)
    app.add_middleware(Guard)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5)
    app.include_router(sign_in.router)
    app.include_router(api.router, prefix=API)
    for part in (ask, verify, evidence_pages, reports):
        app.include_router(part.api, prefix=API)
        app.include_router(part.router)
    app.include_router(acknowledging.api, prefix=API)
    app.include_router(live.router)
    app.include_router(assets.router)
    app.include_router(pages.router)
    trouble.install(app)
    app.add_exception_handler(TooOften, too_often)
    return app
