"""What every run, model and system stands at, kept in memory: after a commit only what was recorded is read again.

The same sums as the view `subject_totals_at`, which a test holds beside these. What was recorded since the last look is
known by `meters.recorded_at`, whichever collector did it; what was declared since, by the journal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger.assessment.ladder import Measure
from ledger.declarations import PURPOSES
from wire.batch import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ledger.assessment.alert import SubjectKind
    from ledger.reader import Reader

ASK_AT_ONCE = 500
"""So many names fit into one statement; of more runs than a few such, all are read."""
SLACK_S = 2
SHARED_SLACK_S = 30
"""An insert is stamped when it begins and seen when it ends; what takes longer is found by the hourly look at all."""
RANKS = {"counted": 0, "disputed": 1, "excluded": 2}
_MEASURED = """
SELECT run, adds_with = 0, purpose, method, count(m.flop), sum(toUInt256(coalesce(m.flop, m.flop_low))),
    sum(toUInt256(m.flop_low)), sum(toUInt256(m.flop_high)), sum(toUInt256(coalesce(m.int_op, 0)))
FROM meters AS m FINAL WHERE run != 'unattributed' AND {which} GROUP BY run, adds_with, purpose, method
"""
_RECORDED = """
SELECT run, agent, toUnixTimestamp(max(recorded_at)) FROM meters
WHERE recorded_at >= fromUnixTimestamp({since:UInt32}) GROUP BY run, agent
"""
_ADJUSTED = "SELECT run_id, basis, purpose, flop, flop_low, flop_high FROM adjustments"
_DECLARED = """
SELECT run_id, purpose, planned_flop, toUnixTimestamp64Nano(planned_end) FROM run_declarations
"""
_BEHIND = """
SELECT subject_kind, subject, run_id, groupUniqArray(part) FROM subject_runs
WHERE subject_kind IN ('model', 'system') GROUP BY subject_kind, subject, run_id
"""
_GENERATED = frozenset({"synthetic data", "public synthetic data"})


class Subject(NamedTuple):
    """A run, a model or a system."""

    kind: SubjectKind
    name: str


@dataclass(frozen=True, slots=True)
class Part:
    """What a run took on one basis for one purpose, FLOP. Where there is no point, `flop` is the lower bound."""

    basis: str
    purpose: str
    pointed: bool
    flop: int
    high: int
    int_op: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is declared of a run: its purpose, budget (FLOP) and end (Unix ns)."""

    purpose: str = ""
    planned_flop: int | None = None
    planned_end_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Amount:
    """What counts of a subject under a measure, FLOP: the estimate, or the lower bound where nothing has a point."""

    flop: int
    high: int
    pointed: bool


class Accounts:
    """Amounts of all subjects."""

    def __init__(self, reader: Reader, *, shared: bool) -> None:
        self._reader = reader
        self._slack_s = SHARED_SLACK_S if shared else SLACK_S
        self._since_s: int | None = None
        self._measured: dict[str, tuple[Part, ...]] = {}
        self._adjusted: dict[str, list[Part]] = {}
        self.plans: dict[str, Plan] = {}
        self._behind: dict[Subject, dict[str, frozenset[str]]] = {}
        self._in: dict[str, list[Subject]] = {}
        self._ranks: dict[str, dict[str, int]] = {}
        self._counted: dict[tuple[str, frozenset[str], str], bool] = {}
        self._ceilings: dict[str, int] = {}

    def read_declared(self) -> None:
        """What people and agents declared: budgets, purposes, lineage, policies, imports and corrections."""
        rows = self._reader.query(_DECLARED).rows
        self.plans = {run: Plan(purpose, flop, end_ns) for run, purpose, flop, end_ns in rows}
        self._behind, self._in = {}, {}
        for kind, name, run, parts in self._reader.query(_BEHIND).rows:
            subject = Subject(kind, name)
            self._behind.setdefault(subject, {})[run] = frozenset(parts)
            self._in.setdefault(run, []).append(subject)
        self._ranks, self._counted, self._ceilings = {}, {}, {}
        for policy, use, treatment in self._reader.query("SELECT policy, purpose, treatment FROM policies").rows:
            self._ranks.setdefault(policy, {})[use] = RANKS.get(treatment, 0)
        self._adjusted = {}
        for run, basis, purpose, flop, low, high in self._reader.query(_ADJUSTED).rows:
            part = Part(basis, purpose, flop is not None, low if flop is None else flop, high, 0)
            self._adjusted.setdefault(run, []).append(part)

    def recorded(self) -> dict[str, dict[str, int]]:
        """What was recorded since the last look, or a little before it: runs, each with the agents that counted it and
        when that was recorded, Unix s by the engine's clock. The first look is at nothing yet.
        """
        now_s = int(self._reader.query("SELECT toUnixTimestamp(now())").rows[0][0])
        since_s, self._since_s = self._since_s, now_s
        if since_s is None:
            return {}
        rows = self._reader.query(_RECORDED, {"since": max(min(since_s, now_s) - self._slack_s, 0)}).rows
        found: dict[str, dict[str, int]] = {}
        for run, agent, at_s in rows:
            found.setdefault(run, {})[agent] = at_s
        return found

    def read_all(self) -> None:
        """Read all that was measured."""
        self._measured, self._ceilings = dict(self._read("1")), {}

    def read(self, recorded: Iterable[str]) -> None:
        """Read these runs again."""
        runs = [run for run in recorded if run != UNATTRIBUTED]
        if len(runs) > 4 * ASK_AT_ONCE:
            self.read_all()
            return
        for start in range(0, len(runs), ASK_AT_ONCE):
            some = runs[start : start + ASK_AT_ONCE]
            self._measured.update(self._read("run IN {runs:Array(String)}", {"runs": some}))
            for run in some:
                self._ceilings.pop(run, None)

    def subjects(self) -> Iterator[Subject]:
        """Every run, model and system of which anything is known."""
        for run in self._measured.keys() | self._adjusted.keys() | self.plans.keys():
            yield Subject("run", run)
        yield from self._behind

    def touched(self, runs: Iterable[str]) -> set[Subject]:
        """These runs, and the models and systems that they are behind."""
        found = {Subject("run", run) for run in runs if run != UNATTRIBUTED}
        return found.union(*(self._in.get(subject.name, ()) for subject in found))

    def runs(self, subject: Subject) -> Iterable[str]:
        """The runs behind it."""
        return (subject.name,) if subject.kind == "run" else self._behind.get(subject, {})

    def ceiling(self, subject: Subject) -> int:
        """No amount of it is larger, under whatever measure and with its budgets, FLOP: what most commits ask."""
        return sum(self._ceiling(run) for run in self.runs(subject))

    def _ceiling(self, run: str) -> int:
        found = self._ceilings.get(run)
        if found is None:
            parts = (*self._measured.get(run, ()), *self._adjusted.get(run, ()))
            taken = sum(max(part.high, part.flop, 0) + part.int_op for part in parts)
            plan = self.plans.get(run)
            found = self._ceilings[run] = taken if plan is None else max(taken, plan.planned_flop or 0)
        return found

    def counted_runs(self, subject: Subject, policy: str) -> list[str]:
        """Those of which anything counts under a policy."""
        return [
            run
            for run in self.runs(subject)
            if any(self._counts(policy, self._played(subject, run), part.purpose) for part in self._parts(run))
        ]

    def amounts(self, subject: Subject, measures: Iterable[Measure]) -> dict[tuple[str, Measure], Amount]:
        """What counts of it by basis and measure, hardware first, on the bases of which anything is known."""
        parts = [(part, self._played(subject, run)) for run in self.runs(subject) for part in self._parts(run)]
        known = {part.basis for part, _ in parts}
        bases = [basis for basis in ("hardware", "architecture") if basis in known]
        return {(basis, measure): self._sum(parts, basis, measure) for measure in measures for basis in bases}

    def _sum(self, parts: Iterable[tuple[Part, frozenset[str]]], basis: str, measure: Measure) -> Amount:
        flop = high = 0
        pointed = bounded = False
        for part, played in parts:
            if part.basis == basis and self._counts(measure.policy, played, part.purpose):
                more = part.int_op if measure.integers else 0
                flop += part.flop + more
                high += part.high + more
                pointed |= part.pointed
                bounded |= not part.pointed
        return Amount(flop, high, pointed or not bounded)

    def planned(self, subject: Subject, policy: str) -> int | None:
        """What the budgets of its runs come to, with what those took that have none, FLOP; None without a budget."""
        if all(self.plans.get(run, _NO_PLAN).planned_flop is None for run in self.runs(subject)):
            return None
        total, any_plan = 0, False
        for run in self.runs(subject):
            plan = self.plans.get(run, _NO_PLAN)
            if not self._counts(policy, self._played(subject, run), plan.purpose or "pre-training"):
                continue
            taken = 0 if subject.kind == "run" else self._taken(run, policy)
            total += taken if plan.planned_flop is None else max(plan.planned_flop, taken)
            any_plan |= plan.planned_flop is not None
        return total if any_plan else None

    def _taken(self, run: str, policy: str) -> int:
        amounts = self.amounts(Subject("run", run), (Measure(policy, integers=False),))
        return max((amount.flop for amount in amounts.values()), default=0)

    def _played(self, subject: Subject, run: str) -> frozenset[str]:
        return _OWN if subject.kind == "run" else self._behind[subject][run]

    def _counts(self, policy: str, played: frozenset[str], purpose: str) -> bool:
        known = self._counted.get((policy, played, purpose))
        if known is None:
            ranks = self._ranks.get(policy, {})
            known = any(ranks.get(_use(part, purpose), 3) == 0 for part in played)
            self._counted[policy, played, purpose] = known
        return known

    def _parts(self, run: str) -> Iterator[Part]:
        declared = self.plans.get(run, _NO_PLAN).purpose
        for part in self._measured.get(run, ()):
            yield _for(part, declared or part.purpose or "pre-training")
        for part in self._adjusted.get(run, ()):
            yield _for(part, part.purpose or declared or "pre-training")

    def _read(self, which: str, parameters: dict[str, Any] | None = None) -> Iterator[tuple[str, tuple[Part, ...]]]:
        rows: dict[str, list[tuple[str, Part]]] = {}
        for run, hardware, purpose, method, points, flop, _, high, int_op in self._reader.query(
            _MEASURED.replace("{which}", which), parameters
        ).rows:
            basis = "hardware" if hardware else "architecture"
            rows.setdefault(run, []).append((method, Part(basis, purpose, points > 0, flop, high, int_op)))
        for run, found in rows.items():
            yield run, _standing(found)


_NO_PLAN = Plan()
_OWN = frozenset({"own"})


def _for(part: Part, purpose: str) -> Part:
    if purpose == part.purpose:
        return part
    return Part(part.basis, purpose, part.pointed, part.flop, part.high, part.int_op)


def _standing(found: Sequence[tuple[str, Part]]) -> tuple[Part, ...]:
    """Reported methods are two statements of the same work: of those the larger one stands."""
    by_method: dict[str, int] = {}
    for method, part in found:
        if part.basis != "hardware":
            by_method[method] = by_method.get(method, 0) + part.flop
    stands = max(by_method, key=lambda method: (by_method[method], method), default="")
    return tuple(part for method, part in found if part.basis == "hardware" or method == stands)


def _use(played: str, purpose: str) -> str:
    """What work for `purpose` is to a subject that it plays this part for, as a policy calls it."""
    if played in {"generator", "teacher"} and purpose in _GENERATED:
        return purpose
    if played in {"generator", "behind a generator"}:
        return "generator training"
    if played in {"teacher", "behind a teacher"}:
        return "distillation teacher"
    if played == "reward model":
        return "reward or value model"
    return purpose if purpose in PURPOSES else "other"
