"""What goes wrong, in ClickHouse's words: a code, a message that begins with it, and an HTTP status."""

from __future__ import annotations

import re

SYNTAX_ERROR = 62
BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
UNKNOWN_FORMAT = 73
UNKNOWN_DATABASE = 81
TIMEOUT_EXCEEDED = 159
QUERY_TOO_LARGE = 307
READONLY = 164
TOO_MANY_QUERIES = 202
TOO_MANY_ROWS_OR_BYTES = 396
AUTHENTICATION_FAILED = 516
UNKNOWN_EXCEPTION = 1002

_NAMES = {
    SYNTAX_ERROR: "SYNTAX_ERROR",
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    UNKNOWN_FORMAT: "UNKNOWN_FORMAT",
    UNKNOWN_DATABASE: "UNKNOWN_DATABASE",
    QUERY_TOO_LARGE: "TOO_LARGE_STRING_SIZE",
    READONLY: "READONLY",
    TOO_MANY_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    TOO_MANY_ROWS_OR_BYTES: "TOO_MANY_ROWS_OR_BYTES",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
}
_STATUS = {
    AUTHENTICATION_FAILED: 403,
    READONLY: 403,
    QUERY_TOO_LARGE: 413,
    NOT_IMPLEMENTED: 501,
    # As the server's own handler sorts them: what was asked is malformed, or is not there.
    **dict.fromkeys((26, 27, 36, 41, 43, 53, 62, 73, 456, 457), 400),
    **dict.fromkeys((46, 47, 50, 60, 81), 404),
}
_CODE = re.compile(r"Code: (\d+)\.")


class Failed(Exception):
    """A question that gets no answer; `code` is ClickHouse's number for why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def status(self) -> int:
        """The HTTP status that a server would give with it."""
        return _STATUS.get(self.code, 500)

    @classmethod
    def of(cls, text: str) -> Failed:
        """The engine's own message, which names its code."""
        found = _CODE.search(text)
        return cls(int(found[1]) if found else 1001, text.strip())

    def body(self, version: str) -> bytes:
        """The text that clients take apart: `Code: N. DB::Exception: … (NAME) (version …)`."""
        text = str(self)
        if not text.startswith("Code: "):
            text = f"Code: {self.code}. DB::Exception: {text}. ({_NAMES.get(self.code, 'UNKNOWN_EXCEPTION')})"
        return f"{text} (version {version})\n".encode()
