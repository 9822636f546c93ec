"""What a fleet sends: sealed batches of 48 readings, eight H100s sampled six times, ten seconds apart.

A large training job in bf16: clocks wander by 0.3 %, how busy a pipe is by 1 % from sample to sample, agents sample
within a millisecond or so. Every column that cycle counters fill is filled; with `everything` the others are too, and
all have noise of their own, which no real GPU does.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from compute.accelerators import table
from compute.cycles import Cycles, executed
from compute.precision import Dtype
from wire.batch import COUNTER_COLUMNS, Batch, DeviceRecord, Reading, Readings
from wire.seal import Sealed, key_id, seal

if TYPE_CHECKING:
    from collections.abc import Iterator

DEVICES = 8
SAMPLES = 6
READINGS = DEVICES * SAMPLES
EVERY_NS = 10_000_000_000
START_NS = 1_795_521_600_000_000_000
"""2026-11-24T12:00:00Z: all that a bench sends lies within one day before."""
MARGIN_PPM = 20_000
_H100 = table()["H100 SXM5 80GB"]


class Agent:
    """One node's agent, and its chain."""

    def __init__(self, number: int, *, everything: bool = False, samples: int = SAMPLES) -> None:
        rng = self._rng = random.Random(number)
        self._key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self._everything = everything
        self._samples = samples
        self._chain, self._incarnation = UUID(int=rng.getrandbits(128)), UUID(int=rng.getrandbits(128))
        self._devices = [f"GPU-{UUID(int=rng.getrandbits(128))}" for _ in range(DEVICES)]
        self._meters: list[dict[str, int]] = [{} for _ in range(DEVICES)]
        self._seq = 0
        self._prev: str | None = None
        self._at_ns = START_NS - 3_600 * 10**9 * 2 + rng.randrange(60 * 10**9)
        # It has worked for 200 s before it is first looked at.
        self._sampled_ns = [self._at_ns - 19 * EVERY_NS] * DEVICES
        self.name = key_id(self._key.public_key())
        self.node = f"node-{number:05d}"
        self._sample()

    @property
    def flop(self) -> int:
        """What all its meters stand at."""
        return sum(meter["flop"] for meter in self._meters)

    def batch(self) -> Sealed:
        """The next one."""
        rows = [row for _ in range(self._samples) for row in self._sample()]
        sealed_at_ns = self._at_ns + 200_000_000
        batch = Batch(
            cluster="cluster-1",
            node=self.node,
            agent=self.name,
            chain=self._chain,
            incarnation=self._incarnation,
            seq=self._seq,
            prev=self._prev,
            sealed_at_ns=sealed_at_ns,
            rates="2026-11-23",
            readings=Readings.from_rows(rows),
            devices=self._inventory() if self._seq == 0 else (),
        )
        sealed = seal(batch, self._key)
        self._seq, self._prev = self._seq + 1, sealed.sha256.hex()
        return sealed

    def _inventory(self) -> tuple[DeviceRecord, ...]:
        return tuple(
            DeviceRecord(
                device, "gpu", "NVIDIA H100 80GB HBM3", _H100.name, 132, 1_980, None, "580.95", "gpm-cycles",
                _H100.flop_per_s_max,
            )
            for device in self._devices
        )  # fmt: skip

    def _sample(self) -> list[Reading]:
        self._at_ns += EVERY_NS
        woke_ns = self._at_ns + abs(round(self._rng.gauss(0, 300_000)))
        rows = []
        for n, device in enumerate(self._devices):
            at_ns = woke_ns + 2_000_000 * n + round(self._rng.gauss(0, 100_000))
            meter = self._meters[n]
            for name, grown in self._grown(at_ns - self._sampled_ns[n]).items():
                meter[name] = meter.get(name, 0) + grown
            self._sampled_ns[n] = at_ns
            key = ("llama-next", "pre-training", device, "hardware", "gpm-cycles", "bf16", "exact")
            rows.append(Reading(at_ns + abs(round(self._rng.gauss(0, 30_000))), *key, *map(meter.get, COUNTER_COLUMNS)))  # type: ignore[arg-type]
        return rows

    def _grown(self, took_ns: int) -> dict[str, int]:
        gauss = self._rng.gauss
        sm = int(132 * gauss(1.72, 0.005) * took_ns)

        def share(mean: float) -> int:
            return int(sm * gauss(mean, mean / 100))

        tensor = share(0.45)
        imma, dmma, dfma, fp64 = (share(0.01) if self._everything else 0 for _ in range(4))
        hmma = tensor - imma - dmma - dfma
        vector = share(0.12), share(0.03), share(0.15)
        cycles = Cycles(sm, tensor, hmma, imma, dmma, dfma, fp64, *vector)
        done = executed(_H100, cycles, Dtype.BF16, MARGIN_PPM)
        grown = {
            "flop": done.flop.flop or 0,
            "flop_low": done.flop.low,
            "flop_high": done.flop.high,
            "int_op": done.int_op or 0,
            **{f"{name}_cycles": getattr(cycles, name) for name in ("sm", "tensor", "hmma", "imma", "dmma", "dfma")},
            **{f"{name}_cycles": getattr(cycles, name) for name in ("fp64", "fp32", "fp16")},
            "int_cycles": cycles.integer or 0,
            "busy_ns": round(min(100, gauss(99.9, 0.15)) * 1_000) * took_ns // 100_000,
            "observed_ns": took_ns,
            "energy_mj": int(gauss(640, 6.4) * took_ns / 1e6),
        }
        if self._everything:
            grown |= {"gap_ns": int(abs(gauss(1e6, 1e5))), "tokens": int(gauss(4e6, 4e4))}
        return grown


def fleet(
    agents: int, batches: int, part: int = 0, parts: int = 1, samples: int = SAMPLES
) -> Iterator[tuple[Agent, Sealed]]:
    """So many batches of so many agents, in turn; each agent's in order. Or one part of them: whole agents."""
    ours = [Agent(number, samples=samples) for number in range(part, min(agents, batches), parts)]
    for number in range(batches):
        turn = number % agents
        if turn % parts == part:
            agent = ours[turn // parts]
            yield agent, agent.batch()
