"""What agents name of a run: its model and number format, put on record where nobody has declared them.

An agent seals an event `run` when it meets a run that is named more than its id. The first name on record holds among
agents, and whatever people declare, before or after, goes before it: the view `run_declarations` decides, so that it
does not matter which entry the writer of the journal signs first. The purpose stays with the readings, which carry it:
one declared of the run would hold for all of them.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from ledger.declarations import Declaration
from ledger.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ledger.evidence import Evidence
    from ledger.journal import Statement
    from ledger.ledger import Ledger

log = logging.getLogger(__name__)

EVENT = "run"
FIELDS = {"model": "model_id", "dtype": "dtype"}
"""What is taken from an event, and what it is called in a declaration."""
MAX_REMEMBERED = 100_000

_ON_RECORD = """
SELECT run_id, model_id, dtype FROM run_declarations WHERE run_id IN {runs:Array(String)}
"""


class Named(NamedTuple):
    """One field of one run, as somebody named it."""

    run_id: str
    field: str
    value: str


class RunLabels:
    """Puts on record what the batches that count name of their runs. Used from one thread at a time.

    Each thing named is looked up once, with all that comes in the same round, and only batches at hand are read: one
    whose offset was not committed comes again, and the request's name keeps the journal from taking it twice.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._settled: set[Named] = set()

    def put_on_record(self, evidence: Sequence[Evidence]) -> None:
        """For batches that are recorded; those that are excluded name nothing."""
        fresh = {named: by for named, by in _named(evidence).items() if named not in self._settled}
        if not fresh:
            return
        on_record = self._on_record({named.run_id for named in fresh})
        entries: list[Statement] = []
        for named, (agent, source) in fresh.items():
            known = on_record.setdefault((named.run_id, named.field), "")
            if known and known != named.value:
                said = (named.field, named.run_id, known, named.value, agent)
                log.warning("%s of run %.80r stays %.80r, and %.80r of agent %s is not taken", *said)
            elif not known and (entry := _entry(named, agent, source)) is not None:
                on_record[named.run_id, named.field] = named.value
                entries.append(entry)
        if entries:
            self._ledger.request(entries)
        if len(self._settled) + len(fresh) > MAX_REMEMBERED:
            self._settled.clear()
        self._settled.update(fresh)

    def _on_record(self, runs: Iterable[str]) -> dict[tuple[str, str], str]:
        rows = self._ledger.query(_ON_RECORD, {"runs": sorted(runs)}).rows
        return {
            (run_id, field): value
            for run_id, *values in rows
            for field, value in zip(FIELDS.values(), values, strict=True)
        }


def _named(evidence: Sequence[Evidence]) -> dict[Named, tuple[str, str]]:
    """What is named, in order, with the agent that did it first and where it had it from."""
    found = [
        (Named(event.run, field, value), (item.batch.agent, str(event.detail.get("source", ""))))
        for item in evidence
        if item.excluded_reason is None
        for event in item.batch.events
        if event.kind == EVENT and event.run
        for name, field in FIELDS.items()
        if isinstance(value := event.detail.get(name), str) and value
    ]
    first: dict[Named, tuple[str, str]] = {}
    for named, by in found:
        first.setdefault(named, by)
    return first


def _entry(named: Named, agent: str, source: str) -> Statement | None:
    changes: dict[str, Any] = {named.field: named.value}
    try:
        entry = replace(Declaration(named.run_id), **changes).statement(f"agent:{agent}")
    except Refused as error:
        log.warning("what agent %s names of run %.80r is not taken: %s", agent, named.run_id, error)
        return None
    data = {"run_id": named.run_id, named.field: named.value, "source": source[:64]}
    # Several collectors may meet a run at once: each field is written once.
    return replace(entry, data=data, request=f"{named.field} of run {named.run_id} by its agents")
