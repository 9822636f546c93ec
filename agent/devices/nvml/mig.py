"""MIG: the instances of a partitioned GPU.

GPM samples a GPU instance, and sums over the compute instances inside it. So one GPU instance is one device here,
whatever number of compute instances it is cut into: measuring each of those would count the same work several times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.devices.nvml.errors import Code, code_of


@dataclass(frozen=True, slots=True)
class GpuInstance:
    """One GPU instance that has compute instances. `uuid` is the MIG UUID of the first of them."""

    uuid: str
    gpu_instance: int
    sm_count: int
    handles: tuple[Any, ...]


def enabled(nvml: Any, gpu: Any) -> bool:
    """Whether the GPU is partitioned now."""
    try:
        return bool(nvml.nvmlDeviceGetMigMode(gpu)[0])
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound):
        return False


def instances(nvml: Any, gpu: Any) -> list[GpuInstance]:
    """The GPU instances on which anything can run: those with a compute instance."""
    found: dict[int, list[tuple[int, Any]]] = {}
    for slot in range(nvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            handle = nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, slot)
            compute = nvml.nvmlDeviceGetComputeInstanceId(handle)
            instance = nvml.nvmlDeviceGetGpuInstanceId(handle)
        except nvml.NVMLError as error:
            # No instance in this slot, none that computes, or one that was taken apart between two of these calls.
            if code_of(error) in {Code.NOT_FOUND, Code.INVALID_ARGUMENT}:
                continue
            raise
        found.setdefault(instance, []).append((compute, handle))
    return [_instance(nvml, number, sorted(parts, key=lambda part: part[0])) for number, parts in found.items()]


def _instance(nvml: Any, number: int, parts: list[tuple[int, Any]]) -> GpuInstance:
    handles = tuple(handle for _, handle in parts)
    sm_count = sum(int(nvml.nvmlDeviceGetAttributes_v2(handle).multiprocessorCount) for handle in handles)
    return GpuInstance(str(nvml.nvmlDeviceGetUUID(handles[0])), number, sm_count, handles)
