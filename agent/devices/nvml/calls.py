"""The few calls made at every tick, bound once.

pynvml looks the function up and makes new out-parameters at every call; at eight devices a second that is a large part
of what the agent costs. Everything called seldom goes through pynvml itself.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from agent.devices.nvml.errors import Code

if TYPE_CHECKING:
    from collections.abc import Callable


def bound(nvml: Any, name: str) -> Any:
    """The driver's function; raises NVMLError when this driver has none of that name."""
    try:
        return getattr(nvml.nvmlLib, name)
    except AttributeError as error:
        raise nvml.NVMLError(Code.FUNCTION_NOT_FOUND) from error


def number(nvml: Any, name: str, kind: Any, *arguments: Any) -> Callable[[], int]:
    """A call whose answer is one number of the ctypes type `kind`. It raises NVMLError."""
    call = bound(nvml, name)
    answer = kind()
    reference = ctypes.byref(answer)
    error = nvml.NVMLError

    def ask() -> int:
        code = call(*arguments, reference)
        if code:
            raise error(code)
        value: int = answer.value
        return value

    return ask
