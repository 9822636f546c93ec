"""CPU time of sampling and counting alone: eight devices, one tick after the other, over the scripted library.

The scripted library answers at once, so this is the agent's own cost; what a real driver adds is its own.
`parts_us` says where a tick's time goes; each part is measured alone, with warm caches, so they sum to less than all.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import TYPE_CHECKING, Any

from agent.devices.nvml.backend import NvmlBackend
from agent.devices.nvml.host import Host
from agent.devices.nvml.watchdog import Watchdog
from compute.accelerators import table
from compute.cycles import clock_margin_ppm, executed
from compute.precision import Dtype
from tests.agent.devices.nvml.machine import BOOT_NS, H100, START_NS, Load, Machine, S, hmma

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.interface import Delta, Snapshot
    from compute.cycles import Executed

DEVICES = 8
TICKS = 200
ROUNDS = 11
TARGET_US = 800
MARGIN_PPM = {"gpm-cycles": 20_000, "gpm": 30_000}


def machine(root: Path, counters: str) -> Machine:
    """Eight H100s under load, a real process on each, so that the real `/proc` is read."""
    node = Machine(root)
    loads = [Load(-BOOT_NS, 345), Load(0, 1755, hmma(520_000, fp32=30_000, int=40_000))]
    for index in range(DEVICES):
        node.gpu(index, H100.replace("counters=sum", f"counters={counters}"), loads)
        node.run(f"process {index} 1 from={START_NS} sm=90")
    return node


class Ticks:
    """One device after the other: snapshot, delta, FLOP."""

    def __init__(self, node: Machine) -> None:
        host = Host(now_ns=lambda: START_NS + node.now_ns, since_boot_ns=lambda: BOOT_NS + node.now_ns)
        self.nvml = NvmlBackend(host, node.advance)
        self._node = node
        self._devices = list(self.nvml.devices())
        self._accelerators = [table()[device.accelerator or ""] for device in self._devices]
        self._before: list[Snapshot] = [self.nvml.snapshot(device) for device in self._devices]
        self.tick()
        [self.method] = {self._difference(place).method.value for place in range(DEVICES)}

    def tick(self) -> None:
        self._older = list(self._before)
        self._node.advance(S)
        for place, device in enumerate(self._devices):
            self._before[place] = self.nvml.snapshot(device)
            self._flop(place, self._difference(place))

    def _difference(self, place: int) -> Delta:
        delta = self.nvml.delta(self._older[place], self._before[place])
        if delta is None:
            raise RuntimeError("a second passed, and no time did")
        return delta

    def _flop(self, place: int, delta: Delta) -> Executed:
        method = delta.method.value
        margin_ppm = MARGIN_PPM[method] + (clock_margin_ppm(delta.clock_mhz) if method == "gpm" else 0)
        return executed(self._accelerators[place], delta.cycles, Dtype.BF16, margin_ppm)

    def parts(self) -> dict[str, Callable[[], object]]:
        """What a tick is made of, for all devices."""
        opened = list(self.nvml._open.values())
        deltas = [self._difference(place) for place in range(DEVICES)]
        watchdog = Watchdog()
        nothing: dict[str, Callable[[], int]] = dict.fromkeys(map(str, range(DEVICES)), int)

        def sample() -> None:
            self._node.advance(S)
            for each in opened:
                each.sample()

        return {
            "delta": lambda: [self._difference(place) for place in range(DEVICES)],
            "flop": lambda: [self._flop(place, delta) for place, delta in enumerate(deltas)],
            "hand_over_to_the_watchdogs_thread": lambda: watchdog.run_all(nothing),
            "sampling": sample,
        }


def cpu_us(call: Callable[[], object], times: int, rounds: int) -> list[float]:
    """Microseconds of CPU a call, all threads together, per round."""
    found = []
    for _ in range(rounds):
        began = process_time_ns()
        for _ in range(times):
            call()
        found.append((process_time_ns() - began) / times / 1_000)
    return found


def measured(counters: str, ticks: int, rounds: int) -> tuple[str, dict[str, object]]:
    with tempfile.TemporaryDirectory() as folder:
        node = machine(Path(folder), counters)
        one = Ticks(node)
        cpu_us(one.tick, ticks, 1)
        whole = cpu_us(one.tick, ticks, rounds)
        parts = {name: round(median(cpu_us(part, ticks, rounds)), 1) for name, part in one.parts().items()}
        one.nvml.close()
    return one.method, {
        "cpu_us_per_tick": round(median(whole), 1),
        "lowest_us": round(min(whole), 1),
        "highest_us": round(max(whole), 1),
        "percent_of_a_core_at_1_hz": round(median(whole) / 10_000, 4),
        "met": median(whole) <= TARGET_US,
        "parts_us": parts,
    }


def measure() -> dict[str, Any]:
    """By the cycle counters, and by percentages and the clock."""
    methods = dict(measured(counters, TICKS, ROUNDS) for counters in ("sum", "none"))
    return {"devices": DEVICES, "ticks": TICKS, "rounds": ROUNDS, "target_us_per_tick": TARGET_US, "methods": methods}
