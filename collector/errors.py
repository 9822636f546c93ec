"""What can go wrong between a source and the ledger, by what to do about it.

CollectorError
├── Retry     the source or the ledger is away: poll again later, nothing was committed
└── Fatal     going on would lose or hide something: stop and say why
└── QuarantineStorm
"""


class CollectorError(Exception):
    """Base of everything the collector raises on purpose."""

    exit_code = 2


class Retry(CollectorError):
    """The same call may work later."""

    exit_code = 3


class Fatal(CollectorError):
    """The collector must stop."""


class QuarantineStorm(Fatal):
    """Too much of what arrives cannot be opened: a bad deployment, not a bad batch."""

    exit_code = 1
