"""Sixty-four bits that stand for a meter's key.

Totals group by this id, so two keys with one id would hide each other's work behind a maximum. An honest collision is
out of reach, a forged one is not; so every new id is compared with the key it stands for, here and in the ledger.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from wire.batch import KEY_COLUMNS, Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from ledger.evidence import Evidence
    from ledger.store import Store

Place = tuple[str, int]
"""A run and a meter id in it."""
MAX_REMEMBERED = 1_000_000


def fingerprint(incarnation: UUID, key: Key) -> tuple[int, int]:
    """The meter id, and another 64 bits of the same hash that tell a collision from a repetition."""
    digest = hashlib.blake2b(incarnation.bytes, digest_size=16)
    for part in key:
        # The length goes first, so that no two keys run together to the same bytes.
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "little") + encoded)
    raw = digest.digest()
    return int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")


class MeterTable(NamedTuple):
    """Meters of one incarnation as a batch names them, and as columns of the ledger."""

    keys: Sequence[Key]
    ids: list[int]
    columns: tuple[list[str], ...]
    """By column of a meter's key."""


class MeterIds:
    """Gives out meter ids, and finds an id that stands for two keys of the same run."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[UUID, dict[Key, int]] = {}
        self._checks: dict[Place, int] = {}
        self._tables: dict[UUID, MeterTable] = {}

    def of(self, incarnation: UUID, keys: Iterable[Key]) -> list[int]:
        """The ids of these meters, which `collisions` has seen and found nothing against."""
        known = self._known[incarnation]
        return [known[key] for key in keys]

    def table(self, incarnation: UUID, keys: Sequence[Key]) -> MeterTable:
        """The same with the keys by column, remembered for as long as an incarnation's meters stay the same."""
        table = self._tables.get(incarnation)
        if table is None or table.keys is not keys:
            columns = tuple(map(list, zip(*keys, strict=True)))
            table = self._tables[incarnation] = MeterTable(keys, self.of(incarnation, keys), columns)
        return table

    def collisions(self, evidence: Sequence[Evidence]) -> list[str | None]:
        """For each batch, why one of its meters cannot be told from another meter of the run; None when all is well."""
        if len(self._checks) > MAX_REMEMBERED:
            self._known.clear()
            self._checks.clear()
            self._tables.clear()
        fresh = [self._fresh(item.batch.incarnation, item.batch.readings.meters) for item in evidence]
        if any(fresh):
            self._learn({(key[0], meter_id) for prints in fresh for key, (meter_id, _) in prints.items()})
        return [self._clash(item, prints) if prints else None for item, prints in zip(evidence, fresh, strict=True)]

    def _fresh(self, incarnation: UUID, keys: Sequence[Key]) -> dict[Key, tuple[int, int]]:
        table = self._tables.get(incarnation)
        if table is not None and table.keys is keys:
            return {}
        known = self._known.setdefault(incarnation, {})
        return {key: fingerprint(incarnation, key) for key in keys if key not in known}

    def _clash(self, item: Evidence, prints: Mapping[Key, tuple[int, int]]) -> str | None:
        for key, (meter_id, check) in prints.items():
            if self._checks.setdefault((key[0], meter_id), check) != check:
                return f"readings: meter id {meter_id} of run {key[0]!r} stands for another meter already"
        # Only now: a key that clashes is looked at, and refused, every time that it comes.
        self._known[item.batch.incarnation].update({key: meter_id for key, (meter_id, _) in prints.items()})
        return None

    def _learn(self, places: set[Place]) -> None:
        """What the ledger holds under these ids."""
        result = self._store.query(
            f"SELECT meter_id, incarnation, {', '.join(KEY_COLUMNS)} FROM meters "
            "WHERE run IN {runs:Array(String)} AND meter_id IN {ids:Array(UInt64)}",
            {"runs": sorted({run for run, _ in places}), "ids": [meter_id for _, meter_id in places]},
        )
        for meter_id, incarnation, *key in result.rows:
            self._checks[key[0], meter_id] = fingerprint(incarnation, tuple(key))[1]
