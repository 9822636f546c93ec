"""What can go wrong on a node, by what to do about it.

AgentError
├── Retry            later it may work: the driver is busy, the broker is away, the disk is full
│   └── OutboxFull   counting goes on, sealing waits
├── SkipDevice       this device cannot be measured now; the others can
└── Fatal            the agent cannot run: say why and stop
    ├── NodeLocked   another agent already counts this node
    └── OutboxDamaged
"""


class AgentError(Exception):
    """Base of everything the agent raises on purpose; the message says what and what to do."""

    exit_code = 2


class Retry(AgentError):
    """The same call may work later."""

    exit_code = 3


class OutboxFull(Retry):
    """No batch can be stored now."""


class SkipDevice(AgentError):
    """One device cannot be measured; `device` is its id.

    `lost` says that its counters are gone for good: what it did since they were last read will never be known.
    """

    def __init__(self, device: str, reason: str, *, lost: bool = False) -> None:
        super().__init__(f"{device}: {reason}")
        self.device = device
        self.reason = reason
        self.lost = lost


class Fatal(AgentError):
    """The agent cannot go on."""


class NodeLocked(Fatal):
    """Two agents on one node would count everything twice."""


class OutboxDamaged(Fatal):
    """The outbox file is not a database any more."""
