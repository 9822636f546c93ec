"""Attempts to deliver messages about alerts, as rows of `deliveries`: written once each, never changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from ledger.rows import required, to_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ledger.store import Store

Outcome = Literal["accepted", "refused", "unreached", "added"]
ROWS = pa.schema(
    [
        required("at", pa.timestamp("us", "UTC")),
        required("channel", pa.string()),
        required("channel_sha256", pa.string()),
        required("message_id", pa.string()),
        required("alert_id", pa.string()),
        required("change", pa.string()),
        required("entry_index", pa.uint64()),
        required("attempt", pa.uint32()),
        required("outcome", pa.string()),
        required("detail", pa.string()),
    ]
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One message, tried once on one channel. `added` says that a channel is used from `entry_index` on."""

    at_ns: int
    channel: str
    channel_sha256: str
    outcome: Outcome
    entry_index: int
    message_id: str = ""
    alert_id: str = ""
    change: str = ""
    attempt: int = 0
    detail: str = ""

    def portable(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def revived(cls, said: Mapping[str, Any]) -> Attempt:
        """From what `portable` made."""
        return cls(**said)


def record_attempts(store: Store, attempts: Sequence[Attempt]) -> None:
    """Keep these; on return they are on disk. The same ones twice do no harm."""
    if not attempts:
        return
    columns: dict[str, list[Any]] = {
        name: [getattr(attempt, name) for attempt in attempts] for name in ROWS.names if name != "at"
    }
    columns["at"] = [attempt.at_ns // 1_000 for attempt in attempts]
    store.insert("deliveries", to_table(ROWS, columns))
