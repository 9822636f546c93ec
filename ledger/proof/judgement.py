"""Whether a batch is rightly counted, or rightly not: judged again, with what was on record before it.

Almost every batch explains itself. The evidence is asked about the few that do not, one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.meter_ids import fingerprint
from ledger.proof.findings import Finding, Kind
from wire.errors import WireError
from wire.opening import open_batch
from wire.plausible import Before, exclusion_kind, implausible
from wire.seal import Sealed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ledger.access import Access
    from ledger.proof.scan import Doubt
    from wire.batch import Batch

KINDS: dict[str, Kind] = {
    "physics": "physics broken",
    "fork": "fork",
    "replay": "replay",
    "prev": "reordered chain",
}
"""What it is to count a batch that such a reason speaks against."""
MAX_NAMED = 200

_ORDER = "(received_at, source_topic, source_partition, source_offset)"
_BATCH = """
SELECT body, signature, schema, toUnixTimestamp64Micro(received_at) AS received_us, source_topic, source_partition,
    source_offset
FROM batches FINAL
WHERE agent = {agent:String} AND chain = {chain:UUID} AND seq = {seq:UInt64} AND sha256 = unhex({sha256:String})
"""
_EARLIER = f"""{_ORDER} <
    (fromUnixTimestamp64Micro({{received_us:Int64}}, 'UTC'), {{topic:String}}, {{partition:UInt32}}, {{offset:Int64}})
"""
_FIRST_AGENT = f"SELECT argMinOrNull(agent, {_ORDER}) FROM batches WHERE {{column}} = {{{{id:UUID}}}} AND {{earlier}}"
_FIRST_AT = f"""
SELECT lower(hex(argMin(sha256, {_ORDER}))), argMin(JSONExtractString(body, 'prev'), {_ORDER}), count() FROM batches
WHERE agent = {{agent:String}} AND chain = {{chain:UUID}} AND seq = {{seq:UInt64}}
    AND sha256 != unhex({{sha256:String}}) AND {_EARLIER}
"""
_INVENTORIES = f"""
SELECT body, sha256, signature, schema FROM batches
WHERE agent = {{agent:String}} AND excluded_reason = '' AND position(body, '"devices":[{{') > 0 AND {_EARLIER}
ORDER BY sealed_at
"""
_RATES = "SELECT agent, device, flop_per_s_max FROM devices FINAL WHERE flop_per_s_max IS NOT NULL"
_BORROWED = f"""
SELECT agent, toString(chain), seq, owner FROM
(
    SELECT agent, chain, seq, {{column}} AS id, excluded_reason FROM batches
    WHERE {{column}} IN (SELECT {{column}} FROM batches GROUP BY {{column}} HAVING uniqExact(agent) > 1)
) AS b
INNER JOIN
(
    SELECT {{column}} AS id, argMin(agent, {_ORDER}) AS owner
    FROM batches GROUP BY {{column}} HAVING uniqExact(agent) > 1
) AS o ON o.id = b.id
WHERE b.agent != o.owner AND b.excluded_reason = ''
ORDER BY agent, chain, seq LIMIT {{{{limit:UInt64}}}}
"""
_OTHER_METERS = """
SELECT run, meter_id, toString(incarnation), device, purpose, basis, method, dtype, attribution FROM meters
WHERE run IN {runs:Array(String)} AND meter_id IN {ids:Array(UInt64)}
"""


def known_rates(ledger: Access) -> dict[str, dict[str, int]]:
    """By agent and device: the most that it can do, FLOP per second, as the inventory says."""
    rates: dict[str, dict[str, int]] = {}
    for agent, device, rate in ledger.query(_RATES).rows:
        rates.setdefault(agent, {})[device] = rate
    return rates


def borrowed(ledger: Access) -> Iterator[Finding]:
    """Batches that count, though their chain or their incarnation is another agent's, who was there first."""
    for column in ("chain", "incarnation"):
        rows = ledger.query(_BORROWED.format(column=column), {"limit": MAX_NAMED}).rows
        for agent, chain, seq, owner in rows:
            yield Finding("replay", "batches", f"its {column} is that of agent {owner}", agent, chain, seq)


def settle(ledger: Access, doubt: Doubt) -> Iterator[Finding]:
    """What is wrong with a batch that one page alone does not explain, if anything is."""
    place = (doubt.agent, doubt.chain, doubt.seq)
    # Physics holds whether or not the collector knew the device already.
    against_physics = not doubt.stored and exclusion_kind(doubt.judged) == "physics"
    judged = doubt.judged if against_physics else _judged_again(ledger, doubt)
    if judged == doubt.stored:
        return
    if not doubt.stored:
        kind = KINDS.get(exclusion_kind(judged), "wrongly counted")
        yield Finding(kind, "batches", f"it counts, though: {judged}", *place)
    elif judged:
        detail = f"excluded_reason is {doubt.stored!r} where it should be {judged!r}"
        yield Finding("wrongly excluded", "batches", detail, *place)
    else:
        yield Finding("wrongly excluded", "batches", f"nothing speaks for {doubt.stored!r}", *place)


def _judged_again(ledger: Access, doubt: Doubt) -> str:
    """The reason against a batch, with everything that was on record before it; empty when there is none."""
    found = ledger.query_arrow(
        _BATCH, {"agent": doubt.agent, "chain": doubt.chain, "seq": doubt.seq, "sha256": doubt.sha256.hex()}
    ).to_pylist()
    if not found:
        return doubt.stored
    row = found[0]
    sealed = Sealed(row["body"], doubt.sha256, doubt.agent, row["signature"], row["schema"].decode())
    batch = open_batch(sealed)
    order = {
        "received_us": row["received_us"],
        "topic": row["source_topic"].decode(),
        "partition": row["source_partition"],
        "offset": row["source_offset"],
    }
    before = _before(ledger, batch, doubt, order)
    reason = implausible(batch, row["received_us"] * 1_000, before, doubt.sha256.hex())
    return reason or _collision(ledger, batch, doubt.stored)


def _before(ledger: Access, batch: Batch, doubt: Doubt, order: Mapping[str, Any]) -> Before:
    place = {"agent": batch.agent, "chain": str(batch.chain), "sha256": doubt.sha256.hex(), **order}
    twin = _first_at(ledger, {**place, "seq": batch.seq})
    predecessor = None if batch.seq == 0 else _first_at(ledger, {**place, "seq": batch.seq - 1})
    successor = _first_at(ledger, {**place, "seq": batch.seq + 1})
    return Before(
        chain_agent=_first_agent(ledger, "chain", str(batch.chain), order),
        incarnation_agent=_first_agent(ledger, "incarnation", str(batch.incarnation), order),
        twin=twin and twin[0],
        predecessor=predecessor and predecessor[0],
        named_by_successor=successor and successor[1],
        flop_per_s_max=_rates_before(ledger, batch.agent, order),
    )


def _first_agent(ledger: Access, column: str, value: str, order: Mapping[str, Any]) -> str | None:
    sql = _FIRST_AGENT.format(column=column, earlier=_EARLIER)
    agent: str | None = ledger.query(sql, {"id": value, **order}).rows[0][0]
    return agent


def _first_at(ledger: Access, place: Mapping[str, Any]) -> tuple[str, str] | None:
    """Hash of the first batch in a place, and the hash that it says it follows."""
    sha256, prev, count = ledger.query(_FIRST_AT, place).rows[0]
    return (sha256, prev) if count else None


def _rates_before(ledger: Access, agent: str, order: Mapping[str, Any]) -> dict[str, int]:
    rates: dict[str, int | None] = {}
    for row in ledger.query_arrow(_INVENTORIES, {"agent": agent, **order}).to_pylist():
        try:
            batch = open_batch(Sealed(row["body"], row["sha256"], agent, row["signature"], row["schema"].decode()))
        except WireError:
            # Found by itself.
            continue
        rates.update({device.id: device.flop_per_s_max for device in batch.devices})
    return {device: rate for device, rate in rates.items() if rate is not None}


def _collision(ledger: Access, batch: Batch, stored: str) -> str:
    """What was stored, when a meter of the batch has the id of another one in its run."""
    if exclusion_kind(stored) != "collision":
        return ""
    ids = {(key[0], fingerprint(batch.incarnation, key)[0]): key for key in batch.readings.meters}
    rows: Sequence[Sequence[Any]] = ledger.query(
        _OTHER_METERS, {"runs": sorted({run for run, _ in ids}), "ids": [meter_id for _, meter_id in ids]}
    ).rows
    for run, meter_id, incarnation, device, purpose, *rest in rows:
        key = ids.get((run, meter_id))
        other = (incarnation, run, purpose, device, *rest)
        if key is not None and other != (str(batch.incarnation), *key):
            return stored
    return ""
