"""What is on record before a batch: its chain, who was first to use it, and what its devices can do.

Batches are judged by `wire.plausible` against what came before them in the order of record. Most of what that takes is
remembered; the evidence is asked about chains and agents met for the first time, and about batches that do not simply
follow the one before.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import inf
from typing import TYPE_CHECKING, Any

from wire.plausible import Before, implausible, plainly_possible

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence
    from uuid import UUID

    from ledger.evidence import Evidence
    from ledger.reader import Reader

MAX_REMEMBERED = 1_000_000
LOOK_UP = 500
"""How much is asked about in one statement: parameters travel in its address."""

LOOK_AHEAD = 8
"""How far beyond a batch that follows none we know the evidence is asked. What lies farther off goes unseen when it is
met again; agents ship in order, so it takes a gap as wide that is filled late, across a restart."""

Place = tuple[str, str, int]
"""Agent, chain, seq."""
Stretch = tuple[str, str, int, int]
"""Agent, chain, first and last seq."""

_ORDER = "(received_at, source_topic, source_partition, source_offset)"
_FIRST_AGENT = f"""
SELECT toString({{column}}), argMin(agent, {_ORDER}) FROM batches WHERE {{column}} IN {{{{ids:Array(UUID)}}}}
GROUP BY {{column}}
"""
_AT_PLACES = """
SELECT agent, toString(chain), seq, lower(hex(sha256)), toUnixTimestamp64Micro(received_at),
    source_topic, source_partition, source_offset, excluded_reason
FROM batches
WHERE (agent, chain, seq) IN (
    SELECT p.1, p.2, arrayJoin(range(p.3, p.4 + 1)) FROM (SELECT arrayJoin(arrayZip(
        {agents:Array(String)}, {chains:Array(UUID)}, {firsts:Array(UInt64)}, {lasts:Array(UInt64)})) AS p))
"""
_PREV = """
SELECT JSONExtractString(body, 'prev') FROM batches
WHERE agent = {agent:String} AND chain = {chain:UUID} AND seq = {seq:UInt64} AND sha256 = unhex({sha256:String})
LIMIT 1
"""
_RATES = """
SELECT agent, device, flop_per_s_max, sealed_at_ns FROM devices FINAL WHERE agent IN {agents:Array(String)}
"""


@dataclass(frozen=True, slots=True)
class _OnRecord:
    """One batch of the evidence, without its bytes. `prev` is None where it was not asked for."""

    received_at_ns: int
    topic: str
    partition: int
    offset: int
    sha256: str
    excluded_reason: str | None
    prev: str | None = None

    @property
    def order(self) -> tuple[int, str, int, int]:
        return self.received_at_ns, self.topic, self.partition, self.offset


@dataclass(slots=True)
class _Round:
    """What the evidence says of the places that this round of batches touches, and what the round adds."""

    at: dict[Place, list[_OnRecord]] = field(default_factory=dict)

    def first(self, place: Place) -> _OnRecord | None:
        return min(self.at.get(place, ()), key=lambda found: found.order, default=None)

    def same(self, place: Place, sha256: str) -> _OnRecord | None:
        return next((found for found in self.at.get(place, ()) if found.sha256 == sha256), None)


class Trail:
    """Judges batches in the order in which they are recorded. Used from one thread at a time."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.forget()

    def forget(self) -> None:
        """Somebody else may have recorded meanwhile: ask the evidence again."""
        self._heads: dict[tuple[str, str], tuple[int, str]] = {}
        """The last seq of a chain where nothing is on record after it, and the hash of the first batch there."""
        self._agent_of: dict[str, str] = {}
        self._rates: dict[str, dict[str, tuple[int, int | None]]] = {}
        self._slowest: dict[str, int] = {}
        """The least that any device of an agent can do, as far as that is known of any."""

    def judged(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        """The same batches, each with the reason why it does not count, if there is one.

        One that is on record already comes back as it was recorded then: its time, its coordinates and its judgement.
        """
        if len(self._heads) + len(self._agent_of) > MAX_REMEMBERED:
            self.forget()
        self._learn_agents(evidence)
        self._learn_rates({item.batch.agent for item in evidence})
        unsure = self._unsure(evidence)
        asked = {(agent, chain) for agent, chain, _, _ in unsure}
        round_ = _Round(self._look_up(unsure))
        return [
            item if item.excluded_reason is None and self._goes_on(item, asked) else self._judge(item, round_)
            for item in evidence
        ]

    def _goes_on(self, item: Evidence, asked: Container[tuple[str, str]]) -> bool:
        """Whether a batch plainly is the next of its chain, of nobody else, in time and within physics, as almost all
        are; it is noted then.
        """
        batch = item.batch
        agent, chain = batch.agent, str(batch.chain)
        place = (agent, chain)
        head = self._heads.get(place)
        if head is None or place in asked or (batch.seq, batch.prev) != (head[0] + 1, head[1]):
            return False
        if self._agent_of.get(chain) != agent or self._agent_of.get(str(batch.incarnation)) != agent:
            return False
        if not plainly_possible(batch, item.received_at_ns, self._slowest.get(agent, inf)):
            return False
        self._heads[place] = (batch.seq, item.sealed.sha256.hex())
        return True

    def _judge(self, item: Evidence, round_: _Round) -> Evidence:
        batch, sha256 = item.batch, item.sealed.sha256.hex()
        place = (batch.agent, str(batch.chain), batch.seq)
        recorded = round_.same(place, sha256)
        if recorded is None:
            reason = implausible(batch, item.received_at_ns, self._before(item, place, round_), sha256)
            judged = replace(item, excluded_reason=reason or item.excluded_reason)
        else:
            judged = replace(
                item,
                received_at_ns=recorded.received_at_ns,
                topic=recorded.topic,
                partition=recorded.partition,
                offset=recorded.offset,
                excluded_reason=recorded.excluded_reason or item.excluded_reason,
            )
        self._note(judged, place, sha256, round_)
        return judged

    def _before(self, item: Evidence, place: Place, round_: _Round) -> Before:
        agent, chain, seq = place
        head = self._heads.get((agent, chain))
        if head is not None and head[0] == seq - 1:
            twin = successor = None
            predecessor: str | None = head[1]
        else:
            twin = round_.first(place)
            before = round_.first((agent, chain, seq - 1))
            predecessor = None if before is None else before.sha256
            successor = round_.first((agent, chain, seq + 1))
        return Before(
            chain_agent=self._agent_of.get(chain),
            incarnation_agent=self._agent_of.get(str(item.batch.incarnation)),
            twin=None if twin is None else twin.sha256,
            predecessor=predecessor,
            named_by_successor=None if successor is None else self._prev(successor, (agent, chain, seq + 1)),
            flop_per_s_max={
                device: rate for device, (_, rate) in self._rates.get(agent, {}).items() if rate is not None
            },
        )

    def _note(self, item: Evidence, place: Place, sha256: str, round_: _Round) -> None:
        agent, chain, seq = place
        batch = item.batch
        found = _OnRecord(
            item.received_at_ns, item.topic, item.partition, item.offset, sha256, item.excluded_reason, batch.prev or ""
        )
        if round_.same(place, sha256) is None:
            round_.at.setdefault(place, []).append(found)
        head = self._heads.get((agent, chain))
        if head is None or head[0] < seq:
            first = round_.first(place)
            self._heads[agent, chain] = (seq, sha256 if first is None else first.sha256)
        if any((agent, chain, later) in round_.at for later in range(seq + 1, seq + 1 + LOOK_AHEAD)):
            # It comes again, or late: what follows is on record too, and has to be looked up.
            self._heads.pop((agent, chain), None)
        self._agent_of.setdefault(chain, agent)
        self._agent_of.setdefault(str(batch.incarnation), agent)
        if item.excluded_reason is None:
            rates = self._rates.setdefault(agent, {})
            for device in batch.devices:
                sealed_at_ns, _ = rates.get(device.id, (-1, None))
                if batch.sealed_at_ns >= sealed_at_ns:
                    rates[device.id] = (batch.sealed_at_ns, device.flop_per_s_max)
            if batch.devices:
                self._find_slowest(agent)

    def _unsure(self, evidence: Sequence[Evidence]) -> list[Stretch]:
        """Where the evidence must be asked: around whatever does not follow the head that we know."""
        newest: dict[tuple[str, str], int | None] = {}
        unsure: dict[tuple[str, str], list[int]] = {}
        for item in evidence:
            chain, seq = (item.batch.agent, str(item.batch.chain)), item.batch.seq
            known = newest.get(chain, self._heads.get(chain, (None, ""))[0])
            follows = known is not None and known == seq - 1
            # Once it does not follow, nothing is sure of this chain for the rest of the round.
            newest[chain] = seq if follows else None
            if not follows:
                unsure.setdefault(chain, []).append(seq)
        return [
            (*chain, first, last) for chain, seqs in sorted(unsure.items()) for first, last in _stretches(sorted(seqs))
        ]

    def _look_up(self, stretches: Sequence[Stretch]) -> dict[Place, list[_OnRecord]]:
        found: dict[Place, list[_OnRecord]] = {}
        for some in _chunks(stretches):
            agents, chains, firsts, lasts = (list(column) for column in zip(*some, strict=True))
            asked = {"agents": agents, "chains": chains, "firsts": firsts, "lasts": lasts}
            for agent, chain, seq, sha256, at_us, topic, partition, offset, why in self._reader.query(
                _AT_PLACES, asked
            ).rows:
                recorded = _OnRecord(at_us * 1_000, topic, partition, offset, sha256, why or None)
                kept = found.setdefault((agent, chain, seq), [])
                if all(known.sha256 != sha256 for known in kept):
                    kept.append(recorded)
        return found

    def _prev(self, found: _OnRecord, place: Place) -> str | None:
        if found.prev is not None:
            return found.prev
        agent, chain, seq = place
        asked = {"agent": agent, "chain": chain, "seq": seq, "sha256": found.sha256}
        rows = self._reader.query(_PREV, asked).rows
        return rows[0][0] if rows else None

    def _learn_agents(self, evidence: Sequence[Evidence]) -> None:
        for column in ("chain", "incarnation"):
            ids: set[UUID] = {getattr(item.batch, column) for item in evidence}
            fresh = sorted(str(one) for one in ids if str(one) not in self._agent_of)
            for some in _chunks(fresh):
                rows = self._reader.query(_FIRST_AGENT.format(column=column), {"ids": list(some)}).rows
                self._agent_of.update((name, agent) for name, agent in rows)

    def _learn_rates(self, agents: Iterable[str]) -> None:
        fresh = sorted(agent for agent in agents if agent not in self._rates)
        for some in _chunks(fresh):
            for agent in some:
                self._rates[agent] = {}
            for agent, device, rate, sealed_at_ns in self._reader.query(_RATES, {"agents": list(some)}).rows:
                self._rates[agent][device] = (sealed_at_ns, rate)
            for agent in some:
                self._find_slowest(agent)

    def _find_slowest(self, agent: str) -> None:
        known = [rate for _, rate in self._rates[agent].values() if rate is not None]
        if known:
            self._slowest[agent] = min(known)
        else:
            self._slowest.pop(agent, None)


def _stretches(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """The places around these, in order, as few stretches as there can be."""
    found: list[tuple[int, int]] = []
    for seq in seqs:
        first, last = max(seq - 1, 0), seq + LOOK_AHEAD
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], last)
        else:
            found.append((first, last))
    return found


def _chunks(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    return (items[start : start + LOOK_UP] for start in range(0, len(items), LOOK_UP))
