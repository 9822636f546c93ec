"""What the journal says of alerts, followed entry by entry: what is open, what was resolved, what was foreseeable."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from ledger.assessment.accounts import Subject
from ledger.assessment.alert import FORESEEABLE, RAISED, RESOLVED, alert_id
from wire.rfc3339 import parse_ns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.assessment.alert import Alert
    from ledger.reader import Reader

STORM = "storm"
"""Journal entry by which a collector says that it stops, because too much of what arrives cannot be opened."""
DECLARING = frozenset({"run", "model", "lineage", "system", "policy", "import", "correction"})
_SINCE = """
SELECT entry_index, kind, if(kind IN ('alert', 'resolution', 'foreseeable', 'storm'), body, '')
FROM journal WHERE entry_index >= {next:UInt64} ORDER BY entry_index
"""


@dataclass(frozen=True, slots=True)
class Open:
    """An alert on record that is not resolved."""

    alert_id: str
    about: str
    kind: str
    subject: Subject
    threshold: str | None
    line_flop: str | None
    percent: int | None


class Register:
    """Follows the journal; what is in memory here can always be read again."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.next = 0
        """The first entry that was not read yet."""
        self.open: dict[str, Open] = {}
        """By what they are about."""
        self.of: dict[Subject, set[str]] = {}
        self.foreseen: set[tuple[Subject, str, str]] = set()
        """Subject, line and its amount."""
        self.storms: dict[str, tuple[int, str]] = {}
        """When each collector last stopped for a storm, Unix ns, and what it said."""
        self._about: dict[str, str] = {}
        self._resolved: Counter[str] = Counter()

    def catch_up(self) -> set[str]:
        """Read what was written since; returns the kinds of entries that were."""
        kinds = set()
        for index, kind, body in self._reader.query(_SINCE, {"next": self.next}).rows:
            kinds.add(kind)
            if body:
                self._take(kind, orjson.loads(body))
            self.next = index + 1
        return kinds

    def numbered(self, alert: Alert) -> Alert:
        """The alert as it would be raised now: one more than those like it that are over."""
        return replace(alert, occurrence=self._resolved[alert.about])

    def new(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Those that are not open, each once."""
        found = {alert.about: alert for alert in alerts if alert.about not in self.open}
        return [self.numbered(alert) for alert in found.values()]

    def open_of(self, subject: Subject) -> list[Open]:
        """What is open about it."""
        return [self.open[about] for about in sorted(self.of.get(subject, ()))]

    def _take(self, kind: str, entry: dict[str, Any]) -> None:
        data = entry["data"]
        if kind == RAISED:
            self._raise(data)
        elif kind == RESOLVED:
            about = self._about.get(data["alert_id"])
            if about is not None and about in self.open and self.open[about].alert_id == data["alert_id"]:
                gone = self.open.pop(about)
                self.of[gone.subject].discard(about)
                self._resolved[about] += 1
        elif kind == FORESEEABLE:
            subject = Subject(data["subject_kind"], data["subject"])
            self.foreseen.add((subject, data["threshold"], data["line_flop"]))
        else:
            self.storms[data["collector"]] = (parse_ns(entry["at"]), data["detail"])

    def _raise(self, data: dict[str, Any]) -> None:
        subject = Subject(data["subject_kind"], data["subject"])
        parts = (*subject, *(data[name] for name in ("kind", "threshold", "line_flop", "percent", "lead_days")))
        about = "\n".join("" if part is None else str(part) for part in parts)
        if alert_id(about, data["occurrence"]) != data["alert_id"] or data["occurrence"] < self._resolved[about]:
            return
        self._about[data["alert_id"]] = about
        rest = (data[name] for name in ("threshold", "line_flop", "percent"))
        self.open[about] = Open(data["alert_id"], about, data["kind"], subject, *rest)
        self.of.setdefault(subject, set()).add(about)
