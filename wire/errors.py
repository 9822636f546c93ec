"""What can be wrong with bytes that claim to be a batch.

    WireError
    ├── Unauthentic   nobody we know signed these bytes: quarantine
    └── Malformed     signed, but not a batch of a schema we know: quarantine

Both are poison: trying again cannot help. What is well formed but cannot be true is no error; see `plausible`.
"""


class WireError(Exception):
    """These bytes are not a batch; `reason` names what is wrong, and `field` where."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason if field is None else f"{field}: {reason}")
        self.reason = reason
        self.field = field


class KeyFileError(Exception):
    """A key file cannot be read or made; the message says what to do."""

    exit_code = 2


class Unauthentic(WireError):
    """The hash or the signature does not fit the bytes, or the headers are incomplete."""


class Malformed(WireError):
    """The bytes are authentic but break the schema."""
