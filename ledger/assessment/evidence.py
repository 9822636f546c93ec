"""What an alert rests on: how far the journal and the log of evidence went, the runs, and the newest of their batches.

Whoever has a checkpoint can prove each of them. Batches are named by agent, chain, seq and hash, so they can be looked
up in `batches`; of a run that thousands of agents count, those of the agents heard last stand for all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.reader import Reader

AGENTS = 3
MAX_RUNS = 200
"""Of how many runs batches are named at one time; a ledger that is assessed for the first time has many."""
_LOG = """
SELECT
    (SELECT count() FROM evidence_log) AS log_size,
    (SELECT max(entry_index) FROM journal) AS journal_entry,
    (SELECT max(entry_index) FROM journal WHERE kind = 'checkpoint') AS checkpoint
"""
_AGENTS = """
SELECT run, arrayMap(pair -> pair.2, arrayReverseSort(groupArray((last_ns, agent)))) FROM
    (SELECT run, agent, max(last_at_ns) AS last_ns FROM meters WHERE run IN {runs:Array(String)} GROUP BY run, agent)
GROUP BY run
"""
_BATCHES = """
SELECT agent, toString(argMax(chain, received_at)), argMax(seq, received_at), lower(hex(argMax(sha256, received_at)))
FROM batches WHERE agent IN {agents:Array(String)} AND excluded_reason = '' GROUP BY agent
"""


def evidence_of(reader: Reader, runs: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Per run what there is to look up; under the empty name what holds for all."""
    asked = sorted(set(runs))[:MAX_RUNS]
    found: dict[str, dict[str, Any]] = {"": dict(reader.query(_LOG).dicts()[0])}
    if not asked:
        return found
    agents = {run: list(heard) for run, heard in reader.query(_AGENTS, {"runs": asked}).rows}
    heads: dict[str, dict[str, Any]] = {}
    wanted = sorted({agent for heard in agents.values() for agent in heard[:AGENTS]})
    if wanted:
        for agent, chain, seq, sha256 in reader.query(_BATCHES, {"agents": wanted}).rows:
            heads[agent] = {"agent": agent, "chain": chain, "seq": seq, "sha256": sha256}
    for run, heard in agents.items():
        batches = [heads[agent] for agent in heard[:AGENTS] if agent in heads]
        found[run] = {"agents": len(heard), "batches": batches}
    return found
