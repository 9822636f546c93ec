"""A ledger with all that a page can show, made from nothing in a second: a run that grows towards the line, one that
has crossed it, bounds alone, two bases, restarts, gaps, time that belongs to nobody, a silent agent, and hostile names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.declare import Wanted, declare
from ledger.rollups import Rollups
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take
from wire.batch import DeviceRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.ledger import Ledger
    from ledger.store import Store
    from wire.batch import Reading
    from wire.seal import Sealed

NASTY = "<script>alert('x')</script>/& \"co\""
START_HOURS = 36 * 24
"""How long ago the growing run began."""
E21 = 10**21
HOURLY = 2 * E21
"""FLOP per hour and device of the growing run."""
DEVICES = 4
RUNS: dict[str, dict[str, Any]] = {
    "aurora-pretrain": {
        "model_id": "aurora",
        "purpose": "pre-training",
        "dtype": "bf16",
        "planned_flop": 14 * 10**24,
        "devices": DEVICES,
    },
    "aurora-rl": {"model_id": "aurora", "purpose": "reinforcement learning", "parent": "aurora-pretrain"},
    "aurora-eval": {"model_id": "aurora", "purpose": "evaluation"},
    "cirrus-pretrain": {"model_id": "cirrus", "purpose": "pre-training", "dtype": "bf16", "devices": 2},
    "nimbus-sft": {"model_id": "nimbus", "purpose": "fine-tuning"},
    NASTY: {"model_id": "nimbus", "purpose": "experiment"},
}


def fill(ledger: Ledger, store: Store) -> None:
    """All of it, as a collector, people and the refresh beside them would."""
    declare(
        ledger,
        Wanted(
            runs=RUNS,
            models={
                "aurora": {"data": ["cirrus"], "traits": ["generates-language"]},
                "cirrus": {"traits": ["generates-language"]},
                "nimbus": {"base": ["aurora"], "traits": ["generates-language"]},
            },
            systems={"assistant": frozenset({"aurora", "nimbus"})},
        ),
        "Ada",
    )
    take(ledger, list(_aurora(Chain(1))))
    take(ledger, [_others(Chain(2)), _silent(Chain(3))])
    Rollups(store).refresh()
    ledger.raise_alerts("collector")


def grow(ledger: Ledger, store: Store, chain: Chain) -> int:
    """Another reading of a run of its own, as a live agent sends it; returns its total, FLOP."""
    flop = 5 * 10**22
    take(ledger, [chain.seal(meter(flop, run="aurora-live", device="gpu-live", at_ns=NOW_NS))])
    Rollups(store).refresh()
    return flop


def _aurora(chain: Chain) -> Iterator[Sealed]:
    """Four devices for five weeks, two hours lost on every tenth day, one restart on the way."""
    readings: list[Reading] = []
    counted = dict.fromkeys(range(DEVICES), 0)
    observed = gap = 0
    restarted_at = START_HOURS // 2
    devices = tuple(_device(f"gpu-{n}", "gpm-cycles") for n in range(DEVICES))
    for hour in range(1, START_HOURS):
        at_ns = NOW_NS - (START_HOURS - hour) * HOUR_NS
        if hour == restarted_at:
            yield chain.seal(*_by_meter(readings), devices=devices)
            chain.restart()
            readings, counted, observed, gap = [], dict.fromkeys(counted, 0), 0, 0
        lost = hour % 240 in (100, 101)
        observed, gap = observed + (0 if lost else HOUR_NS), gap + (HOUR_NS if lost else 0)
        for device in counted:
            counted[device] += 0 if lost else HOURLY + (hour * 37 + device * 11) % 100 * HOURLY // 400
            if hour % 3 == 0 or hour == restarted_at - 1:
                readings.append(
                    _reading(
                        at_ns,
                        counted[device],
                        4,
                        run="aurora-pretrain",
                        device=f"gpu-{device}",
                        dtype="fp8" if hour >= restarted_at else "bf16",
                        observed_ns=observed,
                        gap_ns=gap,
                    )
                )
    yield chain.seal(*_by_meter(readings), devices=devices)
    total = sum(counted.values())
    reported = meter(
        total * 2 * 90 // 100, run="aurora-pretrain", device="rank 0", basis="architecture", method="reported-run",
        tokens=7 * 10**12, at_ns=NOW_NS - HOUR_NS,
    )  # fmt: skip
    yield chain.seal(reported)


def _others(chain: Chain) -> Sealed:
    readings = [
        _reading(NOW_NS - hours * HOUR_NS, share * 31 * 10**22, 9, run="cirrus-pretrain", device=f"old-{n}")
        for n in range(2)
        for share, hours in ((1, 900), (30, 600), (50, 400))
    ]
    readings += [
        _reading(NOW_NS - 90 * HOUR_NS, 4 * 10**23, 5, run="aurora-rl", device="gpu-rl"),
        _reading(NOW_NS - 40 * HOUR_NS, 6 * 10**23, 5, run="aurora-rl", device="gpu-rl"),
        _reading(NOW_NS - 30 * HOUR_NS, 3 * 10**21, 5, run="aurora-eval", device="gpu-rl"),
        _reading(NOW_NS - 20 * HOUR_NS, 8 * 10**21, 5, run="nimbus-sft", device="gpu-rl"),
        meter(None, 0, 6 * 10**20, run=NASTY, device="cpu-0", method="cpu-time", at_ns=NOW_NS - 2 * HOUR_NS),
        _reading(NOW_NS - HOUR_NS, 7 * 10**20, 5, run="unattributed", device="gpu-rl", observed_ns=HOUR_NS),
    ]
    devices = (_device("gpu-rl", "gpm"), _device("cpu-0", "cpu-time", kind="cpu", name="EPYC 9654"))
    return chain.seal(*_by_meter(readings), devices=devices)


def _silent(chain: Chain) -> Sealed:
    reading = _reading(NOW_NS - 50 * HOUR_NS, 10**20, 5, run="unattributed", device="gpu-silent", observed_ns=HOUR_NS)
    return chain.seal(reading, devices=(_device("gpu-silent", "busy"),))


def _reading(at_ns: int, flop: int, spread: int, **changes: Any) -> Reading:
    """With bounds of `spread` percent."""
    low, high = flop * (100 - spread) // 100, flop * (100 + spread) // 100
    return meter(flop, low, high, at_ns=at_ns, **{"method": "gpm-cycles", **changes})


def _by_meter(readings: list[Reading]) -> list[Reading]:
    return sorted(readings, key=lambda reading: reading.at_ns)


def _device(device: str, method: str, kind: str = "gpu", name: str = "NVIDIA H100 80GB HBM3") -> DeviceRecord:
    gpu = kind == "gpu"
    return DeviceRecord(
        device, kind, name, "H100 SXM5 80GB" if gpu else None, 132 if gpu else 96, 1_980 if gpu else 3_700, None,
        "580.95" if gpu else None, method, 1_979 * 10**12 if gpu else None,
    )  # fmt: skip
