"""A small ledger with something of everything, and the ways to spoil it behind its back."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ledger.agents import FIRST_USE, Roll, enrolled
from ledger.proof.verify import verify
from ledger.trail import Trail
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, evidence, meter
from wire.batch import UNATTRIBUTED, DeviceRecord, Event

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.proof.checkpoint import Checkpoint
    from ledger.proof.findings import Finding
    from ledger.proof.verify import Report
    from wire.batch import Reading
    from wire.seal import Sealed

SECOND_NS = 1_000_000_000
STEP_NS = 600 * SECOND_NS
LATER_NS = NOW_NS + 24 * HOUR_NS
"""When it is verified."""
RATE = 10**15


def device(name: str) -> DeviceRecord:
    return DeviceRecord(name, "gpu", "H100", None, 132, 1_980, None, "580", "gpm-cycles", RATE)


def readings(number: int, step: int, start: int = 0) -> list[Reading]:
    """Two devices of a node that have worked on since step `start`, each on a run, and one that idles now and then."""
    passed_ns = (step - start + 1) * STEP_NS
    at_ns = NOW_NS - 20 * STEP_NS + step * STEP_NS
    flop = RATE // 2 * (passed_ns // SECOND_NS)
    idle_ns = passed_ns // 4
    common = {"at_ns": at_ns, "tensor_cycles": flop // 4_096, "energy_mj": 7 * step}
    return [
        meter(flop, flop - 5, flop + 5, device=f"GPU-{number}a", observed_ns=passed_ns, **common),
        meter(
            flop, flop - 5, flop + 5, run="s", device=f"GPU-{number}b", observed_ns=passed_ns - idle_ns, **common
        ),
        meter(
            None, 0, idle_ns // SECOND_NS * RATE, run=UNATTRIBUTED, device=f"GPU-{number}b", method="unobserved",
            at_ns=at_ns, gap_ns=idle_ns,
        ),
        meter(
            2 * flop, at_ns=at_ns, device=f"reporter-{number}", basis="architecture", method="reported-rank",
            tokens=100 * step,
        ),
    ]  # fmt: skip


def sealed_by(chain: Chain, number: int, batches: int) -> list[Sealed]:
    """A chain of so many batches; half-way the agent begins anew."""
    made = []
    half = batches // 2
    for step in range(batches):
        if step == half:
            chain.restart()
        devices = [device(f"GPU-{number}{letter}") for letter in "ab"] if step in {0, half} else []
        events = [Event("start", NOW_NS)] if step in {0, half} else []
        start = half if step >= half else 0
        made.append(chain.seal(*readings(number, step, start), devices=tuple(devices), events=tuple(events)))
    return made


def record(ledger: Ledger, sealed: list[Sealed]) -> None:
    """As the collector does it: enrolled, judged, recorded."""
    ((recorded,),) = ledger.query("SELECT count() FROM batches").rows
    items = [evidence(item, offset=recorded + offset) for offset, item in enumerate(sealed)]
    fresh = Roll(ledger).missing(item.batch.agent for item in items)
    ledger.request([enrolled(agent, FIRST_USE, "collector") for agent in sorted(fresh)])
    judged = Trail(ledger).judged(items)
    reasons = ledger.collisions(judged)
    ledger.record(
        [replace(item, excluded_reason=item.excluded_reason or why) for item, why in zip(judged, reasons, strict=True)]
    )


def build(ledger: Ledger, agents: int = 3, batches: int = 6) -> list[Chain]:
    """Some agents' chains with a checkpoint in the middle, one at the end, and one batch that is not counted."""
    chains = [Chain(number) for number in range(agents)]
    sealed = [sealed_by(chain, number, batches) for number, chain in enumerate(chains)]
    for made in sealed:
        record(ledger, made[: batches // 2])
    ledger.checkpoint("test")
    for made in sealed:
        record(ledger, made[batches // 2 :])
    record(ledger, hidden(chains, sealed))
    ledger.checkpoint("test")
    return chains


def hidden(chains: list[Chain], sealed: list[list[Sealed]]) -> list[Sealed]:
    """Batches that are kept and do not count: from the future, past physics, a fork, and of another agent's life."""
    chain, last = chains[0], len(sealed[0])
    beyond = meter(10**30, at_ns=NOW_NS, device="GPU-0a", run="beyond", observed_ns=SECOND_NS)
    thief = Chain(30)
    return [
        chain.seal(meter(1, at_ns=NOW_NS + HOUR_NS, device="GPU-0a")),
        chain.seal(beyond),
        chain.seal(meter(2, device="GPU-fork"), seq=last - 1, prev=sealed[0][last - 2].sha256.hex()),
        thief.seal(meter(3, device="GPU-thief"), incarnation=chain.incarnation),
    ]


def verified(ledger: Ledger, expect: Checkpoint | None = None, now_ns: int = LATER_NS) -> Report:
    return verify(ledger, lambda: now_ns, lambda _: None, expect, cores=1)


def found(ledger: Ledger, expect: Checkpoint | None = None) -> list[Finding]:
    return verified(ledger, expect).findings
