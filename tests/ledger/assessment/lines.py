"""Lines of the tests' own, and what stands in the journal about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.catalogue_record import lines
from ledger.journal import Statement
from ledger.thresholds import Threshold
from tests.ledger.chains import HOUR_NS, NOW_NS, Chain, meter, take

if TYPE_CHECKING:
    from ledger.assessment.alert import Alert
    from ledger.ledger import Ledger

LINE = 10**25
DAY_NS = 24 * HOUR_NS


def line(line_id: str = "line", amount_flop: int = LINE, operator: str = ">", **changes: Any) -> Threshold:
    texts = dict.fromkeys(("jurisdiction", "instrument", "citation", "source", "counts", "notification"), "x")
    dates = dict.fromkeys(("adopted_on", "in_force_from", "in_force_until", "retrieved_on", "notify_within_days"))
    more = {
        "subject": "model",
        "unit": "floating-point",
        "original": "",
        "policy": "everything",
        "requires_any": (),
        "co_conditions": "",
        "note": "",
    }
    values: dict[str, Any] = {**texts, **dates, **more, "status": "in force", **changes}
    return Threshold(id=line_id, amount=amount_flop, operator=operator, **values)


def only(ledger: Ledger, *wanted: Threshold) -> None:
    """Put these lines on record, and take all others out of force."""
    ledger.publish_catalogue()
    ids = {item.id for item in wanted}
    ended = [item for item in lines(ledger) if item.id not in ids and item.amount is not None]
    never = {"status": "vetoed", "catalogue": "9999-12-31"}
    entries = [Statement("threshold", "test", {**item.data(), **never}) for item in ended]
    ledger.append([*entries, *(Statement("threshold", "test", item.data()) for item in wanted)])


def count(ledger: Ledger, flop: int | None, *bounds: int, number: int = 0, **changes: Any) -> None:
    take(ledger, [Chain(number).seal(meter(flop, *bounds, **changes))])


def grow(ledger: Ledger, hours: int, total_flop: int, end_ns: int = NOW_NS, devices: int = 3, run: str = "r") -> None:
    """A run that has grown steadily for so many hours up to `end_ns`, read every hour."""
    for number in range(devices):
        # Agents read at moments of their own.
        last_ns = end_ns - number * 10**9
        readings = [
            meter(
                total_flop * n // hours // devices,
                at_ns=last_ns - (hours - n) * HOUR_NS,
                observed_ns=n * HOUR_NS,
                run=run,
                device=f"gpu-{number}",
            )
            for n in range(hours + 1)
        ]
        take(ledger, [Chain(number).seal(*readings)])


def percents(alerts: list[Alert], kind: str, subject_kind: str = "run") -> list[int | None]:
    found = [alert for alert in alerts if (alert.kind, alert.subject_kind) == (kind, subject_kind)]
    return [alert.percent for alert in found if alert.lead_days is None]


def said(ledger: Ledger, *columns: str, where: str = "true") -> list[tuple[Any, ...]]:
    """Rows of `alert_history` in the order of raising."""
    rows = ledger.query(f"SELECT {', '.join(columns)} FROM alert_history WHERE {where} ORDER BY entry_index").rows
    return [tuple(row) for row in rows]
