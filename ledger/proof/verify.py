"""Verification: read all evidence once, and compare everything else with it.

journal → log → batches (hash, signature, columns, chain, judgement) → derived tables → device time → checkpoints

It only reads, through whatever has the ledger open, and holds a few pages and a few agents' meters at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ledger.proof import device_time, log_check
from ledger.proof.chain import Walk
from ledger.proof.derived import GROUP_ROWS, Comparison, Span
from ledger.proof.evidence import pages
from ledger.proof.findings import Finding, Findings
from ledger.proof.fold import Fold
from ledger.proof.journal import check_journal
from ledger.proof.judgement import borrowed, known_rates, settle
from ledger.proof.rollup_check import check_computed, check_rollups
from ledger.proof.scan import Trust, scan
from ledger.proof.workers import on_all_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledger.access import Access
    from ledger.proof.checkpoint import Checkpoint, Head
    from ledger.proof.journal import JournalState
from ledger.proof.scan import Scanned


@dataclass(slots=True)
class Report:
    """What verification read, and what it found."""

    findings: list[Finding] = field(default_factory=list)
    batches: int = 0
    readings: int = 0
    journal_entries: int = 0
    checkpoints: int = 0
    excluded: dict[str, int] = field(default_factory=dict)
    """Batches that are kept and count towards nothing, by reason: no fault of the ledger's."""

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.findings

    def counts(self) -> dict[str, Any]:
        """How much was read, as it is printed."""
        return {
            "batches": self.batches,
            "readings": self.readings,
            "journal_entries": self.journal_entries,
            "checkpoints": self.checkpoints,
            "excluded": self.excluded,
        }


def verify(
    ledger: Access,
    now_ns: Callable[[], int],
    wait: Callable[[float], object],
    expect: Checkpoint | None = None,
    progress: Callable[[float], object] = lambda _: None,
    cores: int | None = None,
) -> Report:
    """Everything that can be checked of a ledger, against itself and against a checkpoint from outside."""
    report, findings = Report(), Findings()
    state = check_journal(ledger)
    findings.add(state.findings)
    if expect is not None and state.key_id not in {None, expect.key_id}:
        detail = f"it is signed by {expect.key_id}, this ledger by {state.key_id}"
        findings.add([Finding("checkpoint of another ledger", "journal", detail)])
        expect = None
    heads = _wanted_heads(state, expect)
    trust = Trust(frozenset(state.enrolled), state.revoked_from_ns, known_rates(ledger), frozenset(heads))
    missing_heads = dict(heads)
    for head in _batches(ledger, trust, Comparison(ledger, trust, now_ns, wait), findings, report, progress, cores):
        missing_heads.pop(head, None)
    findings.add(borrowed(ledger))
    findings.add(check_computed(ledger))
    findings.add(check_rollups(ledger))
    findings.add(device_time.overlaps(ledger))
    findings.add(list(log_check.check_numbering(ledger, findings)))
    findings.add(log_check.check_roots(ledger, _roots(state, expect)))
    findings.add(_lost_heads(missing_heads, findings))
    findings.add(_lost_entries(state, expect))
    report.findings = findings.rows()
    report.journal_entries, report.checkpoints = state.entries, len(state.roots)
    return report


def _batches(
    ledger: Access,
    trust: Trust,
    comparison: Comparison,
    findings: Findings,
    report: Report,
    progress: Callable[[float], object],
    cores: int | None,
) -> Iterator[Head]:
    """Look at every batch, and at what is derived from it; yields the wanted heads that are there."""
    total = ledger.query("SELECT count() FROM batches").rows[0][0]
    walk, inventory = Walk(), Fold()
    waiting: dict[str, Fold] = {}
    after: str | None = None
    for page in on_all_cores(scan, pages(ledger), trust, cores):
        findings.add(page.findings)
        findings.add(found for doubt in page.doubts for found in settle(ledger, doubt))
        walk.join(page.walk)
        _count(report, page)
        yield from page.heads
        for agent, fold in page.folds.items():
            if agent not in waiting and sum(held.rows for held in waiting.values()) > GROUP_ROWS:
                after = _compare(comparison, findings, waiting, after, max(waiting), inventory)
            waiting.setdefault(agent, Fold()).merge(fold)
        progress(min(report.batches / max(total, 1), 1.0))
    _compare(comparison, findings, waiting, after, None, inventory)
    findings.add(found for found in walk.missing() if not findings.about("batches", *_place(found)))
    findings.add(walk.findings)
    findings.add(comparison.devices(inventory))
    findings.add(comparison.orphans())


def _compare(
    comparison: Comparison,
    findings: Findings,
    waiting: dict[str, Fold],
    after: str | None,
    until: str | None,
    inventory: Fold,
) -> str | None:
    """Compare the agents that are complete, and let go of them; returns the last one's name."""
    whole = Fold()
    for agent, fold in waiting.items():
        findings.add(device_time.overdrawn(agent, fold))
        whole.merge(fold)
    findings.add(comparison.agents(Span(after, until), whole))
    inventory.merge(Fold(devices=whole.devices))
    waiting.clear()
    return until


def _count(report: Report, page: Scanned) -> None:
    report.batches += page.batches
    report.readings += page.readings
    for reason, batches in page.excluded.items():
        report.excluded[reason] = report.excluded.get(reason, 0) + batches


def _place(found: Finding) -> tuple[str | None, str | None, int]:
    return found.agent, found.chain, found.seq or 0


def _wanted_heads(state: JournalState, expect: Checkpoint | None) -> dict[Head, str]:
    """Every chain's end as the last checkpoint on record, and the one from outside, name it."""
    wanted: dict[Head, str] = {}
    for checkpoint, whose in ((state.last_checkpoint, "the last checkpoint"), (expect, "the expected checkpoint")):
        for head in () if checkpoint is None else checkpoint.heads:
            wanted.setdefault(head, whose)
    return wanted


def _roots(state: JournalState, expect: Checkpoint | None) -> list[tuple[int, str, str]]:
    roots = list(state.roots)
    if expect is not None:
        roots.append((expect.size, expect.root, "the expected checkpoint"))
    return roots


def _lost_heads(missing: dict[Head, str], so_far: Findings) -> Iterator[Finding]:
    for head, whose in missing.items():
        if not so_far.about("batches", head.agent, head.chain, head.seq):
            detail = f"{whose} saw this chain end with {head.sha256}, which is not there"
            yield Finding("deleted tail", "batches", detail, head.agent, head.chain, head.seq)


def _lost_entries(state: JournalState, expect: Checkpoint | None) -> Iterator[Finding]:
    """Journal entries that the checkpoint from outside saw: the one before it, and the one that it is itself."""
    if expect is None:
        return
    if expect.entry_index >= state.entries:
        detail = f"the expected checkpoint is entry {expect.entry_index}, the journal ends before"
        yield Finding("deleted tail", "journal", detail, seq=state.entries)
    elif expect.sha256 != state.checkpoint_hashes.get(expect.entry_index):
        detail = f"entry {expect.entry_index} is not the expected checkpoint"
        yield Finding("journal broken", "journal", detail, seq=expect.entry_index)
