"""Who asked what: one JSON object a line, only ever appended. No tokens, no cookies; of bodies only questions in SQL.

A page that follows the ledger asks the same every few seconds: the same look by the same person is written down once in
ten minutes, everything else each time.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import orjson

from ledger.errors import Retry
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

FILE = "web-audit.jsonl"
AGAIN_NS = 600 * 10**9
REMEMBERED = 10_000
MAX_TEXT = 8_192
"""Longer texts are cut, and say so."""


class Audit:
    """Appends to one file, which somebody may move away meanwhile. Thread-safe."""

    def __init__(self, path: Path, now_ns: Callable[[], int]) -> None:
        self._path = path
        self._now_ns = now_ns
        self._lock = threading.Lock()
        self._file: int | None = None
        self._looked: OrderedDict[bytes, int] = OrderedDict()

    def looked(self, **what: Any) -> None:
        """Somebody looked at something. Written once in a while; a file that cannot be written stops no look."""
        key = orjson.dumps(what)
        now_ns = self._now_ns()
        with self._lock:
            before_ns = self._looked.get(key)
            if before_ns is not None and now_ns - before_ns < AGAIN_NS:
                return
            self._looked[key] = now_ns
            self._looked.move_to_end(key)
            while len(self._looked) > REMEMBERED:
                self._looked.popitem(last=False)
        self.did(**what)

    def did(self, **what: Any) -> None:
        """Somebody did something, or was refused."""
        try:
            self._append(what)
        except OSError as error:
            log.error("the audit log %s cannot be written: %s", self._path, error.strerror)

    def will(self, **what: Any) -> None:
        """Somebody asks something that is answered only once it is written down; raises `Retry`."""
        try:
            self._append(what)
        except OSError as error:
            raise Retry(
                f"the audit log {self._path} cannot be written ({error.strerror}): without it nothing is answered here"
            ) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _append(self, what: dict[str, Any]) -> None:
        said = {name: _cut(value) for name, value in what.items() if value is not None}
        line = orjson.dumps({"at": format_ns(self._now_ns()), **said}) + b"\n"
        with self._lock:
            # One write to a file that is opened to append: lines of several processes do not mix.
            os.write(self._opened(), line)

    def _opened(self) -> int:
        if self._file is not None and not self._moved(self._file):
            return self._file
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    def _moved(self, file: int) -> bool:
        try:
            there, ours = self._path.stat(), os.fstat(file)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        return f"{value[:MAX_TEXT]}… ({len(value)} characters)"
    return value
