"""Which stored batches may go when the outbox is full.

A counter's later reading makes an earlier one unnecessary: a batch may go when every meter in it has a later reading,
of the same incarnation, in a batch that stays. The batch sealed next names the missing range, so that the chain still
checks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Thinned:
    """A range of the chain that is gone: first and last seq, and the hex SHA-256 of the last."""

    first_seq: int
    last_seq: int
    last_sha256: str


def superseded(rows: Sequence[tuple[int, str, bytes, int, bytes, int]], wanted_bytes: int) -> tuple[list[Thinned], int]:
    """Ranges that may go, oldest first, until `wanted_bytes` are free; and how many bytes that frees.

    `rows` are (seq, incarnation, meters as JSON, keep, sha256, bytes) in order of seq.
    """
    meters = [{(incarnation, *meter) for meter in orjson.loads(encoded)} for _, incarnation, encoded, _, _, _ in rows]
    later = Counter(meter for held in meters for meter in held)
    gone: list[tuple[int, bytes]] = []
    freed = 0
    for (seq, _, _, keep, sha256, size), held in zip(rows, meters, strict=True):
        later.subtract(held)
        if freed < wanted_bytes and not keep and all(later[meter] > 0 for meter in held):
            gone.append((seq, sha256))
            freed += size
    return _ranges(gone), freed


def _ranges(gone: Sequence[tuple[int, bytes]]) -> list[Thinned]:
    ranges: list[Thinned] = []
    for seq, sha256 in gone:
        if ranges and ranges[-1].last_seq == seq - 1:
            ranges[-1] = Thinned(ranges[-1].first_seq, seq, sha256.hex())
        else:
            ranges.append(Thinned(seq, seq, sha256.hex()))
    return ranges
