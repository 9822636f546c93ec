"""A machine out of a script: the real pynvml over the scripted library, a virtual clock, a `/proc` of its own."""

from __future__ import annotations

import ctypes
import shutil
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pynvml

from agent.devices.nvml.backend import NvmlBackend
from agent.devices.nvml.host import Host
from tests.agent.devices.nvml.scripted.build import library

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from agent.devices.interface import Device

S = 1_000_000_000
MS = 1_000_000
START_NS = 1_790_000_000 * S
"""When every script begins."""
BOOT_NS = 5_000 * S
"""What the time since boot is then."""
PPM = 1_000_000

H100 = "name=NVIDIA_H100_80GB_HBM3 cc=9.0 cores=16896 sms=132 clock_max=1980 serial=1650522 counters=sum"
A100 = "name=NVIDIA_A100-SXM4-80GB cc=8.0 cores=6912 sms=108 clock_max=1410 gpm=0 utilization_samples_ns=166666667"


@dataclass(frozen=True)
class Load:
    """What a device does from `at_ns` after the start on; pipes in parts per million of elapsed cycles."""

    at_ns: int
    mhz: int
    ppm: dict[str, int] = field(default_factory=dict)
    milliwatt: int = 500_000
    reasons: int = 0

    def line(self, device: str) -> str:
        pairs = " ".join(f"{name}={value}" for name, value in self.ppm.items())
        return (
            f"load {device} {START_NS + self.at_ns} mhz={self.mhz} mw={self.milliwatt} reasons={self.reasons} {pairs}"
        )


def hmma(ppm: int, **others: int) -> dict[str, int]:
    """A load of the matrix pipe in half precision."""
    return {"gr": 950_000, "sm": 900_000, "tensor": ppm, "hmma": ppm} | others


def truth(loads: Sequence[Load], pipe: str, sms: int, from_ns: int, to_ns: int) -> Fraction:
    """Active cycles of `pipe` summed over SMs in [from, to), times counted from the start; `elapsed` for all cycles."""
    cycles = Fraction(0)
    for load, following in zip(loads, [*loads[1:], None], strict=True):
        start, end = max(load.at_ns, from_ns), min(to_ns if following is None else following.at_ns, to_ns)
        if end > start:
            part = PPM if pipe == "elapsed" else load.ppm.get(pipe, 0)
            cycles += Fraction((end - start) * load.mhz * sms * part, 1_000 * PPM)
    return cycles


@contextmanager
def node() -> Iterator[Machine]:
    """A machine for one example of a property."""
    with TemporaryDirectory() as folder:
        machine = Machine(Path(folder))
        try:
            yield machine
        finally:
            machine.close()


class Machine:
    """One node. Times are nanoseconds after `START_NS`."""

    def __init__(self, root: Path, without: Collection[str] = ()) -> None:
        self.now_ns = 0
        self.wall_jump_ns = 0
        self.library = ctypes.CDLL(str(library(without)))
        self.library.scripted_now.argtypes = [ctypes.c_uint64]
        self.library.scripted_clear()
        pynvml.nvmlLib = self.library
        pynvml._nvmlGetFunctionPointer_cache.clear()
        self.proc = root / "proc"
        self.sys = root / "sys"
        (self.proc / "sys/kernel/random").mkdir(parents=True)
        (self.proc / "sys/kernel/random/boot_id").write_text("0f5c6a6e-boot\n")
        (self.proc / "sys/kernel/pid_max").write_text("4194304\n")
        (self.sys / "module/nvidia").mkdir(parents=True)
        self.waited_ns: list[int] = []
        self._backends: list[NvmlBackend] = []
        self.at(0)

    def run(self, *lines: str) -> None:
        """Continue the script."""
        self.library.scripted_run("\n".join(lines).encode())

    def gpu(self, index: int, spec: str = H100, loads: Sequence[Load] = ()) -> None:
        """Add a GPU; its counters began at boot."""
        self.run(
            f"gpu {index} uuid=GPU-{index} from={START_NS - BOOT_NS} {spec}", *(load.line(str(index)) for load in loads)
        )

    def process(self, device: str, pid: int, from_ns: int = 0, to_ns: int = 10**18, sm: int = 50) -> None:
        """Add a process, with a `/proc` entry for as long as the test runs."""
        self.run(f"process {device} {pid} from={START_NS + from_ns} to={START_NS + to_ns} sm={sm}")
        self.entry(pid)

    def entry(self, pid: int, started: int = 777) -> None:
        """A `/proc/<pid>/stat`, with a name that a careless parser trips over."""
        shutil.rmtree(self.proc / str(pid), ignore_errors=True)
        (self.proc / str(pid)).mkdir()
        fields = " ".join(["S", *map(str, range(4, 22)), str(started), "0 0 0"])
        (self.proc / str(pid) / "stat").write_text(f"{pid} (a (b) c) {fields}\n")

    def at(self, now_ns: int) -> None:
        """Set the clock."""
        self.now_ns = now_ns
        self.library.scripted_now(START_NS + now_ns)

    def advance(self, duration_ns: int) -> None:
        """Let time pass."""
        self.at(self.now_ns + duration_ns)

    def _wait(self, duration_ns: int) -> None:
        self.waited_ns.append(duration_ns)
        self.advance(duration_ns)

    def backend(self, limit_s: float = 30.0) -> NvmlBackend:
        """An agent's backend on this node; a new one stands for a restart."""
        host = Host(
            str(self.proc),
            str(self.sys),
            now_ns=lambda: START_NS + self.now_ns + self.wall_jump_ns,
            since_boot_ns=lambda: BOOT_NS + self.now_ns,
        )
        backend = NvmlBackend(host, self._wait, limit_s)
        self._backends.append(backend)
        return backend

    def started(self) -> tuple[NvmlBackend, list[Device]]:
        """A backend that has found its devices."""
        backend = self.backend()
        return backend, list(backend.devices())

    def close(self) -> None:
        """End every hang, and wait for the threads that were in one."""
        self.library.scripted_release()
        for backend in self._backends:
            backend.close()
        for thread in threading.enumerate():
            if thread.name == "nvml":
                thread.join(2.0)
