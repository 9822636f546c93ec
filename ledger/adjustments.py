"""Amounts that were stated and not measured here: imports of what ran before the agents, and corrections."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ledger.declarations import MAX_NAME_CHARS, MAX_UNIX_NS, PURPOSES
from ledger.errors import Refused
from ledger.journal import Statement
from wire.batch import UNATTRIBUTED
from wire.rfc3339 import parse_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ledger.access import Access
    from ledger.reader import Reader

IMPORT = "import"
CORRECTION = "correction"
METHODS = {IMPORT: "imported", CORRECTION: "corrected"}
BASES = ("hardware", "architecture")
SOURCES = ("csv", "prometheus", "slurm", "hand")
_ON_RECORD = "SELECT key, flop, flop_low, flop_high FROM adjustments"
MAX_TEXT_CHARS = 4_096
MAX_FLOP = 1 << 128
ADJUSTMENT_COLUMNS = (
    "entry_index",
    "at",
    "kind",
    "run_id",
    "basis",
    "flop",
    "flop_low",
    "flop_high",
    "period_start",
    "period_end",
    "reason",
    "author",
)


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One stated amount of a run, on one basis: FLOP, `flop_low ≤ flop ≤ flop_high`, `flop` None for bounds only.

    A correction may be negative. `period_start` and `period_end` are RFC 3339, None where nobody can say. An empty
    `purpose` is the run's own. `key` names what is stated: of several entries with one key the first counts.
    """

    kind: str
    run_id: str
    flop: int | None
    flop_low: int
    flop_high: int
    reason: str
    key: str
    source: str = "hand"
    basis: str = "hardware"
    purpose: str = ""
    period_start: str | None = None
    period_end: str | None = None
    assumptions: tuple[str, ...] = ()

    def statement(self, author: str) -> Statement:
        """The journal entry that puts this on record; raises `Refused` naming the field that makes no sense."""
        for field, sentence in self._faults(author):
            raise Refused(f"{field}: {sentence}")
        data: dict[str, Any] = {**asdict(self), "method": METHODS[self.kind]}
        del data["kind"]
        for name in ("flop", "flop_low", "flop_high"):
            data[name] = None if data[name] is None else str(data[name])
        return Statement(self.kind, author, data)

    def _faults(self, author: str) -> Iterator[tuple[str, str]]:
        if self.kind not in METHODS:
            yield "kind", f"{self.kind!r} is none of: {', '.join(METHODS)}"
        if self.run_id in {"", UNATTRIBUTED} or len(self.run_id) > MAX_NAME_CHARS:
            yield "run_id", f"a run cannot be called {self.run_id[:40]!r}"
        if self.purpose and self.purpose not in PURPOSES:
            yield "purpose", f"{self.purpose!r} is none of: {', '.join(PURPOSES)}"
        for field, value, allowed in (("basis", self.basis, BASES), ("source", self.source, SOURCES)):
            if value not in allowed:
                yield field, f"{value!r} is none of: {', '.join(allowed)}"
        texts = (("reason", self.reason), ("author", author), ("key", self.key))
        for field, value in (*texts, *(("assumptions", line) for line in self.assumptions)):
            if not value.strip() or len(value) > MAX_TEXT_CHARS:
                yield field, f"must be given, in at most {MAX_TEXT_CHARS} characters"
        yield from self._faults_of_amount()
        yield from self._faults_of_period()

    def _faults_of_amount(self) -> Iterator[tuple[str, str]]:
        for field in ("flop", "flop_low", "flop_high"):
            value = getattr(self, field)
            if value is not None and not -MAX_FLOP < value < MAX_FLOP:
                yield field, "an amount of 2^128 FLOP or more makes no sense"
        point = self.flop_low if self.flop is None else self.flop
        if not self.flop_low <= point <= self.flop_high:
            field = "flop_low" if self.flop_low > point else "flop_high"
            yield field, f"bounds out of order: {self.flop_low} ≤ {point} ≤ {self.flop_high} does not hold"
        if self.kind == IMPORT and self.flop_low < 0:
            yield "flop_low", f"{self.flop_low}: nothing can have computed less than nothing; use a correction"
        if self.kind == CORRECTION and self.flop_low == self.flop_high == 0:
            yield "flop", "a correction by 0 FLOP changes nothing"

    def _faults_of_period(self) -> Iterator[tuple[str, str]]:
        found: dict[str, int] = {}
        for field, text in (("period_start", self.period_start), ("period_end", self.period_end)):
            if text is None:
                continue
            try:
                found[field] = parse_ns(text)
            except ValueError as error:
                yield field, f"{text!r}: {error}, such as 2026-11-23T00:00:00Z"
                continue
            if found[field] > MAX_UNIX_NS:
                yield field, f"{text!r} makes no sense: times end in 2262"
        if len(found) == 2 and found["period_start"] > found["period_end"]:
            yield "period_end", f"{self.period_end} comes before the start, {self.period_start}"


def correction(run_id: str, flop: int | None, flop_low: int, flop_high: int, reason: str, **more: Any) -> Adjustment:
    """A correction under a key made of all that it says: the same one said twice counts once."""
    made = Adjustment(CORRECTION, run_id, flop, flop_low, flop_high, reason, "?", **more)
    return replace(made, key=f"hand:{content_hash(asdict(made))}")


def content_hash(content: Any) -> str:
    """SHA-256 of what an entry says, hex."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def known_run(reader: Reader, run_id: str) -> bool:
    """The run was measured, declared, imported or corrected before."""
    found = reader.query(
        "SELECT 1 FROM (SELECT run_id FROM runs UNION ALL SELECT run_id FROM adjustments) AS known "
        "WHERE known.run_id = {run:String} LIMIT 1",
        {"run": run_id},
    )
    return bool(found.rows)


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of amounts that were to go on record: `fresh` are, under `indices`; `known` were already, of these
    `differing` with another amount, and the first stands.
    """

    fresh: tuple[Adjustment, ...]
    known: tuple[Adjustment, ...]
    differing: tuple[Adjustment, ...]
    indices: tuple[int, ...] = ()


def sorted_out(reader: Reader, adjustments: Sequence[Adjustment]) -> Appended:
    """Which of these are on record already, by key, and which would be new; writes nothing."""
    on_record: dict[str, tuple[int | None, int, int]] = {
        key: (flop, flop_low, flop_high)
        for key, flop, flop_low, flop_high in reader.query(
            "SELECT key, flop, flop_low, flop_high FROM adjustments"
        ).rows
    }
    fresh: list[Adjustment] = []
    known: list[Adjustment] = []
    differing: list[Adjustment] = []
    for item in adjustments:
        amount = (item.flop, item.flop_low, item.flop_high)
        if item.key not in on_record:
            fresh.append(item)
            on_record[item.key] = amount
            continue
        known.append(item)
        if on_record[item.key] != amount:
            differing.append(item)
    return Appended(tuple(fresh), tuple(known), tuple(differing))


def append_new(access: Access, adjustments: Sequence[Adjustment], author: str) -> Appended:
    """Put those on record whose key is not yet, all or none; raises `Refused` before anything is written."""
    statements = {item: item.statement(author) for item in adjustments}
    found = sorted_out(access, adjustments)
    return replace(found, indices=tuple(access.append([statements[item] for item in found.fresh])))
