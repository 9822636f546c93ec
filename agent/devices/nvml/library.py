"""The NVML library itself: found, initialised, and initialised again when the driver went away."""

from __future__ import annotations

import importlib
import logging
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from agent.devices.nvml.errors import NO_DRIVER, Code, advice, code_of, upgraded_underneath
from agent.errors import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

_FIRST_WAIT_NS = 1_000_000_000
_LONGEST_WAIT_NS = 60_000_000_000


class Library:
    """Access to `pynvml` with the driver behind it. `boot_ns` is the node's monotonic clock."""

    def __init__(self, boot_ns: Callable[[], int]) -> None:
        self.nvml: Any = None
        self.driver: str | None = None
        self.version: str | None = None
        self._boot_ns = boot_ns
        self._ready = False
        self._stale = False
        self._worked_before = False
        self._wait_ns = _FIRST_WAIT_NS
        self._retry_at_ns: int | None = None
        self._reason = ""

    def absent(self) -> str | None:
        """None when NVML is ready, else why there is none on this node at all.

        Raises Retry while the driver is away, and Fatal when it was replaced under this process.
        """
        if self._ready:
            return None
        now_ns = self._boot_ns()
        if self._retry_at_ns is not None and now_ns < self._retry_at_ns:
            if self._reason == NO_DRIVER:
                return NO_DRIVER
            raise Retry(self._reason)
        if self.nvml is None:
            try:
                self.nvml = importlib.import_module("pynvml")
            except ImportError:
                return "nvidia-ml-py is not installed: pip install 'flopledger[agent]'"
        if self._stale:
            self.close()
        return self._initialise(now_ns)

    def _initialise(self, now_ns: int) -> str | None:
        try:
            self.nvml.nvmlInit()
            self.driver = str(self.nvml.nvmlSystemGetDriverVersion())
            self.version = str(self.nvml.nvmlSystemGetNVMLVersion())
        except self.nvml.NVMLError as error:
            code = code_of(error)
            if code == Code.LIB_RM_VERSION_MISMATCH and self._worked_before:
                raise upgraded_underneath() from error
            self._reason = NO_DRIVER if code == Code.LIBRARY_NOT_FOUND else f"NVML: {advice(code)} (NVML {code})"
            self._retry_at_ns = now_ns + self._wait_ns
            self._wait_ns = min(2 * self._wait_ns, _LONGEST_WAIT_NS)
            if code == Code.LIBRARY_NOT_FOUND:
                return NO_DRIVER
            raise Retry(self._reason) from error
        log.info("NVIDIA driver %s, NVML %s", self.driver, self.version)
        self._ready = self._worked_before = True
        self._retry_at_ns = None
        self._wait_ns = _FIRST_WAIT_NS
        return None

    def failed(self) -> None:
        """No device can be reached any more: the next `absent` initialises NVML again."""
        self._stale = self._ready
        self._ready = False

    def close(self) -> None:
        """Shut NVML down. Of no consequence when the driver is no longer there to be told."""
        if not self._ready and not self._stale:
            return
        self._ready = self._stale = False
        try:
            self.nvml.nvmlShutdown()
        except self.nvml.NVMLError as error:
            log.debug("nvmlShutdown: %s", error)


def redirector() -> str | None:
    """What to do about the deprecated `pynvml` distribution, None when it is not installed.

    It only forwards to nvidia-ml-py, warns on every import, and older releases of it shadow the real module.
    """
    try:
        found = version("pynvml")
    except PackageNotFoundError:
        return None
    return (
        f"the deprecated distribution pynvml {found} is installed beside nvidia-ml-py: "
        "pip uninstall pynvml, then pip install --force-reinstall nvidia-ml-py"
    )
