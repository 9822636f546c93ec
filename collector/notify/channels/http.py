"""One POST that ends in bounded time and follows no redirect."""

from __future__ import annotations

import logging
import ssl
import time
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx

from collector.notify.errors import Refused, Unreached
from collector.notify.secret_file import cleaned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# At the level of single requests they name URLs, which may be secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_S = 5.0
ANSWER_S = 10.0
"""The whole of a call, however slowly the other side lets its bytes drip."""
READ_BYTES = 2_000
_AWAY = frozenset({408, 425, 429})
"""Answers below 500 that mean: later."""


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    ca_file: Path | None = None,
    auth: tuple[str, str] | None = None,
) -> str:
    """Send it and return how it was accepted: with any status of 2xx. Raises `Unreached` or `Refused`."""
    host = urlsplit(url).netloc.rpartition("@")[2]
    started_s = time.monotonic()
    try:
        client = _client(ca_file, None if ca_file is None else ca_file.stat().st_mtime_ns)
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        with client.stream("POST", url, content=body, headers=dict(headers), auth=auth, timeout=timeout) as answer:
            said = _beginning(answer, started_s + ANSWER_S)
    except httpx.TimeoutException as error:
        raise Unreached(f"{host} does not answer within {ANSWER_S:.0f} s") from error
    except httpx.InvalidURL as error:
        raise Refused("the URL cannot be used") from error
    except (httpx.HTTPError, OSError) as error:
        raise Unreached(cleaned(f"{host}: {error or type(error).__name__}")) from error
    return _judge(host, answer, cleaned(said))


@lru_cache(maxsize=16)
def _client(ca_file: Path | None, changed_ns: int | None) -> httpx.Client:
    """One for all calls that trust the same authorities: reading those takes longer than a call."""
    del changed_ns
    verify: ssl.SSLContext | bool = True if ca_file is None else ssl.create_default_context(cafile=ca_file)
    # A connection for each call: what was left open would break when a receiver restarts.
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(verify=verify, limits=limits, follow_redirects=False)


def _beginning(answer: httpx.Response, until_s: float) -> str:
    found = bytearray()
    for part in answer.iter_raw():
        found += part
        if len(found) >= READ_BYTES:
            break
        if time.monotonic() > until_s:
            raise httpx.ReadTimeout("the answer takes too long")
    return bytes(found[:READ_BYTES]).decode(errors="replace")


def _judge(host: str, answer: httpx.Response, said: str) -> str:
    status = answer.status_code
    words = f"{host} answered {status}" + (f": {said}" if said else "")
    if answer.is_success:
        return f"{host} answered {status}"
    if answer.has_redirect_location or 300 <= status < 400:
        raise Refused(f"{host} answered {status}, a redirect, which is not followed: name the final URL instead")
    if status >= 500 or status in _AWAY:
        raise Unreached(words, _retry_after_s(answer))
    raise Refused(words)


def _retry_after_s(answer: httpx.Response) -> float | None:
    asked = answer.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else None
