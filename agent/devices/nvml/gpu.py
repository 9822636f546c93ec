"""A device as the driver shows it: its handles, and the inventory line made from what it says of itself."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from agent.devices.interface import Device
from agent.devices.nvml import identity, mig
from compute.accelerators import flop_per_s_ceiling

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.devices.nvml.mig import GpuInstance

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU or a GPU instance. `handles` are what processes run on; `warning` says what is not known about it."""

    device: Device
    handles: tuple[Any, ...]
    serial: str
    warning: str
    parent: Any = None
    gpu_instance: int | None = None

    @property
    def handle(self) -> Any:
        """What the device is measured by."""
        return self.handles[0]


def address(handle: Any) -> int:
    """Changes when the driver made a new object for a device, even under the same UUID."""
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that is there now, not looked at any closer. `instance` is None for a whole GPU."""

    id: str
    index: int
    gpu: Any
    instance: GpuInstance | None = None

    @property
    def place(self) -> str:
        """What schedulers count it by."""
        return str(self.index) if self.instance is None else f"{self.index}.{self.instance.gpu_instance}"

    @property
    def address(self) -> int:
        """Where its handle points."""
        return address(self.gpu if self.instance is None else self.instance.handles[0])


def sightings(nvml: Any, index: int) -> list[Sighting]:
    """What can be measured of the GPU at `index`: itself, or on a partitioned one its instances and never itself."""
    gpu = nvml.nvmlDeviceGetHandleByIndex(index)
    if mig.enabled(nvml, gpu):
        return [Sighting(found.uuid, index, gpu, found) for found in mig.instances(nvml, gpu)]
    return [Sighting(str(nvml.nvmlDeviceGetUUID(gpu)), index, gpu)]


def describe(nvml: Any, seen: Sighting, driver: str | None) -> Gpu:
    """Ask the driver who this is."""
    gpu = seen.gpu
    name = str(nvml.nvmlDeviceGetName(gpu))
    capability = "{}.{}".format(*nvml.nvmlDeviceGetCudaComputeCapability(gpu))
    cores = _asked(nvml, lambda: int(nvml.nvmlDeviceGetNumGpuCores(gpu)))
    whole = None if cores is None else identity.sm_count(cores, capability)
    clock_mhz = _asked(nvml, lambda: int(nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM)))
    accelerator, warning = identity.row(name, capability, whole)
    if whole is None and accelerator is not None:
        whole = accelerator.sm_count
    units = whole if seen.instance is None else seen.instance.sm_count
    device = Device(
        id=seen.id,
        kind="gpu" if seen.instance is None else "mig",
        name=name if seen.instance is None else f"{name} MIG {seen.instance.sm_count} SMs",
        accelerator=None if accelerator is None else accelerator.name,
        units=units,
        clock_max_mhz=clock_mhz,
        parent=None if seen.instance is None else str(nvml.nvmlDeviceGetUUID(gpu)),
        driver=driver,
        flop_per_s_max=flop_per_s_ceiling(accelerator, units, clock_mhz),
        place=seen.place,
    )
    serial = _asked(nvml, lambda: str(nvml.nvmlDeviceGetSerial(gpu))) or "-"
    if seen.instance is None:
        return Gpu(device, (gpu,), serial, warning)
    return Gpu(device, seen.instance.handles, serial, warning, gpu, seen.instance.gpu_instance)


def _asked(nvml: Any, question: Callable[[], T]) -> T | None:
    """The answer, None where the driver has none."""
    try:
        return question()
    except (nvml.NVMLError_NotSupported, nvml.NVMLError_FunctionNotFound, nvml.NVMLError_NoPermission):
        return None
