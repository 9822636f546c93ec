"""Style, scripts and font, from inside the package: no network beyond this server is asked for anything.

An asset's address holds a hash of its content, so browsers keep it for good and a new version is a new address.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "woff2": "font/woff2",
    "svg": "image/svg+xml",
}
_FOREVER = {"cache-control": "public, max-age=31536000, immutable"}
_FONT = "inter.woff2"

router = APIRouter(include_in_schema=False)


@cache
def content(name: str) -> bytes:
    """What is shipped under `name`; raises KeyError for a name that is not."""
    ending = name.rpartition(".")[2]
    found = files("ledger.web") / "static" / name
    if ending not in MEDIA_TYPES or "/" in name or not found.is_file():
        raise KeyError(name)
    data = found.read_bytes()
    # The style names the font by its address, which holds the font's hash.
    return data.replace(_FONT.encode(), address(_FONT).encode()) if ending == "css" else data


@cache
def address(name: str) -> str:
    """Where the asset is to be had."""
    return f"/static/{hashlib.sha256(content(name)).hexdigest()[:12]}/{name}"


@router.get("/static/{digest}/{name}")
def asset(digest: str, name: str) -> Response:
    """One asset, whatever version of it was asked for: a page from before an update gets what there is now."""
    try:
        data = content(name)
    except KeyError as error:
        raise HTTPException(404) from error
    kept = _FOREVER if address(name) == f"/static/{digest}/{name}" else {}
    return Response(data, media_type=MEDIA_TYPES[name.rpartition(".")[2]], headers=kept)


@router.get("/favicon.ico")
def icon() -> Response:
    """Browsers ask for it unasked."""
    return Response(content("icon.svg"), media_type=MEDIA_TYPES["svg"])
