"""Who is on a device, and for how long each was busy there.

A process alone on a device was busy whenever the device was. Several are told apart by the driver's own figure of SM
utilisation per process, added up over time. Under MPS all of them run in the server's context, so that figure says
nothing: its clients are listed without busy times, and the server, which works for them, not at all.
"""

from __future__ import annotations

import ctypes
from struct import Struct
from typing import TYPE_CHECKING, Any

from agent.devices.interface import ProcessKey, ProcessUse
from agent.devices.nvml.calls import bound
from agent.devices.nvml.errors import Code, code_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.devices.nvml.host import Host

_INFO = Struct("I20x")
"""nvmlProcessInfo_v2_t, which v3 kept: the pid, then memory and MIG ids that nobody needs."""
_COMPUTE = "nvmlDeviceGetComputeRunningProcesses"
_MPS = "nvmlDeviceGetMPSComputeRunningProcesses"
_MPS_EVERY_NS = 10_000_000_000
"""How often a device without MPS clients is asked for them."""


class _PidList:
    """The pids on one handle, read into an array that is kept: at every tick this is the dearest call of pynvml's."""

    def __init__(self, nvml: Any, call: Any, handle: Any) -> None:
        self._nvml = nvml
        self._call = call
        self._handle = handle
        self._count = ctypes.c_uint()
        self._make_room(64)

    def _make_room(self, processes: int) -> None:
        self._room = processes
        self._infos = ctypes.create_string_buffer(processes * _INFO.size)
        self._view = memoryview(self._infos)

    def read(self) -> list[int]:
        """Every pid that the driver names. Raises NVMLError."""
        while True:
            self._count.value = self._room
            code = self._call(self._handle, ctypes.byref(self._count), self._infos)
            if code != Code.INSUFFICIENT_SIZE:
                break
            self._make_room(2 * max(self._room, self._count.value))
        if code:
            raise self._nvml.NVMLError(code)
        return [pid for (pid,) in _INFO.iter_unpack(self._view[: self._count.value * _INFO.size])]


class Processes:
    """The processes of one device. `handles` are the device's, or its compute instances' on MIG.

    `told` says whether the driver names processes at all. `invisible` are pids that it named and this node does not
    know: another PID namespace, or garbage. While only such are there, or none is told, one hidden process stands for
    them: it can be said to belong to whoever has the whole device.
    """

    def __init__(self, nvml: Any, handles: Sequence[Any], host: Host) -> None:
        self.invisible: tuple[int, ...] = ()
        self._nvml = nvml
        self._handle = handles[0]
        self._host = host
        self._lists = self._answering(_COMPUTE, handles)
        self._mps_lists = self._answering(_MPS, handles)
        self._mps_at_ns = 0
        self._clients: frozenset[int] = frozenset()
        self.told = bool(self._lists)
        # Of this process's life alone: who had the device before an hour that nobody watched may not have it after.
        self._hidden = (ProcessUse(ProcessKey(0, host.boot_ns(), host.boot_id)),)
        self._seen: dict[int, tuple[ProcessKey, int]] = {}
        self._newest_us = 0
        self._tells_apart = len(handles) == 1

    def _answering(self, call_name: str, handles: Sequence[Any]) -> list[_PidList]:
        """By the newest form of the call that this driver has; empty when it has none, or will not tell."""
        if ctypes.sizeof(self._nvml.c_nvmlProcessInfo_v2_t) != _INFO.size:
            return []
        for name in (f"{call_name}_v3", f"{call_name}_v2"):
            try:
                call = bound(self._nvml, name)
                lists = [_PidList(self._nvml, call, handle) for handle in handles]
                lists[0].read()
            except self._nvml.NVMLError_FunctionNotFound:
                continue
            except (self._nvml.NVMLError_NotSupported, self._nvml.NVMLError_NoPermission):
                return []
            return lists
        return []

    def use(self, span_ns: int, device_busy_ns: int | None) -> tuple[ProcessUse, ...]:
        """Who is there now. The device was busy `device_busy_ns` of the last `span_ns` (None: not known)."""
        before = self._seen
        pids = {pid for one in self._lists for pid in one.read()}
        if self._mps_lists and pids:
            pids = self._with_clients(pids)
        for pid in before.keys() - pids:
            self._host.forget(pid)
        if not pids:
            self._seen = {}
            self.invisible = ()
            return () if self.told else self._hidden
        alone = len(pids) == 1 and before.keys() <= pids
        tells_apart = self._tells_apart and not self._clients
        percent = self._utilisation() if len(pids) > 1 and tells_apart else {}
        told = tells_apart or len(pids) == 1
        seen: dict[int, tuple[ProcessKey, int]] = {}
        for pid in sorted(pids):
            key = self._host.process(pid) if 0 < pid <= self._host.pid_max else None
            if key is None:
                continue
            known = before.get(pid)
            busy_ns = 0
            if known is not None and known[0] == key:
                busy_ns = known[1] + ((device_busy_ns or 0) if alone else span_ns * percent.get(pid, 0) // 100)
            seen[pid] = (key, busy_ns)
        self._seen = seen
        self.invisible = () if len(seen) == len(pids) else tuple(sorted(pids - seen.keys()))
        if not seen and any(0 < pid <= self._host.pid_max for pid in pids):
            return self._hidden
        return tuple([ProcessUse(key, busy_ns if told else None) for key, busy_ns in seen.values()])

    def _with_clients(self, pids: set[int]) -> set[int]:
        """With the clients of an MPS server in the place of the server."""
        now_ns = self._host.boot_ns()
        if self._clients or now_ns - self._mps_at_ns >= _MPS_EVERY_NS:
            self._mps_at_ns = now_ns
            self._clients = frozenset(pid for one in self._mps_lists for pid in one.read())
        if not self._clients:
            return pids
        return {pid for pid in pids if not self._host.is_mps_server(pid)} | self._clients

    def _utilisation(self) -> dict[int, int]:
        """SM utilisation in percent by pid, over the driver's last period. A process that is not named had none."""
        answered = False
        for call in (self._nvml.nvmlDeviceGetProcessUtilization, self._nvml.nvmlDeviceGetProcessesUtilizationInfo):
            try:
                samples = call(self._handle, self._newest_us)
            except self._nvml.NVMLError as error:
                # Success with nothing in it comes as an error of code 0.
                if code_of(error) in {0, Code.NOT_FOUND}:
                    answered = True
                elif code_of(error) not in {Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.NO_PERMISSION}:
                    raise
                continue
            percent: dict[int, int] = {}
            for sample in samples:
                self._newest_us = max(self._newest_us, sample.timeStamp)
                percent[sample.pid] = max(percent.get(sample.pid, 0), min(sample.smUtil, 100))
            return percent
        self._tells_apart = answered
        return {}
