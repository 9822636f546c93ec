"""What holds of a subject because of its amounts: declared budget, estimate and upper bound against every rung.

At a jump all rungs below are reached as well, and each is an alert of its own. Where both bases have reached one, the
hardware speaks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ledger.assessment.alert import Alert, says

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ledger.assessment.accounts import Amount, Subject
    from ledger.assessment.alert import LineKind
    from ledger.assessment.ladder import Ladder, Measure, Rung
    from ledger.thresholds import Threshold


@dataclass(frozen=True, slots=True)
class Stand:
    """A subject's amounts by basis and measure, hardware first, and its planned total by measure, FLOP."""

    subject: Subject
    amounts: Mapping[tuple[str, Measure], Amount]
    planned: Mapping[Measure, int]

    def heights(self, ladders: Mapping[Measure, Ladder]) -> tuple[tuple[int, int], ...]:
        """How far it has come: as long as this stays the same, nothing is due by amounts."""
        reached = [
            (ladders[measure].height(amount.flop), ladders[measure].height(amount.high))
            for (_, measure), amount in self.amounts.items()
        ]
        reached += [(ladders[measure].height(flop), -1) for measure, flop in self.planned.items()]
        return tuple(reached)

    def reached(self, measure: Measure) -> int:
        """The largest estimate on any basis, FLOP."""
        return max((amount.flop for (_, of), amount in self.amounts.items() if of == measure), default=0)


def by_amount(stand: Stand, ladders: Mapping[Measure, Ladder]) -> dict[str, Alert]:
    """All alerts that hold, by what they are about."""
    found: dict[str, Alert] = {}
    for measure, flop in stand.planned.items():
        for rung in ladders[measure].reached(flop):
            _add(found, line_alert(stand.subject, "planned", rung.line, rung.percent, "declared", flop))
    for (basis, measure), amount in stand.amounts.items():
        for kind, flop, rung in _steps(ladders[measure], amount):
            _add(found, line_alert(stand.subject, kind, rung.line, rung.percent, basis, flop))
    return found


def line_alert(
    subject: Subject, kind: LineKind, line: Threshold, percent: int, basis: str, flop: int, lead_days: int | None = None
) -> Alert:
    """An alert on a line."""
    return Alert(
        subject.kind,
        subject.name,
        kind,
        says(kind, percent, line.id, line.amount_flop, flop, lead_days),
        line.id,
        line.policy,
        percent,
        lead_days,
        basis,
        flop,
        line.amount_flop,
    )


def _steps(ladder: Ladder, amount: Amount) -> Iterator[tuple[LineKind, int, Rung]]:
    for rung in ladder.reached(amount.flop):
        yield "estimate", amount.flop, rung
    for rung in ladder.reached(amount.high):
        yield "upper_bound", amount.high, rung


def _add(found: dict[str, Alert], alert: Alert) -> None:
    found.setdefault(alert.about, alert)
