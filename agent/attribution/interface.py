"""What every source of run identities offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from compute.precision import Dtype

if TYPE_CHECKING:
    from agent.devices.interface import ProcessKey

DEFAULT_PURPOSE = "pre-training"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The run that a process works for, as far as its source knows."""

    run: str
    purpose: str = DEFAULT_PURPOSE
    dtype: Dtype = Dtype.UNDECLARED
    model: str | None = None


class IdentitySource(Protocol):
    """One way to learn a process's run. The agent asks its sources in the order of trust; the first answer holds."""

    def identify(self, process: ProcessKey) -> RunIdentity | None:
        """The run of `process`, or None when this source does not know."""
        ...
