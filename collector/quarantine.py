"""Where messages go that nobody can open: whole, with the reason, so that they can be looked at and tried again."""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from collector.errors import Fatal, QuarantineStorm, Retry
from collector.sources.interface import Message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WINDOW = 1_000
MIN_SEEN = 100
MAX_SHARE = 0.5
"""More than this share of the last `WINDOW` messages is a storm: a bad deployment, not a bad batch."""


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message as it came, from where it came, why it cannot be opened, and how many bytes its body had."""

    reason: str
    message: Message
    size_bytes: int


class Quarantine(Protocol):
    """Keeps a message that cannot be opened."""

    def put(self, message: Message, reason: str) -> None:
        """Keep it; on return it is safe."""
        ...


class DirectoryQuarantine:
    """One file per message, named by the hash of its bytes: the same message again is the same file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, message: Message, reason: str) -> None:
        """Write it whole under another name first, then to disk, then in place."""
        name = hashlib.sha256(message.body).hexdigest()
        record = {
            "reason": reason,
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
            "headers": [[key, value.hex()] for key, value in message.headers],
            "body": message.body.hex(),
        }
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            partial = self._directory / f"{name}.partial"
            with partial.open("w", encoding="ascii") as file:
                json.dump(record, file)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(self._directory / f"{name}.json")
            self._sync_directory()
        except OSError as error:
            raise Retry(f"quarantine {self._directory}: {error.strerror}") from error

    def entries(self) -> Iterator[Quarantined]:
        """What is kept, in the order of its coordinates."""
        kept = [self._read(path) for path in self._directory.glob("*.json")]
        yield from sorted(kept, key=lambda e: (e.message.topic, e.message.partition, e.message.offset))

    def _read(self, path: Path) -> Quarantined:
        try:
            record = json.loads(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise Fatal(f"{path} cannot be read: {error}; move it away") from error
        body = bytes.fromhex(record["body"])
        headers = tuple((name, bytes.fromhex(value)) for name, value in record["headers"])
        message = Message(body, headers, record["topic"], record["partition"], record["offset"])
        return Quarantined(record["reason"], message, len(body))

    def _sync_directory(self) -> None:
        """Without this the new name may be gone after a power cut, and the offset behind it committed."""
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class StormWatch:
    """Counts what could and could not be opened, and stops the collector before it drains a topic into quarantine."""

    def __init__(self) -> None:
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self.quarantined = 0

    def saw(self, *, opened: bool) -> None:
        """One more message; raises `QuarantineStorm` when too many cannot be opened."""
        self._recent.append(opened)
        self.quarantined += not opened
        bad = len(self._recent) - sum(self._recent)
        if len(self._recent) >= MIN_SEEN and bad > MAX_SHARE * len(self._recent):
            raise QuarantineStorm(
                f"{bad} of the last {len(self._recent)} messages cannot be opened: stopped, nothing was committed; "
                "see the quarantine for the reasons"
            )
