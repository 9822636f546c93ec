"""What a reporter is told when we don't count what it sent.

`Declined` answers a whole request, `Refused` a data point. Refused points are gathered into OTLP's partial success: a
count, and one text that says what to set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import AgentError

if TYPE_CHECKING:
    from http import HTTPStatus

MAX_REASONS = 5


class Declined(AgentError):
    """A request that is no export we take; `status` is the answer."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Refused(AgentError):
    """Data points that cannot be counted."""


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many data points of one export were refused, and why. Nothing refused is `Refusals(0, "")`."""

    rejected: int
    message: str


class Tally:
    """Gathers refusals while an export is read. Keeps the first few reasons, counts all points."""

    def __init__(self) -> None:
        self._rejected = 0
        self._reasons: list[str] = []

    def refuse(self, points: int, reason: str) -> None:
        """Count `points` as refused for `reason`."""
        self._rejected += points
        if points and reason not in self._reasons and len(self._reasons) < MAX_REASONS:
            self._reasons.append(reason)

    def refusals(self) -> Refusals:
        """All of it as one answer."""
        return Refusals(self._rejected, "; ".join(self._reasons))
