"""What happened to each alert, in order: raised, acknowledged, resolved, and perhaps raised again.

Every change is an entry of the journal. An entry that says again what holds already changes nothing, so that one who
raises twice is heard once.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from ledger.reader import Reader

ChangeName = Literal["raised", "acknowledged", "resolved"]
_BY_KIND: dict[str, ChangeName] = {"alert": "raised", "acknowledgement": "acknowledged", "resolution": "resolved"}
_NAMESPACE = uuid.UUID("0d9a8f4e-3c0e-5b1e-9d51-7f2f1a3c5e90")
OVERLAP = 1_000
"""Entries that are read again: on a cluster a replica may show a later entry before an earlier one."""
_SINCE = (
    "SELECT entry_index, at, kind, JSONExtractString(body, 'data', 'alert_id') AS alert_id FROM journal "
    "WHERE entry_index >= {since:UInt64} AND kind IN ('alert', 'acknowledgement', 'resolution') ORDER BY entry_index"
)


@dataclass(frozen=True, slots=True)
class Change:
    """The `raising`th time (from 1) that the alert was raised, something changed."""

    alert_id: str
    raising: int
    name: ChangeName
    entry_index: int
    at_ns: int
    raised_at_ns: int

    @property
    def message_id(self) -> str:
        """The same for the same change, whoever reads it and however often."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.alert_id}\n{self.raising}\n{self.name}"))


class Changes:
    """Reads the journal as it grows."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._entries: dict[str, dict[int, tuple[ChangeName, int]]] = {}
        self.newest = -1
        """Index of the newest entry seen that changed an alert."""

    def read(self) -> list[str]:
        """Take in what is new; returns the alerts that it is about."""
        touched: dict[str, None] = {}
        for index, at, kind, alert_id in self._reader.query(_SINCE, {"since": max(0, self.newest - OVERLAP)}).rows:
            entries = self._entries.setdefault(alert_id, {})
            if index not in entries:
                entries[index] = (_BY_KIND[kind], unix_ns(at))
                touched[alert_id] = None
            self.newest = max(self.newest, int(index))
        return list(touched)

    def of(self, alert_id: str) -> list[Change]:
        """All changes of one alert, in order."""
        found: list[Change] = []
        raising, raised_at_ns, state = 0, 0, "resolved"
        for index, (name, at_ns) in sorted(self._entries.get(alert_id, {}).items()):
            if state not in _BEFORE[name]:
                continue
            state = name
            if name == "raised":
                raising, raised_at_ns = raising + 1, at_ns
            found.append(Change(alert_id, raising, name, index, at_ns, raised_at_ns))
        return found

    def all(self) -> list[Change]:
        """All changes of all alerts, as the journal has them."""
        return sorted((c for alert_id in self._entries for c in self.of(alert_id)), key=lambda c: c.entry_index)


_BEFORE: dict[ChangeName, frozenset[str]] = {
    "raised": frozenset({"resolved"}),
    "acknowledged": frozenset({"raised"}),
    "resolved": frozenset({"raised", "acknowledged"}),
}


def unix_ns(at: datetime | int) -> int:
    """Of a time as a query gives it: whole nanoseconds where the engine says them, else microseconds."""
    if isinstance(at, int):
        return at
    return int(at.timestamp()) * 1_000_000_000 + at.microsecond * 1_000
