"""Agents' chains of sealed batches, and the ledger's way of taking them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.evidence import Evidence
from tests.wire.batches import batch, reading
from wire.batch import Readings
from wire.opening import open_batch
from wire.seal import key_id, seal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ledger.ledger import Ledger
    from ledger.store import Store
    from wire.batch import Reading
    from wire.seal import Sealed

NOW_NS = 1_795_444_000_000_000_000
"""2026-11-23T14:26:40Z."""
HOUR_NS = 3_600_000_000_000
UNMEASURED = dict.fromkeys(("busy_ns", "observed_ns", "gap_ns", "energy_mj", "tokens"))


class Chain:
    """One agent: seals batches that follow one another. Agents of different numbers are different agents."""

    def __init__(self, number: int = 0) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([number, *range(31)]))
        self._number = number
        self._lives = 0
        self._sealed: list[Sealed] = []
        self.agent = key_id(self._key.public_key())
        self.node = f"node-{number}"

    @property
    def incarnation(self) -> UUID:
        """A UUIDv7, born at a fraction of a second as real ones are."""
        born_ms = NOW_NS // 1_000_000 + 460
        return UUID(int=(born_ms << 80) + (7 << 76) + (self._number << 64) + (2 << 62) + self._lives)

    def restart(self) -> None:
        """Another process goes on with the chain: its counters begin at zero."""
        self._lives += 1

    def seal(self, *readings: Reading, **changes: Any) -> Sealed:
        values: dict[str, Any] = {
            "agent": self.agent,
            "node": self.node,
            "chain": UUID(int=self._number),
            "incarnation": self.incarnation,
            "seq": len(self._sealed),
            "prev": self._sealed[-1].sha256.hex() if self._sealed else None,
            "sealed_at_ns": max((r.at_ns for r in readings), default=NOW_NS),
            "readings": Readings.from_rows(readings),
            "devices": (),
            "events": (),
        }
        self._sealed.append(seal(batch(**{**values, **changes}), self._key))
        return self._sealed[-1]


def meter(flop: int | None, low: int | None = None, high: int | None = None, /, **changes: Any) -> Reading:
    """A reading that says little else than FLOP; without bounds of its own it has the point's."""
    bounds = {"flop_low": flop if low is None else low, "flop_high": flop if high is None else high}
    return reading(**{"at_ns": NOW_NS, **UNMEASURED, "flop": flop, **bounds, **changes})


def evidence(sealed: Sealed, excluded_reason: str | None = None, offset: int = 0) -> Evidence:
    """As the collector makes it of what it read."""
    return Evidence(sealed, open_batch(sealed), NOW_NS, "topic", 0, offset, excluded_reason)


def take(ledger: Ledger, sealed: Sequence[Sealed]) -> list[str | None]:
    """One poll of the collector: judged, then recorded. Returns why each batch is not counted."""
    items = [evidence(item, offset=offset) for offset, item in enumerate(sealed)]
    reasons = ledger.collisions(items)
    ledger.record([replace(item, excluded_reason=why) for item, why in zip(items, reasons, strict=True)])
    return reasons


def empty(store: Store) -> None:
    filled = store.query("SELECT name FROM system.tables WHERE database = currentDatabase() AND total_rows > 0").rows
    for (table,) in filled:
        if table != "migrations":
            store.command(f"TRUNCATE TABLE {table}")
