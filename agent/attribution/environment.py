"""The run that a process names in its own environment: `FLOPLEDGER_RUN_ID` and, beside it, model, purpose and dtype.

An environment is read once per process, and only these names are taken from it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.attribution.interface import DEFAULT_PURPOSE, RunIdentity
from compute.precision import Dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.devices.interface import ProcessKey

log = logging.getLogger(__name__)

MAX_REMEMBERED = 4_096


class Environment:
    """Reads run identities from process environments through `read_environ` (pid → names and values)."""

    def __init__(self, read_environ: Callable[[int], Mapping[str, str]]) -> None:
        self._read_environ = read_environ
        self._known: dict[ProcessKey, RunIdentity | None] = {}

    def identify(self, process: ProcessKey) -> RunIdentity | None:
        """The run that the process names, None when it names none, is gone, or may not be read by us."""
        if process not in self._known:
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[process] = _identity(self._read_environ(process.pid))
        return self._known[process]


def _identity(environ: Mapping[str, str]) -> RunIdentity | None:
    run = environ.get("FLOPLEDGER_RUN_ID", "").strip()
    if not run:
        return None
    declared = environ.get("FLOPLEDGER_DTYPE", Dtype.UNDECLARED.value).strip().lower()
    try:
        dtype = Dtype(declared)
    except ValueError:
        log.warning("run %s: FLOPLEDGER_DTYPE=%s is no format we know; its bounds span all formats", run, declared)
        dtype = Dtype.UNDECLARED
    return RunIdentity(
        run=run,
        purpose=environ.get("FLOPLEDGER_PURPOSE", "").strip() or DEFAULT_PURPOSE,
        dtype=dtype,
        model=environ.get("FLOPLEDGER_MODEL_ID", "").strip() or None,
    )
