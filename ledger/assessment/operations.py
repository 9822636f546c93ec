"""What speaks against a number: gaps in coverage, silent agents, totals that disagree, devices counted twice.

Each is an alert while it holds. What takes a long look is looked at hourly; silence is noticed by the minute. Silence
is counted in time that this process was awake and looking, so a clock that jumps and a laptop that sleeps make none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.assessment.alert import Alert

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.assessment.rules import Rules
    from ledger.reader import Reader

HOUR_NS = 3_600_000_000_000
STEP_NS = 60_000_000_000
"""The most that one look after another counts as time awake."""
GONE_AFTER_NS = 7 * 24 * HOUR_NS
"""Who had been silent for so long when we began has left."""
STORM_NS = HOUR_NS
"""For so long after a collector said that it stops, the storm is taken to go on."""
AT_LEAST_NS = HOUR_NS
"""What is younger says nothing yet about coverage or agreement."""

_COVERAGE = """
SELECT run_id, coverage, expected_ns, observed_ns FROM coverage
WHERE coverage < {least:Float64} AND dateDiff('second', first_at, last_at) >= 3600 ORDER BY run_id
"""
_APART = """
SELECT r.run_id, r.ratio, r.finding, r.hardware_flop, r.hardware_flop_high, r.architecture_flop
FROM reconciliation AS r INNER JOIN
    (SELECT run_id FROM run_totals GROUP BY run_id HAVING dateDiff('second', min(first_at), max(last_at)) >= 3600) AS t
    ON t.run_id = r.run_id
WHERE r.finding = 'reported above the upper bound' OR r.ratio < {least:Float64} OR r.ratio > {most:Float64}
ORDER BY r.run_id
"""
# Of the meters that moved within a day: what old lives left unattributed is no news.
_UNATTRIBUTED = """
SELECT cluster, toFloat64(sumIf(f, run = 'unattributed')) / toFloat64(sum(f)) AS share,
    sumIf(f, run = 'unattributed'), sum(f)
FROM
(
    SELECT m.run AS run, m.cluster AS cluster, toUInt256(coalesce(m.flop, m.flop_low)) AS f
    FROM meters AS m FINAL WHERE m.basis = 'hardware' AND m.last_at_ns >= {since:UInt64}
)
GROUP BY cluster HAVING sum(f) > 0 AND share > {most:Float64} ORDER BY cluster
"""
# Both have covered some of the same hour: one took over from the other when the later began after the earlier ended.
_SHARED = """
SELECT a.device, groupArray(a.agent), max(a.began) AS began, min(a.ended) AS ended
FROM
(
    SELECT m.device AS device, m.agent AS agent, min(m.first_at_ns) AS began, max(m.last_at_ns) AS ended
    FROM meters AS m WHERE m.basis = 'hardware' AND m.last_at_ns >= {since:UInt64} GROUP BY m.device, m.agent
) AS a
GROUP BY a.device HAVING count() > 1 AND began + 60000000000 < ended ORDER BY a.device
"""
_HEARD = "SELECT agent, max(last_at_ns), toUnixTimestamp(max(recorded_at)) FROM meters GROUP BY agent"
HOURLY_KINDS = frozenset({"coverage_low", "totals_apart", "unattributed_share", "device_shared"})
QUICK_KINDS = frozenset({"agent_silent", "collector_stopped", "quarantine_storm"})


def hourly_findings(reader: Reader, rules: Rules, now_ns: int) -> list[Alert]:
    """Those that take a look at the whole ledger."""
    found = []
    for run, coverage, expected_ns, observed_ns in reader.query(_COVERAGE, {"least": rules.coverage_min}).rows:
        summary = f"{coverage:.1%} of its device time was observed, less than {rules.coverage_min:.0%}"
        evidence = {"coverage": coverage, "expected_ns": str(expected_ns), "observed_ns": str(observed_ns)}
        found.append(Alert("run", run, "coverage_low", summary, evidence=evidence))
    limits = {"least": rules.totals_apart_min, "most": rules.totals_apart_max}
    for run, ratio, finding, hardware, high, reported in reader.query(_APART, limits).rows:
        summary = f"hardware over reported is {ratio:.2f}" if ratio is not None else finding
        evidence = {"finding": finding, "ratio": ratio, "architecture_flop": str(reported)}
        evidence |= {"hardware_flop": None if hardware is None else str(hardware), "hardware_flop_high": str(high)}
        found.append(Alert("run", run, "totals_apart", summary, basis="hardware", flop=hardware, evidence=evidence))
    limits = {"most": rules.unattributed_max_share, "since": max(now_ns - 24 * HOUR_NS, 0)}
    for cluster, share, flop, total in reader.query(_UNATTRIBUTED, limits).rows:
        summary = f"{share:.1%} of what cluster {cluster or '?'} computes belongs to no known run"
        evidence = {"share": share, "cluster_flop": str(total)}
        found.append(
            Alert("ledger", cluster, "unattributed_share", summary, basis="hardware", flop=flop, evidence=evidence)
        )
    for device, agents, began_ns, ended_ns in reader.query(_SHARED, {"since": max(now_ns - HOUR_NS, 0)}).rows:
        summary = f"{len(agents)} agents count this device at the same time: its work is counted more than once"
        evidence = {"agents": list(agents), "seconds": (ended_ns - began_ns) // 10**9}
        found.append(Alert("device", device, "device_shared", summary, evidence=evidence))
    return found


class Listener:
    """Who was heard when, in time awake (ns)."""

    def __init__(self, reader: Reader, now_ns: int) -> None:
        self._awake_ns = 0
        self._looked_ns = now_ns
        rows = reader.query(_HEARD).rows
        self._heard = {agent: 0 for agent, last_ns, _ in rows if last_ns > now_ns - GONE_AFTER_NS}
        self._recorded_ns = 0
        self._stamps: dict[str, int] = {agent: at_s for agent, _, at_s in rows}

    def look(self, recorded: Mapping[str, Mapping[str, int]], now_ns: int) -> None:
        """So much was recorded since about the last look: by run the agents, and when that was recorded."""
        self._awake_ns += min(max(now_ns - self._looked_ns, 0), STEP_NS)
        self._looked_ns = now_ns
        for agents in recorded.values():
            for agent, at_s in agents.items():
                if at_s != self._stamps.get(agent):
                    self._stamps[agent] = at_s
                    self._heard[agent] = self._recorded_ns = self._awake_ns

    def findings(self, rules: Rules, revoked: set[str], storms: Mapping[str, tuple[int, str]]) -> list[Alert]:
        """Who is silent, and which collectors have stopped for a storm."""
        found = [
            Alert("collector", name, "quarantine_storm", detail, evidence={"said_at_ns": str(at_ns)})
            for name, (at_ns, detail) in sorted(storms.items())
            if abs(self._looked_ns - at_ns) < STORM_NS
        ]
        silent_s = (self._awake_ns - self._recorded_ns) / 1e9
        if self._heard and silent_s > rules.collector_stopped_s:
            # Then no agent is heard of, and it is not theirs.
            summary = f"nothing was recorded for {silent_s / 60:.0f} minutes"
            return [*found, Alert("collector", "all", "collector_stopped", summary, evidence={"silent_s": silent_s})]
        limit_ns = self._awake_ns - int(rules.agent_silent_s * 1e9)
        for agent in sorted(agent for agent, heard_ns in self._heard.items() if heard_ns < limit_ns):
            silent_s = (self._awake_ns - self._heard[agent]) / 1e9
            if agent not in revoked:
                summary = f"nothing was heard of it for {silent_s / 60:.0f} minutes"
                found.append(Alert("agent", agent, "agent_silent", summary, evidence={"silent_s": silent_s}))
        return found
