"""What each NVML return code means for the agent: call again, leave this device out, or stop."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from agent.errors import AgentError, Fatal, Retry, SkipDevice

if TYPE_CHECKING:
    from collections.abc import Mapping

NO_DRIVER = (
    "no NVIDIA driver: libnvidia-ml.so.1 not found; install it, or show it to this container (the chart's agent.driver)"
)


class Code(IntEnum):
    """The return codes that the agent tells apart, as nvml.h numbers them."""

    UNINITIALIZED = 1
    INVALID_ARGUMENT = 2
    NOT_SUPPORTED = 3
    NO_PERMISSION = 4
    NOT_FOUND = 6
    INSUFFICIENT_SIZE = 7
    INSUFFICIENT_POWER = 8
    DRIVER_NOT_LOADED = 9
    TIMEOUT = 10
    IRQ_ISSUE = 11
    LIBRARY_NOT_FOUND = 12
    FUNCTION_NOT_FOUND = 13
    CORRUPTED_INFOROM = 14
    GPU_IS_LOST = 15
    RESET_REQUIRED = 16
    OPERATING_SYSTEM = 17
    LIB_RM_VERSION_MISMATCH = 18
    IN_USE = 19
    MEMORY = 20
    NO_DATA = 21
    INSUFFICIENT_RESOURCES = 23
    ARGUMENT_VERSION_MISMATCH = 25
    DEPRECATED = 26
    NOT_READY = 27
    GPU_NOT_FOUND = 28
    INVALID_STATE = 29
    UNKNOWN = 999


_TABLE: Mapping[int, tuple[type[AgentError], str]] = {
    Code.UNINITIALIZED: (Retry, "the driver went away"),
    Code.INVALID_ARGUMENT: (SkipDevice, "the driver no longer knows this device"),
    Code.NOT_SUPPORTED: (SkipDevice, "not supported by this device or driver"),
    Code.NO_PERMISSION: (SkipDevice, "no permission: run the agent as root, or give its container all GPUs"),
    Code.NOT_FOUND: (SkipDevice, "not found"),
    Code.INSUFFICIENT_SIZE: (SkipDevice, "driver and nvidia-ml-py disagree about a size: update nvidia-ml-py"),
    Code.INSUFFICIENT_POWER: (SkipDevice, "the GPU's power cables are not attached properly"),
    Code.DRIVER_NOT_LOADED: (Retry, "the NVIDIA kernel module is not loaded: run nvidia-smi to see why"),
    Code.TIMEOUT: (Retry, "the driver timed out"),
    Code.IRQ_ISSUE: (Retry, "the kernel reports an interrupt problem with a GPU: see dmesg"),
    Code.LIBRARY_NOT_FOUND: (Retry, NO_DRIVER),
    Code.FUNCTION_NOT_FOUND: (SkipDevice, "this driver lacks the call: update the driver"),
    Code.CORRUPTED_INFOROM: (SkipDevice, "the GPU's infoROM is corrupted"),
    Code.GPU_IS_LOST: (SkipDevice, "the GPU fell off the bus: see dmesg for its Xid, then reset it or reboot"),
    Code.RESET_REQUIRED: (SkipDevice, "the GPU needs a reset"),
    Code.OPERATING_SYSTEM: (Retry, "the operating system blocked the call: see the container's device permissions"),
    Code.LIB_RM_VERSION_MISMATCH: (Retry, "libnvidia-ml and the kernel module differ: reload the module or reboot"),
    Code.IN_USE: (Retry, "the GPU is in use elsewhere"),
    Code.MEMORY: (Retry, "out of memory"),
    Code.NO_DATA: (Retry, "no data yet"),
    Code.INSUFFICIENT_RESOURCES: (Retry, "the driver is short of resources"),
    Code.ARGUMENT_VERSION_MISMATCH: (SkipDevice, "driver and nvidia-ml-py disagree about a version: update both"),
    Code.DEPRECATED: (SkipDevice, "this driver dropped the call: update nvidia-ml-py"),
    Code.NOT_READY: (Retry, "the driver is not ready"),
    Code.GPU_NOT_FOUND: (SkipDevice, "the GPU is gone"),
    Code.INVALID_STATE: (SkipDevice, "the GPU is in a state that does not allow this call"),
    Code.UNKNOWN: (Retry, "the driver reports an unknown error; in a container, device access may have been revoked"),
}

DRIVER_AWAY = frozenset({Code.UNINITIALIZED, Code.DRIVER_NOT_LOADED, Code.LIB_RM_VERSION_MISMATCH})
"""The library has to be initialised again before any device answers."""
LOST = frozenset({Code.GPU_IS_LOST, Code.RESET_REQUIRED, Code.GPU_NOT_FOUND})
"""Whatever the device counted so far, it will start anew."""


def code_of(error: Exception) -> int:
    """The NVML return code behind an `NVMLError`."""
    return int(getattr(error, "value", Code.UNKNOWN))


def advice(code: int) -> str:
    """What the code means and what to do about it."""
    return _TABLE[code][1] if code in _TABLE else f"unexpected NVML code {code}"


def passing(error: Exception) -> bool:
    """Whether the same call may work later."""
    return _TABLE.get(code_of(error), (SkipDevice, ""))[0] is Retry


def ruling(error: Exception, device: str) -> AgentError:
    """The agent's own error for an `NVMLError`. A code that no table row knows leaves the device out."""
    code = code_of(error)
    kind = _TABLE[code][0] if code in _TABLE else SkipDevice
    if kind is SkipDevice:
        return SkipDevice(device, f"{advice(code)} (NVML {code})", lost=code in LOST)
    return kind(f"{device}: {advice(code)} (NVML {code})")


def upgraded_underneath() -> Fatal:
    """The old library stays mapped into this process whatever is on disk, so only a new process helps."""
    return Fatal("the NVIDIA driver was replaced while the agent ran: restart the agent")
