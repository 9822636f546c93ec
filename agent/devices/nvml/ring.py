"""The driver's own sample buffers: what happened between two ticks, for as long as the buffer reaches back."""

from __future__ import annotations

from typing import Any

from agent.devices.nvml.errors import Code, code_of

_NONE_KEPT = frozenset({Code.NOT_SUPPORTED, Code.FUNCTION_NOT_FOUND, Code.INVALID_ARGUMENT, Code.NO_PERMISSION})


def ring(nvml: Any, handle: Any, kind: int, newest_us: int) -> list[tuple[int, int]] | None:
    """(the driver's time in µs, value) of every sample since `newest_us`, oldest first.

    None where the driver keeps no samples of this kind for this device. Raises NVMLError for anything else.
    """
    try:
        value_type, found = nvml.nvmlDeviceGetSamples(handle, kind, newest_us)
    except nvml.NVMLError as error:
        if code_of(error) == Code.NOT_FOUND:
            return []
        if code_of(error) in _NONE_KEPT:
            return None
        raise
    if value_type != nvml.NVML_VALUE_TYPE_UNSIGNED_INT:
        return None
    return sorted((int(sample.timeStamp), int(sample.sampleValue.uiVal)) for sample in found)
