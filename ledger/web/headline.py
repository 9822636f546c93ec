"""The one look: who is closest to which line, and when."""

from __future__ import annotations

from dataclasses import dataclass

from ledger.web.lines import Reach
from ledger.web.overview import Overview
from ledger.web.subjects import Subject

At = tuple[Subject, Reach] | None


@dataclass(frozen=True, slots=True)
class Headline:
    """Who crosses next; who has crossed the highest line; who is nearest to one below it; and some counts."""

    ahead: At
    crossed: At
    nearest: At
    over: int
    models: int
    growing: int
    runs: int


def headline(overview: Overview) -> Headline:
    """From what was gathered, models before the runs that they consist of."""
    subjects = sorted(overview.subjects, key=lambda subject: subject.kind == "run")
    coming = [(s, s.ahead) for s in subjects if s.ahead is not None]
    expected = [(s, r) for s, r in coming if r.expected_at_ns is not None]
    crossed = [(s, s.behind) for s in subjects if s.behind is not None]
    # What is held against lines: models, and runs that belong to none.
    whole = [s for s in subjects if s.kind == "model" or (s.kind == "run" and not s.model_id)]
    runs = [s for s in subjects if s.kind == "run"]
    return Headline(
        ahead=min(expected, key=lambda found: found[1].expected_at_ns or 0, default=None),
        crossed=max(crossed, key=lambda found: (found[1].line_flop, found[0].point), default=None),
        nearest=max(coming, key=lambda found: found[1].share or found[1].share_high, default=None),
        over=sum(s.behind is not None for s in whole),
        models=len(whole),
        growing=sum(bool(s.flop_per_hour) for s in runs),
        runs=len(runs),
    )
