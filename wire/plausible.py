"""What is signed and well formed but cannot be true.

Such a batch is evidence all the same: it is stored with its reason, kept out of totals, and raised as a finding. A
reason is `kind: field and what is wrong with it`, with a kind of `EXCLUSIONS`.

The judgement is a pure function of the batch and of what was on record `Before` it, so whoever holds the evidence can
repeat it: go through all batches in the order of record, which is that of (received_at in microseconds, source_topic,
source_partition, source_offset), and keep for each agent and chain what the fields of `Before` name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wire.ends import LastValues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wire.batch import Batch

EXCLUSIONS = ("future", "physics", "replay", "fork", "prev", "collision")
"""Kinds of reason. The ledger adds `collision`: a meter that it cannot tell from another one."""

FUTURE_TOLERANCE_NS = 10 * 60 * 1_000_000_000
"""How far a node's clock may run ahead of the collector's."""
PHYSICS_FACTOR = 2
"""An honest upper bound lies above what the silicon can do by its method's allowance: 2 % for cycle counters, 10 % and
the spread of a sampled clock for DCGM. Twice is beyond all of them."""
PHYSICS_GRACE_NS = 1_000_000_000
"""Added to a meter's time: a device's own counters and the agent's clock are not read in one instant."""
MAX_DEVICE_FLOP_PER_S = 10**18
"""No device that an agent can name does more: fifty times the fastest accelerator sold in 2026, sparse FP4 included."""
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Before:
    """What was on record before a batch, as far as it bears on it. None, or absent, is not on record.

    `chain_agent` and `incarnation_agent` are the agents (keys) of the first batch on record with its chain, and with
    its incarnation. Hashes are hex SHA-256, within the batch's own agent and chain: `twin` of the first batch at its
    seq if that is another one, `predecessor` of the first one at seq - 1, `named_by_successor` is the `prev` of the
    first one at seq + 1. `flop_per_s_max` is by device, from the record with the latest `sealed_at` in the counted
    batches of the same agent.
    """

    chain_agent: str | None = None
    incarnation_agent: str | None = None
    twin: str | None = None
    predecessor: str | None = None
    named_by_successor: str | None = None
    flop_per_s_max: Mapping[str, int] = field(default_factory=dict)


NOTHING = Before()


def implausible(batch: Batch, received_at_ns: int, before: Before = NOTHING, sha256: str | None = None) -> str | None:
    """Why `batch` cannot be counted, naming the field; None when nothing speaks against it.

    `received_at_ns` is Unix time, `sha256` the hex hash of the batch's bytes: without it a successor that is on record
    already is not compared.
    """
    return (
        _from_the_future(batch, received_at_ns)
        or _of_another(batch, before)
        or _off_the_chain(batch, before, sha256)
        or _past_physics(batch, before.flop_per_s_max)
    )


def plainly_possible(batch: Batch, received_at_ns: int, flop_per_s_max: float) -> bool:
    """Whether neither time nor physics speaks against a batch on an agent none of whose devices can do less than this,
    as far as that is known from opening it; False where it has to be looked at.
    """
    last = batch.readings.last_values
    if batch.devices or not isinstance(last, LastValues):
        return False
    soon_ns = received_at_ns + FUTURE_TOLERANCE_NS
    if batch.sealed_at_ns > soon_ns or last.ends.latest_ns[last.batch] > soon_ns:
        return False
    # Rates are known to a part in a million at least.
    return last.ends.flop_per_s[last.batch] <= flop_per_s_max * (PHYSICS_FACTOR - 1e-6)


def exclusion_kind(reason: str) -> str:
    """The kind of a reason, one of `EXCLUSIONS`; `other` for what is none of them."""
    kind = reason.partition(":")[0]
    return kind if kind in EXCLUSIONS else "other"


def _from_the_future(batch: Batch, received_at_ns: int) -> str | None:
    latest = max(batch.readings.last("at_ns"), default=0)
    for name, at_ns in (("sealed_at", batch.sealed_at_ns), ("readings.at_ns", latest)):
        if at_ns > received_at_ns + FUTURE_TOLERANCE_NS:
            return f"future: {name} is {(at_ns - received_at_ns) // _SECOND_NS} s ahead of ours"
    return None


def _of_another(batch: Batch, before: Before) -> str | None:
    for name, agent in (("chain", before.chain_agent), ("incarnation", before.incarnation_agent)):
        if agent is not None and agent != batch.agent:
            return f"replay: {name} is that of agent {agent}"
    return None


def _off_the_chain(batch: Batch, before: Before, sha256: str | None) -> str | None:
    if before.twin is not None:
        return f"fork: seq {batch.seq} of this chain is on record with other content, {before.twin}"
    if before.predecessor is not None and batch.prev != before.predecessor:
        return f"prev: seq {batch.seq - 1} of this chain is on record as {before.predecessor}"
    if sha256 is not None and before.named_by_successor not in {None, sha256}:
        return f"prev: seq {batch.seq + 1} of this chain is on record and follows {before.named_by_successor}"
    return None


def _past_physics(batch: Batch, known: Mapping[str, int]) -> str | None:
    """A meter of the hardware basis holds no more than its device could do at full rate in the time that it covers.

    What states no time, or is about a device that nobody described, cannot be compared.
    """
    rates = dict(known)
    for n, record in enumerate(batch.devices):
        if record.flop_per_s_max is not None:
            if record.flop_per_s_max > MAX_DEVICE_FLOP_PER_S:
                return f"physics: devices[{n}].flop_per_s_max is more than any device can do"
            rates[record.id] = record.flop_per_s_max
        else:
            rates.pop(record.id, None)
    if not rates:
        return None
    readings = batch.readings
    # Counters only grow, so the last reading of a meter speaks for all before it.
    last = zip(
        readings.meters, readings.last("flop_high"), readings.last("observed_ns"), readings.last("gap_ns"), strict=True
    )
    for (run, _, device, basis, *_), flop_high, observed_ns, gap_ns in last:
        rate = rates.get(device)
        if rate is None or basis != "hardware" or (observed_ns is None and gap_ns is None):
            continue
        time_ns = (observed_ns or 0) + (gap_ns or 0)
        if flop_high * _SECOND_NS > PHYSICS_FACTOR * rate * (time_ns + PHYSICS_GRACE_NS):
            return (
                f"physics: readings.flop_high of run {run} on {device} is {flop_high}, more than twice what it can do "
                f"in {time_ns / _SECOND_NS:.1f} s at {rate} FLOP/s"
            )
    return None
