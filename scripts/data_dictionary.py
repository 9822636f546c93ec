"""Print docs/data-dictionary.md from the ledger's own schema; a test checks that the page is up to date and complete.

What a column of a table means stands beside it in the migrations. A view's column cannot carry a comment there, so its
meaning stands here, by name: one name means one thing wherever it appears.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.migrate import migrate
from ledger.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

HEAD = """# Data dictionary

Every table and view of the ledger, from its own schema (`scripts/data_dictionary.py` writes this page). FLOP are exact
integers; `…_low` and `…_high` are bounds; NULL means unknown and never zero. Derived tables and views follow from the
two evidence tables, `batches` and `journal`, and can be computed again from them.
"""
MEANINGS = {
    "accelerator": "row of the FLOP table",
    "accepted_at": "when the channel accepted it; NULL until then",
    "adds_with": "meters of a run with the same number are added: 0 is what was measured, else one way of reporting it",
    "adjusted": "something was imported or corrected for it",
    "adopted_on": "day the rule was adopted",
    "agent": "Ed25519 public key of the agent, base64url",
    "acknowledged_at": "when somebody took it on",
    "acknowledged_by": "who did, as they say themselves",
    "acknowledged_note": "what they said about it",
    "alert_id": "follows from what the alert is about: the same alert has the same id",
    "amount": "where the line is, in `unit`",
    "ancestor": "a run that this one continues, directly or not",
    "applied_at": "when the migration was applied",
    "architecture_flop": "what the training loop says it did, FLOP",
    "assumptions": "what the estimate rests on",
    "at": "when: of a reading by the agent's clock, of an entry by the ledger's",
    "attempts": "how often it was tried",
    "attribution": "exact, split or low: how sure it is whose work it was",
    "author": "who put it on record",
    "because": "budget, probability or crossed: which part of the rule held first",
    "basis": "hardware (what the chips did) or architecture (what the loop says it did); never added together",
    "bounds_only_flop_high": "upper bounds of meters without a point, FLOP",
    "bounds_only_share": "share of the upper bound that comes from meters without a point, 0 to 1",
    "busy_ns": "time with any work on the device",
    "chain": "the agent's chain of batches",
    "change": "raised, acknowledged or resolved",
    "channel": "name of the channel, as the file of channels calls it",
    "citation": "where the rule stands",
    "cluster": "name of the cluster",
    "co_conditions": "what else the rule asks for",
    "condition": "whether the co-conditions are known to hold",
    "corrected_flop": "sum of signed corrections, FLOP",
    "counted": "the batch counts in the totals",
    "counts": "which operations the line counts",
    "coverage": "share of the expected device time that was observed, 0 to 1; NULL without a denominator",
    "crossed": "the estimate has crossed the line",
    "crossed_by_upper_bound": "the upper bound has crossed the line",
    "crossed_with_disputed": "it has, if what is disputed counts",
    "declared": "somebody declared it in the journal",
    "declared_devices": "declared world size",
    "declared_in": "journal entry that declares it",
    "denominator": "what coverage is measured against, or unknown",
    "detail": "what exactly is wrong",
    "device": "GPU, MIG instance, CPU package or reporting process",
    "devices": "number of devices",
    "dfma_cycles": "cycles with the double-precision multiply-add pipe active, summed over SMs",
    "disputed_flop": "compute that the law leaves open, beside what counts, FLOP",
    "disputed_int_op": "integer operations that the law leaves open",
    "dmma_cycles": "cycles with the double-precision matrix pipe active, summed over SMs",
    "dtype": "format that the work is priced in: bf16, fp8, …",
    "energy_mj": "energy, millijoule",
    "enrolled_at": "when the key was first trusted",
    "enrolment": "how the key came to be trusted",
    "entry_index": "entry of the journal that says so",
    "evidence": "what it rests on, JSON: amounts, runs, batches, the journal's last entry, the last checkpoint",
    "excluded_flop": "compute that the policy leaves out, beside what counts, FLOP",
    "excluded_int_op": "integer operations that the policy leaves out",
    "excluded_reason": "why the batch counts towards no total; empty when it counts",
    "expected_at": "when the forecast crosses",
    "expected_ns": "device time that there should have been: declared devices times the run's span",
    "finding": "what the two bases say of each other",
    "first_at": "first reading",
    "first_seen": "when the alert was put on record",
    "foreseeable_at": "from when on the crossing was foreseeable; never moved",
    "first_tried_at": "when it was tried first",
    "flop": "point estimate, FLOP; lower bounds stand in where single meters have none; NULL when none has a point",
    "flop_per_s_max": "the most that the silicon can do, FLOP per second",
    "fp16_cycles": "cycles with the FP16 pipe outside the tensor cores active, summed over SMs",
    "fp32_cycles": "cycles with the FP32 pipe active, summed over SMs",
    "fp64_cycles": "cycles with the FP64 pipe outside the tensor cores active, summed over SMs",
    "gap_ns": "device time that no counter covers",
    "hardware_flop": "what the chips did, FLOP",
    "hmma_cycles": "cycles with the half-precision tensor pipe active, summed over SMs",
    "hour": "start of the hour",
    "id": "name of the line",
    "idle_ns": "time in which the run's devices worked for no known run",
    "imma_cycles": "cycles with the integer tensor pipe active, summed over SMs",
    "imported_flop": "sum of what was imported from before or beside the agents, FLOP",
    "in_force_from": "first day the line applies",
    "in_force_until": "last day it applies; NULL while it does",
    "incarnation": "one life of the agent process; its counters began at zero",
    "instrument": "law, order or rule",
    "int_cycles": "cycles with the integer pipe active, summed over SMs",
    "int_op": "integer operations of the tensor pipes",
    "jurisdiction": "whose law it is",
    "key": "what makes a second import of the same thing add nothing",
    "kind": "what sort of row it is; see the comment above",
    "last_at": "last reading",
    "lead_days": "so many days before the forecast date of crossing, at most",
    "last_tried_at": "when it was tried last",
    "line": "position of the rule in its instrument, or what it is held against",
    "line_flop": "where the line is, FLOP",
    "measured": "agents have measured it",
    "measured_flop": "what agents measured, FLOP",
    "message_id": "what receivers tell a repeated message by",
    "meter_id": "hash of the meter's key",
    "meters": "number of meters",
    "method": "how it was measured",
    "methods": "how it was measured, all ways",
    "model_id": "model",
    "name": "its name",
    "node": "node that the agent says it is on",
    "notification": "who must be told, and by when",
    "notify_within_days": "days from the moment of foreseeability until the notification is due",
    "notify_by": "when the notification that the line asks for is due, counted from the moment of foreseeability",
    "observed_ns": "device time that a counter covers",
    "occurrence": "how many alerts on the same thing had been resolved before it was raised",
    "of_original": "it belongs to the model that was modified",
    "operator": "> or ≥",
    "original": "model that was modified, where a line compares with it",
    "outcome": "accepted, refused or unreached",
    "parent": "what it continues, or was made from",
    "part": "which part of the lineage it stands in",
    "percent": "fraction of the line, in percent",
    "period_end": "end of the time that it is about",
    "period_start": "start of the time that it is about",
    "planned_end": "declared end of the run",
    "planned_flop": "declared budget, FLOP",
    "policy": "which purposes count",
    "probability": "of crossing before the planned end, or within ninety days without one, 0 to 1",
    "purpose": "what the work was for: pre-training, evaluation, …",
    "ratio": "hardware over architecture",
    "reached": "how the run was reached through the lineage",
    "reason": "why, in the author's words",
    "received_at": "when the collector recorded it",
    "requires_any": "traits of which a model must have one for the line to apply",
    "resolved_at": "when what it says was so no longer; NULL while it is",
    "resolved_reason": "why",
    "retrieved_on": "day the text was read",
    "revoked": "the key counts no more",
    "revoked_from": "from when on",
    "revoked_reason": "why",
    "rule": "version of the rule of foreseeability",
    "run_id": "training run, over all its processes, restarts, nodes and clusters",
    "runbook": "page that says what it means and what to do",
    "runs": "runs that it sums",
    "sealed_at": "when the agent sealed the batch, by its own clock",
    "seq": "place in the chain, from 0",
    "sha256": "hash of the body or file, hex",
    "share": "fraction of the line that is reached, 0 to 1 and beyond",
    "shipped": "it came with this version of flopledger, and was not added by a user",
    "sm_cycles": "elapsed cycles, summed over SMs",
    "source": "where it comes from",
    "source_offset": "where it was read: offset",
    "source_partition": "where it was read: partition",
    "source_topic": "where it was read: topic",
    "state": "raised, acknowledged or resolved",
    "status": "in force, planned, vetoed, …; of a subject: how it stands to the line",
    "subject": "what it is about: the name of a run, model, system, agent, device …",
    "subject_kind": "run, model, system, modification; of alerts also agent, device, collector or ledger",
    "summary": "one sentence for people",
    "system_id": "system of several models",
    "tensor_cycles": "cycles with any tensor pipe active, summed over SMs",
    "threshold": "name of the line",
    "title": "what it is called",
    "tokens": "training tokens, as the loop reports them",
    "traits": "what is declared of a model that lines ask about",
    "treatment": "counts, excluded or disputed",
    "unit": "what the line counts in",
    "unknown_devices": "devices whose rate is unknown, and which add nothing to the sum",
    "unknown_models": "models of the lineage of which no compute is on record",
    "within_margin": "it is closer to the line than the estimate's margin",
}


def dictionary(store: Store) -> str:
    """The whole page; raises ValueError with the columns that have no meaning yet."""
    tables = store.query(
        "SELECT name, engine, comment FROM system.tables WHERE database = currentDatabase() ORDER BY engine, name"
    ).rows
    columns: dict[str, list[tuple[str, str, str]]] = {}
    for table, name, kind, comment in store.query(
        "SELECT table, name, type, comment FROM system.columns WHERE database = currentDatabase() "
        "ORDER BY table, position"
    ).rows:
        columns.setdefault(table, []).append((name, kind, comment))
    missing = sorted({name for rows in columns.values() for name, _, comment in rows if not (comment or meaning(name))})
    if missing:
        raise ValueError(f"no meaning yet of {', '.join(missing)}: comment the column, or add it to MEANINGS")
    views = [row for row in tables if row[1] == "View"]
    kept = [row for row in tables if row[1] != "View"]
    return "\n".join([HEAD, "## Tables", *_part(kept, columns), "## Views", *_part(views, columns)])


def meaning(name: str) -> str:
    """What a column of a view says; empty when nobody wrote it down."""
    if name in MEANINGS:
        return MEANINGS[name]
    for end, bound in (("_low", "lower bound of"), ("_high", "upper bound of")):
        if name.endswith(end) and (name.removesuffix(end) in MEANINGS):
            return f"{bound} `{name.removesuffix(end)}`"
    return ""


def _part(tables: Any, columns: dict[str, list[tuple[str, str, str]]]) -> Iterator[str]:
    for table, _, comment in tables:
        yield f"\n### {table}\n\n{comment}.\n"
        if table not in columns:
            yield "Takes parameters: `SHOW CREATE VIEW` says which.\n"
            continue
        yield "| column | type | what it is |\n|---|---|---|"
        for name, kind, said in columns[table]:
            yield f"| `{name}` | {_short(kind)} | {(said or meaning(name)).replace('|', chr(92) + '|')} |"
        yield ""


def _short(kind: str) -> str:
    """`SimpleAggregateFunction(max, UInt64)` is a UInt64 to whoever reads it."""
    if kind.startswith("SimpleAggregateFunction("):
        return _short(kind.partition(", ")[2].removesuffix(")"))
    if kind.startswith("LowCardinality("):
        return _short(kind.removeprefix("LowCardinality(").removesuffix(")"))
    return kind.replace("|", "\\|")


if __name__ == "__main__":
    store = Store.embedded(Path(tempfile.mkdtemp()) / "ledger")
    migrate(store)
    print(dictionary(store), end="")
    store.close()
