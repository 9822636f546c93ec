"""Which subjects one page lists: models and systems with their runs below them, as asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ledger.web.overview import Overview
from ledger.web.subjects import Subject

PER_PAGE = 100


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the list; a run of a model that is listed stands below it."""

    subject: Subject
    below: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of the list. `total` subjects fit what was asked for."""

    query: str
    number: int
    pages: int
    total: int
    entries: Sequence[Entry]


def listed(overview: Overview, query: str, number: int) -> Listing:
    """Those whose name, or whose model's, holds `query`, the nearest to a line first."""
    wanted = query.strip().casefold()
    found = [s for s in overview.subjects if wanted in s.id.casefold() or wanted in s.model_id.casefold()]
    models = {s.id for s in found if s.kind == "model"}
    runs: dict[str, list[Subject]] = defaultdict(list)
    for subject in found:
        if subject.kind == "run" and subject.model_id in models:
            runs[subject.model_id].append(subject)
    entries: list[Entry] = []
    for subject in found:
        if subject.kind == "run" and subject.model_id in models:
            continue
        entries.append(Entry(subject, below=False))
        if subject.kind == "model":
            entries += [Entry(run, below=True) for run in runs[subject.id]]
    pages = max(-(-len(entries) // PER_PAGE), 1)
    number = min(max(number, 1), pages)
    return Listing(query, number, pages, len(entries), entries[(number - 1) * PER_PAGE : number * PER_PAGE])
