"""Chains and incarnations by name: an agent sends the same two with every batch."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from wire.errors import Malformed

REMEMBERED = 100_000


@lru_cache(REMEMBERED)
def known_uuid(text: str, field: str) -> UUID:
    """The UUID that a field holds in its canonical form; raises `Malformed`."""
    try:
        value = UUID(text)
    except ValueError as error:
        raise Malformed("not a UUID", field) from error
    if str(value) != text:
        raise Malformed("not the canonical form of a UUID", field)
    return value
