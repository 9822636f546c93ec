"""What can go wrong with the ledger, by what to do about it.

LedgerError
├── Retry         the engine is busy or away, the disk is full: the same call may work later
├── Refused       what was asked is not allowed or makes no sense: the caller must change it
└── Fatal         the ledger cannot be used as it is
    ├── Held      another process holds the data directory
    └── Damaged   files are missing, or are not what this version wrote
"""


class LedgerError(Exception):
    """Base of everything the ledger raises on purpose; the message says what and what to do."""

    exit_code = 2


class Retry(LedgerError):
    """The same call may work later."""

    exit_code = 3


class Refused(LedgerError):
    """The request itself is wrong."""


class Fatal(LedgerError):
    """The ledger cannot be used as it is."""


class Held(Fatal):
    """One process at a time holds a data directory."""


class Damaged(Fatal):
    """The ledger's files are not what they should be."""
