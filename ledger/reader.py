"""Whatever answers a query: the ledger in this process, or the process that holds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ledger.store import Result


class Reader(Protocol):
    """Answers one read-only statement."""

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        """Rows; raises `ledger.errors.Refused` for a statement that does not pass."""
        ...
