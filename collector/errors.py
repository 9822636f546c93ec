"""What can go wrong between a source and the ledger, by what to do about it.

CollectorError
├── Retry              the source or the ledger is away: try again later, nothing was committed
├── Untrusted          signed by a key that does not count here: quarantine
└── Fatal              going on would lose or hide something: stop and say why
    └── QuarantineStorm
"""

from __future__ import annotations

from typing import Literal


class CollectorError(Exception):
    """Base of everything the collector raises on purpose."""

    exit_code = 2


class Retry(CollectorError):
    """The same call may work later."""

    exit_code = 3


class Untrusted(CollectorError):
    """The signature is right, but the key is unknown, revoked, or another place's; `kind` says which."""

    exit_code = 1

    def __init__(self, kind: Literal["unknown_key", "revoked_key", "other_place"], message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Fatal(CollectorError):
    """The collector must stop."""


class QuarantineStorm(Fatal):
    """Too much of what arrives cannot be opened: a bad deployment, not a bad batch."""

    exit_code = 1
