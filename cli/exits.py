"""Exit codes. An exception says its own by the attribute `exit_code`; one that has none is a bug."""

from __future__ import annotations

DONE = 0
NO = 1
"""The answer is no: a verification failed, a line is crossed."""
MISUSED = 2
"""Used wrongly or misconfigured."""
UNREACHABLE = 3
"""A dependency is not reachable."""
BUG = 70
"""Our own mistake."""


class Misconfigured(Exception):
    """A setting or an argument is wrong; the message says which and what to do."""

    exit_code = MISUSED


class Unreachable(Exception):
    """Something we depend on does not answer."""

    exit_code = UNREACHABLE
