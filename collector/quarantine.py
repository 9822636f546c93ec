"""Where messages go that nobody can open: whole, with the reason, so that they can be looked at and tried again."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from collector.errors import Fatal, QuarantineStorm, Retry, Untrusted
from collector.sources.interface import Message
from wire.errors import Unauthentic

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wire.errors import WireError

WINDOW = 1_000
MIN_SEEN = 100
MAX_SHARE = 0.5
"""More than this share of the last `WINDOW` messages is a storm: a bad deployment, not a bad batch."""
MAX_CONSECUTIVE = 100
"""So many in a row are one too."""
PER_KEY = 10

REPLAYED = ".replayed.json"

QuarantineClass = Literal["unauthentic", "schema", "malformed", "unknown_key", "revoked_key", "other_place"]


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message as it came, from where it came, why it cannot be opened, and how many bytes its body had.

    `replayed` says that it was opened and recorded later.
    """

    reason: str
    message: Message
    size_bytes: int
    replayed: bool = False


class Quarantine(Protocol):
    """Keeps a message that cannot be opened."""

    def put(self, message: Message, reason: str) -> None:
        """Keep it; on return it is safe."""
        ...


class ReadableQuarantine(Quarantine, Protocol):
    """One that can be listed and tried again."""

    def entries(self) -> Iterator[Quarantined]:
        """What is kept, in the order of each partition."""
        ...

    def mark_replayed(self, entry: Quarantined) -> None:
        """It was opened and recorded later; it stays, and says so."""
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

    def mark_replayed(self, entry: Quarantined) -> None:
        """Give its file another name."""
        name = hashlib.sha256(entry.message.body).hexdigest()
        try:
            (self._directory / f"{name}.json").rename(self._directory / f"{name}{REPLAYED}")
            self._sync_directory()
        except OSError as error:
            raise Retry(f"quarantine {self._directory}: {error.strerror}") from error

    def _read(self, path: Path) -> Quarantined:
        try:
            record = json.loads(path.read_text(encoding="ascii"))
        except (OSError, ValueError) as error:
            raise Fatal(f"{path} cannot be read: {error}; move it away") from error
        body = bytes.fromhex(record["body"])
        headers = tuple((name, bytes.fromhex(value)) for name, value in record["headers"])
        message = Message(body, headers, record["topic"], record["partition"], record["offset"])
        return Quarantined(record["reason"], message, len(body), path.name.endswith(REPLAYED))

    def _sync_directory(self) -> None:
        """Without this the new name may be gone after a power cut, and the offset behind it committed."""
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


class StormWatch:
    """Counts what could and could not be opened, and stops the collector before it drains a topic into quarantine.

    A signed message counts only `PER_KEY` times within the window: one node that nobody approved, with a backlog of
    days, must not hold up the others.
    """

    def __init__(self, max_share: float = MAX_SHARE, max_consecutive: int = MAX_CONSECUTIVE) -> None:
        self._max_share = max_share
        self._max_consecutive = max_consecutive
        self._recent: deque[tuple[bool, str | None]] = deque()
        self._bad_of_key: Counter[str] = Counter()
        self._bad = 0
        self._consecutive = 0

    def opened(self) -> None:
        """One more message that is a batch."""
        self._consecutive = 0
        self._remember(True, None)

    def quarantined(self, key: str | None) -> None:
        """One more that is not, signed by `key` if by anybody; raises `QuarantineStorm` when there are too many."""
        if key is not None and self._bad_of_key[key] >= PER_KEY:
            return
        self._consecutive += 1
        self._remember(False, key)
        share = self._bad / len(self._recent)
        if self._consecutive >= self._max_consecutive:
            self._stop(f"{self._consecutive} messages in a row")
        if len(self._recent) >= MIN_SEEN and share > self._max_share:
            self._stop(f"{self._bad} of the last {len(self._recent)} messages")

    def _stop(self, what: str) -> None:
        raise QuarantineStorm(
            f"{what} cannot be opened or trusted: stopped, nothing of this round was committed; the reasons are in "
            "`flopledger collector quarantine list`"
        )

    def _remember(self, good: bool, key: str | None) -> None:
        self._recent.append((good, key))
        self._bad += not good
        if key is not None:
            self._bad_of_key[key] += 1
        if len(self._recent) > WINDOW:
            was_good, old_key = self._recent.popleft()
            self._bad -= not was_good
            if old_key is not None:
                self._bad_of_key[old_key] -= 1
                if not self._bad_of_key[old_key]:
                    del self._bad_of_key[old_key]


def reason_class(error: WireError | Untrusted) -> QuarantineClass:
    """The class of a reason, for counting: few, whatever the messages hold."""
    if isinstance(error, Untrusted):
        return error.kind
    if isinstance(error, Unauthentic):
        return "unauthentic"
    return "schema" if error.field == "schema" else "malformed"
