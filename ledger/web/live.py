"""Server-sent events: which version of the ledger is shown, and whether it can be read. Browsers fetch the rest.

One small message per change for everybody. Who is slow misses versions in between, and nothing is queued for them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.responses import StreamingResponse

from ledger.web.overview import Overview
from ledger.web.state import Page, PageOf
from ledger.web.watch import View
from wire.rfc3339 import format_ns

HEARTBEAT_S = 15.0
RETRY_MS = 2_000
"""After a lost connection the browser tries again so soon."""

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live(page: PageOf) -> StreamingResponse:
    """News until the viewer goes or the server ends."""
    return StreamingResponse(_events(page), media_type="text/event-stream", headers={"x-accel-buffering": "no"})


async def _events(page: Page) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    seen = -1
    while not page.watch.stopped:
        view = await page.watch.after(seen, HEARTBEAT_S)
        if view.version == seen:
            yield b": still here\n\n"
        else:
            seen = view.version
            yield b"event: version\ndata: " + _said(view) + b"\n\n"


def _said(view: View[Overview]) -> bytes:
    said: dict[str, Any] = {
        "version": view.version,
        "at": format_ns(view.at_ns) if view.at_ns else None,
        "trouble": None,
    }
    if view.trouble is not None:
        said["trouble"] = {"since": format_ns(view.trouble.since_ns), "says": view.trouble.says}
    return orjson.dumps(said)
