"""The run that a process names in its own environment: `FLOPLEDGER_RUN_ID` and, beside it, model, purpose and dtype.

An environment is read once per process, and only these names are taken from it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agent.attribution.interface import DEFAULT_PURPOSE, RunIdentity
from compute.precision import Dtype
from wire.batch import UNATTRIBUTED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent.devices.interface import ProcessKey

log = logging.getLogger(__name__)

MAX_REMEMBERED = 4_096
MAX_NAME_CHARS = 512
MAX_PURPOSE_CHARS = 64
"""The wire takes no more: a batch with a longer name would not open, and all that it counts would be lost."""


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
    run = _named(environ, "FLOPLEDGER_RUN_ID", MAX_NAME_CHARS)
    if run is None:
        return None
    if run == UNATTRIBUTED:
        log.warning("FLOPLEDGER_RUN_ID=%s stands for work of no known run; no run can be called so", run)
        return None
    declared = environ.get("FLOPLEDGER_DTYPE", Dtype.UNDECLARED.value).strip().lower()
    try:
        dtype = Dtype(declared)
    except ValueError:
        log.warning("run %s: FLOPLEDGER_DTYPE=%s is no format we know; its bounds span all formats", run, declared)
        dtype = Dtype.UNDECLARED
    return RunIdentity(
        run=run,
        purpose=_named(environ, "FLOPLEDGER_PURPOSE", MAX_PURPOSE_CHARS) or DEFAULT_PURPOSE,
        dtype=dtype,
        model=_named(environ, "FLOPLEDGER_MODEL_ID", MAX_NAME_CHARS),
    )


def _named(environ: Mapping[str, str], variable: str, max_chars: int) -> str | None:
    """The variable's value; None, with a warning, when the wire could not carry it."""
    value = environ.get(variable, "").strip()
    # What is not UTF-8 in an environment arrives as lone surrogates, which no JSON may hold.
    if len(value) > max_chars or any("\ud800" <= char <= "\udfff" for char in value):
        log.warning("%s is ignored: it must be UTF-8 of at most %d characters, not %.80r", variable, max_chars, value)
        return None
    return value or None
