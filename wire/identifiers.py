"""Chains and incarnations by name: an agent sends the same two with every batch."""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from wire.errors import Malformed

REMEMBERED = 100_000


class Identifier(UUID):
    """A UUID that keeps its text, which is asked for with every batch."""

    __slots__ = ("_hash", "_text")
    _hash: int
    _text: str

    def __init__(self, text: str) -> None:
        super().__init__(text)
        object.__setattr__(self, "_text", super().__str__())
        object.__setattr__(self, "_hash", super().__hash__())

    def __str__(self) -> str:
        return self._text

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or super().__eq__(other)

    def __reduce__(self) -> tuple[type[Identifier], tuple[str]]:
        return Identifier, (self._text,)


@lru_cache(REMEMBERED)
def known_uuid(text: str, field: str) -> UUID:
    """The UUID that a field holds in its canonical form; raises `Malformed`."""
    try:
        value = Identifier(text)
    except ValueError as error:
        raise Malformed("not a UUID", field) from error
    if str(value) != text:
        raise Malformed("not the canonical form of a UUID", field)
    return value
