"""The quarantine tried again: what opens now, and whose key counts now, is recorded with its original coordinates.

The process that holds the ledger does it, so that a replay and the collector's main loop go through the same judgement.
A replay that dies half-way is begun again: what is recorded already is recorded again, and changes nothing.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from collector.intake import Rejected
from collector.sources.interface import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from collector.intake import Intake
    from collector.quarantine import Quarantined, ReadableQuarantine
    from ledger.access import Remote

REPLAY = "/replay"
MAX_MESSAGES = 256
MAX_BYTES = 8 * 1024 * 1024

COUNTED = "counted"
NOT_COUNTED = "not counted"
KEPT = "still quarantined"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a message: `outcome` is counted, not counted or still quarantined, `detail` says why not."""

    outcome: str
    detail: str = ""


Admit = Callable[[Sequence[Message]], Sequence[Verdict]]


def replay(quarantine: ReadableQuarantine, admit: Admit) -> Iterator[tuple[Quarantined, Verdict]]:
    """Try what was not replayed yet, and mark what is recorded now."""
    for entries in _portions(entry for entry in quarantine.entries() if not entry.replayed):
        verdicts = admit([entry.message for entry in entries])
        for entry, verdict in zip(entries, verdicts, strict=True):
            if verdict.outcome != KEPT:
                quarantine.mark_replayed(entry)
            yield entry, verdict


def admit_here(intake: Intake, now_ns: Callable[[], int], messages: Sequence[Message]) -> list[Verdict]:
    """Open, trust, judge and record in this process."""
    received_at_ns = now_ns() // 1_000 * 1_000
    verdicts: list[Verdict | None] = []
    evidence = []
    for held in intake.open(messages, received_at_ns):
        if isinstance(held, Rejected):
            verdicts.append(Verdict(KEPT, held.reason))
        else:
            evidence.append(held)
            verdicts.append(None)
    recorded = iter(intake.record(evidence) if evidence else ())
    return [_judged(next(recorded).excluded_reason) if verdict is None else verdict for verdict in verdicts]


def admit_there(remote: Remote, messages: Sequence[Message]) -> list[Verdict]:
    """Have the process do it that holds the ledger."""
    answer = remote.ask(REPLAY, {"messages": [_packed(message) for message in messages]})
    return [Verdict(**verdict) for verdict in answer["verdicts"]]


def answering(intake: Intake, now_ns: Callable[[], int]) -> Callable[[Any], Any]:
    """The other end of `admit_there`."""

    def answer(asked: Any) -> Any:
        messages = [_unpacked(packed) for packed in asked["messages"]]
        verdicts = admit_here(intake, now_ns, messages)
        return {"verdicts": [{"outcome": v.outcome, "detail": v.detail} for v in verdicts]}

    return answer


def _judged(excluded_reason: str | None) -> Verdict:
    return Verdict(COUNTED) if excluded_reason is None else Verdict(NOT_COUNTED, excluded_reason)


def _portions(entries: Iterable[Quarantined]) -> Iterator[list[Quarantined]]:
    portion: list[Quarantined] = []
    size = 0
    for entry in entries:
        if portion and (len(portion) == MAX_MESSAGES or size + len(entry.message.body) > MAX_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(entry)
        size += len(entry.message.body)
    if portion:
        yield portion


def _packed(message: Message) -> dict[str, Any]:
    return {
        "body": base64.b64encode(message.body).decode(),
        "headers": [[name, base64.b64encode(value).decode()] for name, value in message.headers],
        "topic": message.topic,
        "partition": message.partition,
        "offset": message.offset,
    }


def _unpacked(packed: dict[str, Any]) -> Message:
    headers = tuple((name, base64.b64decode(value)) for name, value in packed["headers"])
    return Message(base64.b64decode(packed["body"]), headers, packed["topic"], packed["partition"], packed["offset"])
