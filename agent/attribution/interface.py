"""What every source of run identities offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from compute.precision import Dtype

if TYPE_CHECKING:
    from agent.devices.interface import Device, ProcessKey

DEFAULT_PURPOSE = "pre-training"


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """The run that a process works for."""

    run: str
    purpose: str = DEFAULT_PURPOSE
    dtype: Dtype = Dtype.UNDECLARED
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source says of a process; None is what it does not know.

    A run id is `explicit` when somebody chose it for this purpose: it stands as given. Any other is derived from an id
    that means something else, and carries its origin: `slurm:<cluster>:1234`.
    """

    run: str | None = None
    explicit: bool = False
    purpose: str | None = None
    dtype: Dtype | None = None
    model: str | None = None


class IdentitySource(Protocol):
    """One way to learn a process's run.

    `written_by_root` is false for what a process says of itself. `changes` is true when a process that lives on may be
    answered for in another way later.
    """

    name: str
    written_by_root: bool
    changes: bool

    def claim(self, process: ProcessKey, device: Device) -> Claim | None:
        """What is known of `process` on `device`, None when nothing is."""
        ...
