"""All metrics of the collector, each under its type, unit and meaning; `docs/collector.md` shows them as a table."""

from __future__ import annotations

from typing import Literal

MetricName = Literal[
    # counter, {message}: taken from the source and done with
    "flopledger.collector.messages",
    # counter, {batch}: recorded as evidence, counted or not
    "flopledger.collector.batches",
    # counter, {reading}: readings in those batches
    "flopledger.collector.readings",
    # counter, {message}: put into the quarantine; by `reason`, a class of reasons
    "flopledger.collector.quarantined",
    # counter, {batch}: recorded as evidence and counted towards nothing; by `reason`, a kind of exclusion
    "flopledger.collector.excluded",
    # histogram, s: how long it took to record one round of batches
    "flopledger.collector.insert.duration",
    # counter, {try}: rounds that had to wait because the ledger, the brokers or the quarantine were away
    "flopledger.collector.retries",
    # gauge, {message}: in our partitions and not recorded yet; absent while unknown
    "flopledger.collector.lag.messages",
    # gauge, s: for how long the oldest of them has waited, at most; absent while unknown
    "flopledger.collector.lag.age",
    # gauge, s: since all that was taken was committed
    "flopledger.collector.commit.age",
    # gauge, {partition}: partitions that are ours
    "flopledger.collector.partitions",
    # counter, {assessment}: times that every run was held against every line
    "flopledger.collector.assessments",
    # gauge, s: since the last assessment; absent where another collector assesses
    "flopledger.collector.assessment.age",
    # gauge, {message}: messages about alerts that a channel has not accepted yet; by `channel`
    "flopledger.collector.deliveries.pending",
    # gauge, {alert}: alerts of which a message was tried in vain and is tried again; by `channel`
    "flopledger.collector.deliveries.failing",
    # gauge, s: for how long the oldest of the pending messages has waited, 0 when none does; by `channel`
    "flopledger.collector.deliveries.age",
    # gauge, s: since the main loop came by; it grows where a collector is stuck
    "flopledger.collector.beat.age",
    # gauge, {FLOP}: point estimate of a run, for alerting only: the exact number is in the ledger; by `run`, `basis`
    "flopledger.run.flop",
    # gauge, {FLOP}: lower bound of it; by `run`, `basis`
    "flopledger.run.flop.low",
    # gauge, {FLOP}: upper bound of it; by `run`, `basis`
    "flopledger.run.flop.high",
    # gauge, s: until a run reaches a line, if foreseen; by `run`, `threshold`, `end`: expected, or early (5 % sooner)
    "flopledger.run.crossing",
    # gauge, 1: estimate over line; by `subject_kind` (run, model, system …), `subject`, `basis`, `threshold`
    "flopledger.subject.fraction",
    # gauge, 1: upper bound over line; by the same
    "flopledger.subject.fraction.high",
    # gauge, {alert}: alerts that are not resolved; by `kind` and `state`
    "flopledger.alerts.active",
    # gauge, 1: how many runs, or pairs of subject and line, these gauges leave out; by `what`: runs or fractions
    "flopledger.gauges.left.out",
    # gauge, 1: 1 when ready, as /readyz says it, without asking the ledger
    "flopledger.collector.ready",
]
