"""The run that a process names in its own environment: `FLOPLEDGER_RUN_ID` and, beside it, model, purpose and dtype."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.attribution.declared import Names, declared
from agent.attribution.remembered import Remembered

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.attribution.interface import Claim
    from agent.devices.interface import Device, ProcessKey

NAMES = Names("FLOPLEDGER_RUN_ID", "FLOPLEDGER_MODEL_ID", "FLOPLEDGER_PURPOSE", "FLOPLEDGER_DTYPE")


class Environment:
    """Reads process environments through `read_environ` (pid → names and values); only `NAMES` are taken from them."""

    name = "environment"
    written_by_root = False
    changes = False

    def __init__(self, read_environ: Callable[[int], Mapping[str, str]]) -> None:
        self._declared = Remembered(lambda process: declared(read_environ(process.pid), NAMES))

    def claim(self, process: ProcessKey, device: Device | None = None) -> Claim | None:
        """What the process was started with; None when it names nothing, is gone, or may not be read by us."""
        del device
        return self._declared(process)
