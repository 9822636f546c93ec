"""Alerts as the journal has them, channels that do as they are told, and a clock for both."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from collector.notify.changes import Change
from collector.notify.message import Alert, Message
from collector.notify.notifier import Notifier
from ledger.assessment.alert import acknowledgement
from ledger.journal import Statement
from tests.ledger.chains import NOW_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from collector.notify.channels.interface import Channel
    from collector.notify.errors import NotDelivered
    from ledger.ledger import Ledger

S_NS = 1_000_000_000


@dataclass
class Times:
    """A wall clock that may jump, and a steady one."""

    now_ns: int = NOW_NS
    steady_s: float = 100.0

    def wall(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.steady_s

    def pass_s(self, seconds: float) -> None:
        self.now_ns += int(seconds * S_NS)
        self.steady_s += seconds


@dataclass
class Told:
    """A channel that remembers what it accepted, and fails as `failing` says."""

    name: str = "told"
    sha256: str = "0" * 64
    repeat_every_s: float | None = None
    failing: Callable[[Message], NotDelivered | None] = lambda message: None
    accepted: list[Message] = field(default_factory=list)
    tried: list[Message] = field(default_factory=list)
    repeated: list[list[Message]] = field(default_factory=list)

    def wants(self, message: Message) -> bool:
        return True

    def send(self, message: Message) -> str:
        self.tried.append(message)
        error = self.failing(message)
        if error is not None:
            raise error
        self.accepted.append(message)
        return "thanks"

    def repeat(self, latest: Sequence[Message]) -> None:
        self.repeated.append(list(latest))

    def said(self) -> list[tuple[str, int, str]]:
        """Alert, which raising, and change of all that was accepted."""
        return [(m.alert.alert_id, m.change.raising, m.name) for m in self.accepted]


def raise_alert(ledger: Ledger, alert_id: str, **changes: Any) -> None:
    """As the assessment does it."""
    data = {
        "alert_id": alert_id,
        "subject_kind": "run",
        "subject": "llama",
        "threshold": "eu-aia-51-2",
        "policy": "eu-aia",
        "kind": "estimate",
        "percent": 75,
        "lead_days": None,
        "basis": "hardware",
        "flop": "7600000000000000000000000",
        "line_flop": "10000000000000000000000000",
        "expected_at": None,
        "notify_by": None,
        "summary": f"{alert_id} has reached 75 % of eu-aia-51-2",
        "evidence": {},
        "occurrence": 0,
        **changes,
    }
    ledger.append([Statement("alert", "collector", data)])


def acknowledge(ledger: Ledger, alert_id: str, who: str = "ada") -> None:
    ledger.append([acknowledgement(alert_id, "", who)])


def resolve(ledger: Ledger, alert_id: str) -> None:
    ledger.append([Statement("resolution", "collector", {"alert_id": alert_id, "reason": ""})])


def notifier(ledger: Ledger, times: Times, *channels: Channel, **options: Any) -> Notifier:
    """As a process finds it that has just started."""
    return Notifier(ledger, channels, times.wall, monotonic=times.monotonic, **options)


def message(name: str = "raised", alert_id: str = "a-1", raising: int = 1, **changes: Any) -> Message:
    """One that no ledger holds."""
    values: dict[str, Any] = {
        "alert_id": alert_id,
        "kind": "estimate",
        "subject_kind": "run",
        "subject": "llama",
        "summary": "llama has reached 75 % of eu-aia-51-2",
        "threshold": "eu-aia-51-2",
        "percent": 75,
        "flop": 76 * 10**23,
        "line_flop": 10**25,
        "runbook": "https://runbooks.example/estimate.md",
        **changes,
    }
    return Message(Change(alert_id, raising, name, 7, NOW_NS, NOW_NS), Alert(**values))  # type: ignore[arg-type]
