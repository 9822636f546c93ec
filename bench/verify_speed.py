"""How fast a ledger is verified, and that memory does not grow with it: batches of 48 readings, at two sizes.

The evidence is sealed by many agents with real keys; every signature, chain and derived row is checked by the command's
own code. CPU time is that of this process, the engine's included, and of its workers.
"""

from __future__ import annotations

import os
import resource
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psutil
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.agents import FIRST_USE, enrolled
from ledger.evidence import Evidence
from ledger.ledger import Ledger
from ledger.proof.verify import verify
from wire.batch import Batch, DeviceRecord, Reading, Readings
from wire.opening import open_batch
from wire.seal import key_id, seal

if TYPE_CHECKING:
    from collections.abc import Iterator

READINGS = int(os.environ.get("FLOPLEDGER_BENCH_READINGS", "1500000"))
PER_BATCH = 48
DEVICES = 8
AGENTS = 250
AT_ONCE = 1_024
START_NS = 1_795_000_000_000_000_000
SECOND_NS = 1_000_000_000
EVERY_NS = 10 * SECOND_NS
RATE = 989 * 10**12
TARGET_READINGS_PER_S = 150_000
TARGET_MB = 500


def measure() -> dict[str, Any]:
    """At a quarter of the readings, and at all of them."""
    sizes = [_verified(readings) for readings in (READINGS // 4, READINGS)]
    return {
        "readings_per_batch": PER_BATCH,
        "sizes": sizes,
        "targets": {"readings_per_core_second": TARGET_READINGS_PER_S, "memory_above_engine_mb": TARGET_MB},
        "reached": {
            "readings_per_core_second": all(one["readings_per_core_second"] >= TARGET_READINGS_PER_S for one in sizes),
            "memory_above_engine_mb": all(one["memory_above_engine_mb"] <= TARGET_MB for one in sizes),
        },
    }


def _verified(readings: int) -> dict[str, Any]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ledger = Ledger.open(directory, time.time_ns)
        stack.callback(ledger.close)
        batches = fill(ledger, readings)
        ledger.checkpoint("bench")
        # The engine's own caches are warm before, and counted as its own.
        ledger.query("SELECT sum(cityHash64(body, signature)) FROM batches")
        with Peak() as peak:
            cpu_before, began = _cpu_s(), time.monotonic()
            report = verify(ledger, time.time_ns, time.sleep)
            wall_s, cpu_s = time.monotonic() - began, _cpu_s() - cpu_before
        if not report.ok:
            raise AssertionError(report.findings[:3])
    return {
        "readings": report.readings,
        "batches": batches,
        "seconds": round(wall_s, 2),
        "cpu_seconds": round(cpu_s, 2),
        "readings_per_core_second": round(report.readings / cpu_s),
        "readings_per_second": round(report.readings / wall_s),
        "memory_above_engine_mb": round(peak.above_mb),
    }


def fill(ledger: Ledger, readings: int) -> int:
    """Record so many readings of a running fleet; returns the number of batches."""
    batches = readings // PER_BATCH
    agents = min(AGENTS, batches)
    waiting: list[Evidence] = []
    fresh: dict[str, str] = {}
    for number in range(agents):
        for item in _agent(number, batches // agents):
            if item.batch.seq == 0:
                fresh[item.batch.agent] = item.batch.node
            waiting.append(item)
            if len(waiting) == AT_ONCE:
                _record(ledger, fresh, waiting)
    _record(ledger, fresh, waiting)
    return batches // agents * agents


def _record(ledger: Ledger, fresh: dict[str, str], waiting: list[Evidence]) -> None:
    ledger.request([enrolled(agent, FIRST_USE, "bench", "bench", node) for agent, node in fresh.items()])
    ledger.collisions(waiting)
    ledger.record(waiting)
    waiting.clear()
    fresh.clear()


def _agent(number: int, batches: int) -> Iterator[Evidence]:
    """One node: eight devices on one run, a reading of each every ten seconds, sealed every minute."""
    key = Ed25519PrivateKey.from_private_bytes(number.to_bytes(32, "big"))
    agent = key_id(key.public_key())
    names = [f"GPU-{number:06d}-{device}" for device in range(DEVICES)]
    inventory = tuple(
        DeviceRecord(
            name, "gpu", "NVIDIA H100 80GB HBM3", "H100 SXM5 80GB", 132, 1_980, None, "580", "gpm-cycles", RATE
        )
        for name in names
    )
    prev: str | None = None
    steps = PER_BATCH // DEVICES
    for seq in range(batches):
        rows = [_reading(name, seq * steps + step + 1) for name in names for step in range(steps)]
        batch = Batch(
            cluster="bench",
            node=f"node-{number}",
            agent=agent,
            chain=UUID(int=number + 1),
            incarnation=UUID(int=(number + 1) << 64),
            seq=seq,
            prev=prev,
            sealed_at_ns=rows[-1].at_ns,
            rates="bench",
            readings=Readings.from_rows(rows),
            devices=inventory if seq == 0 else (),
        )
        sealed = seal(batch, key)
        prev = sealed.sha256.hex()
        yield Evidence(sealed, open_batch(sealed), rows[-1].at_ns, "bench", number % 8, seq)


def _reading(device: str, step: int) -> Reading:
    cycles = 132 * 17_550_000_000 * step
    tensor = cycles * 41 // 100 + step % 7
    return Reading(
        START_NS + step * EVERY_NS, "bench", "pre-training", device, "hardware", "gpm-cycles", "bf16", "exact",
        tensor * 4_096, tensor * 4_000, tensor * 4_200, int_op=0, sm_cycles=cycles, tensor_cycles=tensor,
        hmma_cycles=tensor, fp32_cycles=cycles // 50, busy_ns=step * EVERY_NS * 95 // 100, observed_ns=step * EVERY_NS,
        energy_mj=step * 6_200_000 + step % 13,
    )  # fmt: skip


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


class Peak:
    """The most memory that this process and its children took, above what it began with: the engine at rest."""

    def __init__(self) -> None:
        self.above_mb = 0.0
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._before = self._sum()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            self.above_mb = max(self.above_mb, (self._sum() - self._before) / 1e6)

    def _sum(self) -> int:
        total: int = self._process.memory_info().rss
        for child in self._process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total
