"""The main flow: what was written → what has changed → what holds now → raise, resolve, say from when on.

Kept in memory is only what can be read again. After a commit the runs that it was about are read, with the models and
systems that they are behind, and held against the next amounts at which anything is due. Every hour all of it is read
again, forecasts are made, and what takes a long look is looked at. When a step fails, everything is forgotten and read
again by the next: nothing is remembered that is not on record.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING

from ledger.assessment.accounts import Accounts, Subject
from ledger.assessment.alert import resolution
from ledger.assessment.evidence import evidence_of
from ledger.assessment.forecasting import Forecasting
from ledger.assessment.foreseeable import IN_A_ROW, Crossing, Foreseen, Rows
from ledger.assessment.ladder import Ladder, Measure, ladders, measure_of
from ledger.assessment.operations import HOURLY_KINDS, QUICK_KINDS, Listener, hourly_findings
from ledger.assessment.reached import Stand, by_amount
from ledger.assessment.register import DECLARING, Register
from ledger.assessment.rules import Rules
from ledger.catalogue_record import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import date

    import pyarrow as pa

    from ledger.assessment.alert import Alert
    from ledger.assessment.register import Open
    from ledger.journal import Statement
    from ledger.reader import Reader
    from ledger.thresholds import Threshold

HOUR_NS = 3_600_000_000_000
AMOUNT_KINDS = frozenset({"planned", "estimate", "upper_bound"})
LINE_KINDS = AMOUNT_KINDS | {"forecast", "foreseeable"}
NOT_FORESEEN = 3
"""A forecast alert is over when so many hourly forecasts in a row do not give it."""
NAMED_RUNS = 10


class Assessor:
    """Driven from one thread at a time, in the process that writes the journal."""

    def __init__(
        self,
        reader: Reader,
        append: Callable[[Sequence[Statement]], object],
        keep: Callable[[pa.Table], None],
        rules: Rules | None = None,
        *,
        shared: bool = False,
    ) -> None:
        """`append` writes to the journal, all or nothing; `keep` inserts rows of `outlook`."""
        self._reader = reader
        self._append = append
        self._keep = keep
        self._rules = rules or Rules()
        self._shared = shared
        self._forget()

    def assess(self, author: str, now_ns: int) -> list[Alert]:
        """Raise what is due and resolve what is over; returns what was raised, once it is on record."""
        try:
            return self._assess(author, now_ns)
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._register = Register(self._reader)
        self._accounts = Accounts(self._reader, shared=self._shared)
        self._forecasting = Forecasting(self._reader, self._accounts, self._rules)
        self._listener: Listener | None = None
        self._rows: Rows | None = None
        self._day: date | None = None
        self._lines: dict[str, Threshold] = {}
        self._ladders: dict[Measure, Ladder] = {}
        self._lowest = 0
        """Below this amount nothing is due, FLOP."""
        self._heights: dict[Subject, tuple[tuple[int, int], ...]] = {}
        self._hourly = False
        self._hour_ns: int | None = None
        self._misses: Counter[str] = Counter()
        self._revoked: set[str] = set()

    def _assess(self, author: str, now_ns: int) -> list[Alert]:
        due = _Due()
        for subject in self._changed(now_ns):
            self._by_amount(subject, now_ns, due)
        self._by_forecast(now_ns, due)
        self._by_look(now_ns, due)
        return self._write(author, due)

    def _changed(self, now_ns: int) -> list[Subject]:
        """Take in what is new, and say which subjects it was about."""
        began = self._listener is None
        written = self._register.catch_up()
        day = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).date()
        everything = began or day != self._day or bool(written & ({"threshold"} | DECLARING))
        if everything:
            self._day = day
            self._lines = {line.id: line for line in lines(self._reader) if line.applies_on(day)}
            self._ladders = ladders(self._lines.values(), self._rules.percents)
            self._lowest = min((ladder.rungs[0].at_least for ladder in self._ladders.values()), default=0)
            self._accounts.read_declared()
        if began or written & {"agent", "revocation"}:
            self._revoked = {row[0] for row in self._reader.query("SELECT agent FROM agents WHERE revoked").rows}
        recorded = self._accounts.recorded()
        if self._listener is None:
            self._listener = Listener(self._reader, now_ns)
        self._listener.look(recorded, now_ns)
        # A clock that was set back makes an hour as well: else nothing would be looked at for as long.
        self._hourly = self._hour_ns is None or not 0 <= now_ns - self._hour_ns < HOUR_NS
        if self._hourly:
            self._hour_ns = now_ns
            # Another collector may have done the hours before this one.
            self._rows = Rows(self._reader)
            self._accounts.read_all()
        else:
            self._accounts.read(recorded)
        if not (self._hourly or everything):
            return self._watched(self._accounts.touched(recorded))
        self._heights = {}
        known = self._watched({*self._accounts.subjects(), *self._register.of})
        if self._hourly:
            self._forecasting.begin(known, self._lines.values())
        return known

    def _watched(self, subjects: Iterable[Subject]) -> list[Subject]:
        return sorted(subject for subject in subjects if subject.kind in self._rules.subjects)

    def _by_amount(self, subject: Subject, now_ns: int, due: _Due) -> None:
        below = self._accounts.ceiling(subject) < self._lowest
        if below and not self._heights.get(subject) and not self._register.of.get(subject):
            return
        stand = self._stand(subject)
        heights = () if below else stand.heights(self._ladders)
        if self._heights.get(subject) == heights:
            return
        self._heights[subject] = heights
        holds = by_amount(stand, self._ladders)
        due.holding += holds.values()
        reached = {(alert.threshold, alert.percent) for alert in holds.values() if alert.kind == "estimate"}
        for item in self._register.open_of(subject):
            if item.about in holds or item.kind not in LINE_KINDS:
                continue
            if not self._same_line(item):
                due.over[item.alert_id] = "the line was changed, or applies no longer"
            elif item.kind in AMOUNT_KINDS:
                due.over[item.alert_id] = "the amount is less again"
            elif item.kind == "forecast" and (item.threshold, item.percent) in reached:
                due.over[item.alert_id] = "it has been reached"
        due.foreseen += self._foreseen(stand, now_ns)

    def _stand(self, subject: Subject) -> Stand:
        amounts = self._accounts.amounts(subject, self._ladders)
        planned = ((measure, self._accounts.planned(subject, measure.policy)) for measure in self._ladders)
        return Stand(subject, amounts, {measure: flop for measure, flop in planned if flop is not None})

    def _foreseen(self, stand: Stand, now_ns: int) -> Iterator[Foreseen]:
        for line in self._lines.values():
            if self._is_foreseen(stand.subject, line):
                continue
            measure = measure_of(line)
            planned = stand.planned.get(measure, 0)
            if line.crossed_by(planned):
                yield Foreseen(stand.subject, line, "budget", "declared", planned, now_ns)
                continue
            for (basis, of), amount in stand.amounts.items():
                if of == measure and line.crossed_by(amount.flop):
                    yield Foreseen(stand.subject, line, "crossed", basis, amount.flop, now_ns)
                    break

    def _by_forecast(self, now_ns: int, due: _Due) -> None:
        assert self._rows is not None
        for seen in self._forecasting.go_on(now_ns):
            due.holding += seen.alerts
            holds = {alert.about for alert in seen.alerts}
            for item in self._register.open_of(seen.subject):
                if item.kind != "forecast":
                    continue
                self._misses[item.about] = 0 if item.about in holds else self._misses[item.about] + 1
                if self._misses[item.about] >= NOT_FORESEEN:
                    due.over[item.alert_id] = f"{NOT_FORESEEN} hourly forecasts in a row do not give it"
            for line, probability, expected in seen.odds:
                if self._is_foreseen(seen.subject, line):
                    continue
                crossing = Crossing(seen.subject, line.id, str(line.amount_flop))
                if self._rows.say(crossing, probability, now_ns) >= IN_A_ROW:
                    basis, flop = expected.basis, expected.flop
                    moment = Foreseen(seen.subject, line, "probability", basis, flop, now_ns, probability)
                    due.foreseen.append(moment)

    def _by_look(self, now_ns: int, due: _Due) -> None:
        assert self._listener is not None
        looked = set(QUICK_KINDS)
        found = self._listener.findings(self._rules, self._revoked, self._register.storms)
        if self._hourly:
            looked |= HOURLY_KINDS
            found += hourly_findings(self._reader, self._rules, now_ns)
        due.holding += found
        holds = {alert.about for alert in found}
        for item in self._register.open.values():
            if item.kind in looked and item.about not in holds:
                due.over[item.alert_id] = "it is so no longer"

    def _write(self, author: str, due: _Due) -> list[Alert]:
        assert self._rows is not None
        rows = self._rows.rows()
        if rows is not None:
            self._keep(rows)
        # A budget and the odds may say so at once: the first of them counts.
        moments = {(seen.subject, seen.line.id): seen for seen in reversed(due.foreseen)}
        alerts = {seen.alert().about: seen for seen in moments.values()}
        new = self._register.new([*due.holding, *(seen.alert() for seen in moments.values())])
        if not (new or moments or due.over):
            return []
        new = self._with_evidence(sorted(new, key=_order))
        statements = [alerts[alert.about].statement(author, alert.evidence) for alert in new if alert.about in alerts]
        statements += [alert.statement(author) for alert in new]
        statements += [resolution(identity, reason, author) for identity, reason in sorted(due.over.items())]
        self._append(statements)
        return new

    def _with_evidence(self, alerts: Sequence[Alert]) -> list[Alert]:
        subjects = {alert.about: Subject(alert.subject_kind, alert.subject) for alert in alerts}
        runs = {about: sorted(self._accounts.runs(subject)) for about, subject in subjects.items()}
        found = evidence_of(self._reader, chain.from_iterable(runs.values())) if alerts else {}
        said = []
        for alert in alerts:
            behind = runs[alert.about]
            newest = {run: found[run] for run in behind[:NAMED_RUNS] if run in found}
            more = {"runs": len(behind), "newest": newest} if newest else {}
            said.append(replace(alert, evidence={**alert.evidence, **found[""], **more}))
        return said

    def _is_foreseen(self, subject: Subject, line: Threshold) -> bool:
        return Crossing(subject, line.id, str(line.amount_flop)) in self._register.foreseen

    def _same_line(self, item: Open) -> bool:
        line = self._lines.get(item.threshold or "")
        return line is not None and str(line.amount_flop) == item.line_flop


@dataclass(slots=True)
class _Due:
    """What one pass finds: alerts that hold, raised before or not; ids of those that are over, with the reason; moments
    of foreseeability.
    """

    holding: list[Alert] = field(default_factory=list)
    over: dict[str, str] = field(default_factory=dict)
    foreseen: list[Foreseen] = field(default_factory=list)


def _order(alert: Alert) -> tuple[str, str, int, str, int]:
    return alert.subject_kind, alert.subject, alert.line_flop or 0, alert.threshold or "", alert.percent or 0
