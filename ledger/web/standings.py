"""What is dear to ask: where every subject stands at every line, which runs are behind it, and how much was covered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from ledger.catalogue_record import lines as lines_on_record
from ledger.reader import Reader
from ledger.standing import standing
from ledger.thresholds import Threshold

Row = dict[str, Any]
Named = tuple[str, str]
"""Kind and name of a subject."""
Parts = tuple[tuple[str, tuple[str, ...]], ...]
"""Runs, each with the parts that it plays."""

COVERAGE = "SELECT run_id, coverage FROM coverage"
MEMBERS = """
SELECT subject_kind, subject, run_id, arraySort(groupUniqArray(part)) AS parts FROM subject_runs
WHERE subject_kind IN ('model', 'system') GROUP BY subject_kind, subject, run_id ORDER BY run_id
"""
TREATMENTS = "SELECT policy, purpose, treatment FROM policies"


@dataclass(frozen=True, slots=True)
class Standings:
    """All of it, as of one moment. `runs` are those that were known then."""

    runs: frozenset[str]
    lines: Mapping[str, Threshold]
    rows: Mapping[Named, Sequence[Row]]
    parts: Mapping[Named, Parts]
    treatments: Mapping[tuple[str, str], str]
    coverage: Mapping[str, float | None]

    def counted(self, purpose: str) -> bool:
        """Whether compute of this purpose counts towards the lines; where policies differ, towards most."""
        hows = [self.treatments.get((line.policy, purpose or "pre-training")) for line in self.lines.values()]
        return hows.count("counted") * 2 > len(hows)


def stand(reader: Reader, runs: frozenset[str], today: date) -> Standings:
    """Ask all of it."""
    rows: dict[Named, list[Row]] = defaultdict(list)
    for row in standing(reader, today):
        rows[row["subject_kind"], row["subject"]].append(row)
    parts: dict[Named, list[tuple[str, tuple[str, ...]]]] = defaultdict(list)
    for kind, name, run_id, roles in reader.query(MEMBERS).rows:
        parts[kind, name].append((run_id, tuple(roles)))
    return Standings(
        runs=runs,
        lines={line.id: line for line in lines_on_record(reader)},
        rows=rows,
        parts={subject: tuple(found) for subject, found in parts.items()},
        treatments={(policy, purpose): how for policy, purpose, how in reader.query(TREATMENTS).rows},
        coverage={row[0]: row[1] for row in reader.query(COVERAGE).rows},
    )
