"""The token file: one line per token, `SHA-256 role name`. The tokens themselves are kept nowhere.

A token is 256 random bits, so one round of SHA-256 is enough: there is nothing to guess, and nothing to slow down.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cli.exits import Misconfigured
from ledger.web.entry.roles import Role

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "flw_"
FILE = "web-tokens"
_NAME = re.compile(r"[\w.@+-]{1,64}")
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of one; `sha256` is hex."""

    sha256: str
    role: Role
    name: str

    @property
    def mark(self) -> str:
        """What a session calls it by."""
        return self.sha256[:16]


class Tokens:
    """The tokens of a file, read again when the file changes. Thread-safe: what is read is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        """Raises `Misconfigured` for a file that cannot be read or holds a line that is none."""
        self._path = path
        self._read: tuple[tuple[int, int, int], tuple[Token, ...]] = (self._stamp(), read(path))

    def of(self, said: str) -> Token | None:
        """The token that somebody brought."""
        given = hashlib.sha256(said.encode()).hexdigest()
        return next((token for token in self._all() if hmac.compare_digest(token.sha256, given)), None)

    def marked(self, mark: str) -> Token | None:
        """The token that a session was begun with, if it is still good."""
        return next((token for token in self._all() if hmac.compare_digest(token.mark, mark)), None)

    def _all(self) -> tuple[Token, ...]:
        stamp = self._stamp()
        if stamp != self._read[0]:
            self._read = (stamp, read(self._path))
        return self._read[1]

    def _stamp(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError as error:
            raise Misconfigured(f"the token file {self._path} cannot be read: {error.strerror}") from error
        return found.st_ino, found.st_size, found.st_mtime_ns


def read(path: Path) -> tuple[Token, ...]:
    """All tokens of a file; raises `Misconfigured` that names the line. Empty lines and those with `#` say nothing."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"the token file {path} cannot be read: {error}") from error
    return tuple(
        _token(path, number, line.split())
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.lstrip().startswith("#")
    )


def add(path: Path, name: str, role: Role) -> str:
    """Make a token, put its hash into the file, and return it: this is the only time that it can be seen."""
    if _NAME.fullmatch(name) is None:
        raise Misconfigured(f"--name {name!r}: up to 64 letters, digits and . _ @ + - please")
    if path.exists() and any(token.name == name for token in read(path)):
        raise Misconfigured(f"{path} has a token named {name} already: take its line out first, or choose another name")
    made = PREFIX + secrets.token_urlsafe(32)
    line = f"{hashlib.sha256(made.encode()).hexdigest()} {role} {name}\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise Misconfigured(f"the token file {path} cannot be written: {error.strerror}") from error
    return made


def _token(path: Path, number: int, words: list[str]) -> Token:
    if len(words) != 3 or not _HASH.fullmatch(words[0]) or words[1] not in set(Role) or not _NAME.fullmatch(words[2]):
        raise Misconfigured(
            f"{path}, line {number}: write `SHA-256 role name`, with a role of {', '.join(Role)}; "
            "`flopledger web token` makes such a line"
        )
    return Token(words[0], Role(words[1]), words[2])
