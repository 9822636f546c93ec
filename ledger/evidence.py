"""One sealed batch on its way into the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wire.batch import Batch
    from wire.seal import Sealed


@dataclass(frozen=True, slots=True)
class Evidence:
    """The signed bytes, what they say, and where and when they were read.

    `excluded_reason` says why a batch that is signed but cannot be true counts towards no total.
    """

    sealed: Sealed
    batch: Batch
    received_at_ns: int
    topic: str
    partition: int
    offset: int
    excluded_reason: str | None = None
