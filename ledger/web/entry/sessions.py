"""A session: a cookie that says which token it was begun with, signed by a key of this page's own.

Nothing is kept of it here. It ends with its time, with the token's line in the file, or when somebody signs out.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from itsdangerous import BadData, URLSafeTimedSerializer

from cli.exits import Misconfigured

if TYPE_CHECKING:
    from pathlib import Path

KEY_FILE = "web.key"
LASTS_S = 12 * 3_600
_KEY_BYTES = 32
_PURPOSE = "flopledger.session/1"


class Sessions:
    """Makes and reads cookies. Several pages that share the key file share sessions."""

    def __init__(self, key: bytes) -> None:
        self._signer = URLSafeTimedSerializer(key, salt=_PURPOSE)

    def begin(self, mark: str) -> str:
        """A cookie's value for the token with this mark."""
        return str(self._signer.dumps(mark))

    def mark(self, value: str) -> str | None:
        """The mark in a cookie that is ours and not too old."""
        try:
            found = self._signer.loads(value, max_age=LASTS_S)
        except BadData:
            return None
        return found if isinstance(found, str) else None


def cookie_name(secure: bool) -> str:
    """A browser takes a name with this prefix only over https, for one host, for all of it."""
    return "__Host-flopledger" if secure else "flopledger"


def load_or_create_key(path: Path) -> bytes:
    """The key in a file, made if it is not there; readable by its owner alone. Raises `Misconfigured`."""
    try:
        with suppress(FileExistsError):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, secrets.token_bytes(_KEY_BYTES))
                os.fsync(file)
            finally:
                os.close(file)
        key = path.read_bytes()
    except OSError as error:
        raise Misconfigured(f"the key of sessions {path} cannot be made or read: {error.strerror}") from error
    if len(key) < _KEY_BYTES:
        raise Misconfigured(f"{path} is not whole: remove it, and people sign in again")
    return key
