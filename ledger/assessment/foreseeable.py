"""From when on a crossing was foreseeable: the rule, and the journal entry that is made once and never moved.

Version 1 of the rule: the first of these three.

budget       the declared budget goes beyond the line
probability  three hourly assessments in a row give at least even odds of crossing before the planned end, or within
             ninety days where none is declared
crossed      the estimate has crossed the line, which ends every doubt

The rows of three are kept in the table `outlook`, so a restart does not begin them again; several assessments within
one hour count as one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pyarrow as pa

from ledger.assessment.accounts import Subject
from ledger.assessment.alert import FORESEEABLE
from ledger.assessment.reached import line_alert
from ledger.journal import Statement
from ledger.rows import required
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.assessment.alert import Alert
    from ledger.reader import Reader
    from ledger.thresholds import Threshold

RULE = "1"
EVEN_ODDS = 0.5
IN_A_ROW = 3
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
ROWS = pa.schema(
    [
        required("subject_kind", pa.string()),
        required("subject", pa.string()),
        required("threshold", pa.string()),
        required("line_flop", pa.binary(32)),
        required("at", pa.timestamp("ns", "UTC")),
        required("probability", pa.float64()),
        required("in_a_row", pa.uint32()),
    ]
)
_LAST = """
SELECT subject_kind, subject, threshold, line_flop, toUnixTimestamp64Nano(max(o.at)), argMax(o.in_a_row, o.at)
FROM outlook AS o GROUP BY subject_kind, subject, threshold, line_flop
"""


class Crossing(NamedTuple):
    """What may be foreseeable: that a subject crosses a line of this amount, FLOP."""

    subject: Subject
    threshold: str
    line_flop: str


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A moment to put on record, in FLOP and Unix ns."""

    subject: Subject
    line: Threshold
    because: Literal["budget", "probability", "crossed"]
    basis: str
    flop: int
    at_ns: int
    probability: float | None = None

    @property
    def notify_by_ns(self) -> int | None:
        """When the notification that the line asks for is due; None where it names no term."""
        days = self.line.notify_within_days
        return None if days is None else self.at_ns + days * DAY_NS

    def alert(self) -> Alert:
        """What tells people of it."""
        alert = line_alert(self.subject, "foreseeable", self.line, 100, self.basis, self.flop)
        due = "" if self.notify_by_ns is None else f"; notification is due by {format_ns(self.notify_by_ns)[:10]}"
        return replace(alert, notify_by_ns=self.notify_by_ns, summary=f"{alert.summary} ({self.because}){due}")

    def statement(self, author: str, evidence: Mapping[str, Any]) -> Statement:
        """The journal entry."""
        data = {
            "subject_kind": self.subject.kind,
            "subject": self.subject.name,
            "threshold": self.line.id,
            "line_flop": str(self.line.amount_flop),
            "because": self.because,
            "probability": self.probability,
            "basis": self.basis,
            "flop": str(self.flop),
            "rule": RULE,
            "notify_by": None if self.notify_by_ns is None else format_ns(self.notify_by_ns),
            "evidence": dict(evidence),
        }
        request = f"foreseeable {self.subject.kind} {self.subject.name} {self.line.id} {self.line.amount_flop}"
        return Statement(FORESEEABLE, author, data, request=request)


class Rows:
    """How many hourly assessments in a row said that a crossing has at least even odds."""

    def __init__(self, reader: Reader) -> None:
        self._last: dict[Crossing, tuple[int, int]] = {}
        for kind, name, threshold, line_flop, at_ns, in_a_row in reader.query(_LAST).rows:
            self._last[Crossing(Subject(kind, name), threshold, str(line_flop))] = (at_ns, in_a_row)
        self._new: list[tuple[Crossing, int, float, int]] = []

    def say(self, crossing: Crossing, probability: float, now_ns: int) -> int:
        """One hourly assessment says so; returns the length of the row with it."""
        at_ns, in_a_row = self._last.get(crossing, (None, 0))
        if probability < EVEN_ODDS:
            if in_a_row:
                self._keep(crossing, now_ns, probability, 0)
            return 0
        # A clock that went back by an hour makes another hour as well.
        if at_ns is not None and in_a_row and abs(now_ns - at_ns) < HOUR_NS:
            return in_a_row
        self._keep(crossing, now_ns, probability, in_a_row + 1)
        return in_a_row + 1

    def rows(self) -> pa.Table | None:
        """What is new since the last time, for the table; None when nothing is."""
        new, self._new = self._new, []
        if not new:
            return None
        columns: dict[str, Iterable[Any]] = {
            "subject_kind": [crossing.subject.kind for crossing, *_ in new],
            "subject": [crossing.subject.name for crossing, *_ in new],
            "threshold": [crossing.threshold for crossing, *_ in new],
            "line_flop": [int(crossing.line_flop).to_bytes(32, "little") for crossing, *_ in new],
            "at": [at_ns for _, at_ns, _, _ in new],
            "probability": [probability for _, _, probability, _ in new],
            "in_a_row": [in_a_row for *_, in_a_row in new],
        }
        arrays = [pa.array(columns[field.name], field.type) for field in ROWS]
        return pa.Table.from_arrays(arrays, schema=ROWS)

    def _keep(self, crossing: Crossing, now_ns: int, probability: float, in_a_row: int) -> None:
        self._last[crossing] = (now_ns, in_a_row)
        self._new.append((crossing, now_ns, probability, in_a_row))
