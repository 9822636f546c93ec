"""Device time: nobody can cover more of it than has passed, and no device can be covered twice at one time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ledger.proof.findings import Finding
from ledger.proof.fold import Fold, covered_ns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.access import Access

GRACE_NS = 10_000_000_000
GRACE_SHARE = 200
"""Ten seconds and one part in two hundred: counters run by the device's clock, readings by the node's."""

# What an incarnation covers of a device ends with its last reading and is as long as its meters say.
_OVERLAPS = """
SELECT device, agent, incarnation, other_agent, other_incarnation, intDiv(other_end - begin, 1000000000) AS seconds
FROM
(
    SELECT
        device, agent, toString(incarnation) AS incarnation, begin, end,
        argMax(agent, end) OVER earlier AS other_agent,
        argMax(toString(incarnation), end) OVER earlier AS other_incarnation,
        argMax(begin, end) OVER earlier AS other_begin,
        max(end) OVER earlier AS other_end
    FROM
    (
        SELECT
            device, agent, incarnation,
            toInt64(max(last_ns)) AS end,
            end - toInt64(least(sum(time_ns), 9000000000000000000)) AS begin
        FROM
        (
            SELECT
                device, agent, incarnation, max(last_at_ns) AS last_ns,
                toUInt256(ifNull(max(observed_ns), 0)) + toUInt256(ifNull(max(gap_ns), 0)) AS time_ns
            FROM meters
            WHERE basis = 'hardware'
            GROUP BY run, meter_id, device, agent, incarnation
        )
        GROUP BY device, agent, incarnation
        HAVING sum(time_ns) > 0
    )
    WINDOW earlier AS
        (PARTITION BY device ORDER BY begin, end, agent ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
)
WHERE other_agent != '' AND other_end - begin
    > {grace:Int64} + intDiv(least(end - begin, other_end - other_begin), {share:Int64})
ORDER BY device, begin
LIMIT 100
"""


def overlaps(ledger: Access) -> Iterator[Finding]:
    """Devices that two agents, or two lives of one, say to have covered at the same time."""
    found = ledger.query(_OVERLAPS, {"grace": GRACE_NS, "share": GRACE_SHARE}).rows
    for device, agent, incarnation, other_agent, other_incarnation, seconds in found:
        whose = f"agent {other_agent}" if other_agent != agent else "the same agent"
        yield Finding(
            "device counted twice",
            "meters",
            f"device {device}: incarnation {incarnation} and incarnation {other_incarnation} of {whose} cover the same "
            f"{seconds} s",
            agent,
        )


def overdrawn(agent: str, fold: Fold) -> Iterator[Finding]:
    """Devices of an agent whose meters have together covered more time than has passed."""
    for (incarnation, device), (last_ns, total_ns) in covered_ns(fold).items():
        first_ns, first_total_ns = fold.begun[incarnation, device]
        passed_ns = last_ns - first_ns
        back_ns = sum(by_ns for _, by_ns in fold.clock_back.get(incarnation, ()))
        if total_ns - first_total_ns > passed_ns + back_ns + GRACE_NS + passed_ns // GRACE_SHARE:
            covered_s, passed_s = (total_ns - first_total_ns) / 1e9, passed_ns / 1e9
            detail = f"device {device}: incarnation {incarnation} covers {covered_s:.0f} s in {passed_s:.0f} s"
            yield Finding("device-seconds not conserved", "batches", detail, agent)
