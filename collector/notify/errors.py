"""Why a channel did not take a message, by what to do about it. What they say never holds a secret.

NotDelivered
├── Unreached   the channel is away, hangs, or asks us to wait: all its messages are tried again later
└── Refused     it does not want this message: tried again later as well, and the others go on
"""

from __future__ import annotations


class NotDelivered(Exception):
    """The channel did not accept; the message stays and is tried again."""


class Unreached(NotDelivered):
    """Nothing gets through at present; `retry_after_s` is how long the channel asked us to wait."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(NotDelivered):
    """The channel answered, and said no to this one."""
