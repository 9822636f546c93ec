"""Telling one set of attributes from another, whatever order they came in."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import KeyValue


def canonical(attributes: Iterable[KeyValue]) -> bytes:
    """A digest of attributes as a set."""
    return digest(*sorted(pair.SerializeToString(deterministic=True) for pair in attributes))


def digest(*parts: bytes) -> bytes:
    """SHA-256 over `parts`, each with its length before it, so that no two lists of parts give the same bytes."""
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8))
        state.update(part)
    return state.digest()
