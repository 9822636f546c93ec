"""Secrets are files, read each time they are used, so that a rotated one counts at once. What is said about a failure
is cleaned of them first.
"""

from __future__ import annotations

import logging
import stat
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from cli.exits import Misconfigured
from collector.notify.errors import Unreached

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

log = logging.getLogger(__name__)

SHORTEST = 6
"""Shorter pieces are no secrets, and taking them out would make a sentence unreadable."""
HIDDEN = "…"
_seen: set[str] = set()


def check_secret(channel: str, name: str, path: Path) -> str:
    """What is in the file, when a collector starts; raises `Misconfigured` with what to do."""
    where = f"channel {channel}: {name} {path}"
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise Misconfigured(f"{where} does not exist: put the secret there, or name another file") from error
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise Misconfigured(f"{where} cannot be read: {why}") from error
    if not text:
        raise Misconfigured(f"{where} is empty: put the secret there")
    _seen.add(text)
    if mode & stat.S_IROTH:
        log.warning("%s can be read by everybody on this machine: chmod o-r", where)
    return text


def read_secret(path: Path) -> str:
    """What is in the file now; one that has gone since the start holds the channel up, and loses nothing."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreached(f"the secret file {path} cannot be read: {getattr(error, 'strerror', 'not text')}") from error
    if not text:
        raise Unreached(f"the secret file {path} is empty")
    _seen.add(text)
    return text


def cleaned(text: str, longest: int = 300) -> str:
    """One line of `text` without any secret of any channel, however it is quoted, nor any part of a secret URL."""
    for piece in sorted(set(_pieces(tuple(_seen))), key=len, reverse=True):
        text = text.replace(piece, HIDDEN)
    return " ".join(text.split())[:longest]


def _pieces(secrets: Iterable[str]) -> Iterable[str]:
    for secret in secrets:
        for form in (secret, unquote(secret), quote(secret, safe="")):
            yield from (part for part in (form, *_parts_of_url(form)) if len(part) >= SHORTEST)


def _parts_of_url(text: str) -> list[str]:
    scheme, mark, rest = text.partition("://")
    if not mark:
        return []
    for sign in "/?&=@:#":
        rest = rest.replace(sign, " ")
    # A host may be said: it is what helps.
    return [part for part in rest.split() if part != scheme and "." not in part]
