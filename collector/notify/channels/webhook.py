"""CloudEvents 1.0, signed as Standard Webhooks are: HMAC-SHA-256 over id, time and body, with the time in a header."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from collector.notify.channels.http import post
from collector.notify.secret_file import read_secret
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from collector.notify.message import Message

PREFIX = "whsec_"
SCHEMA = "https://github.com/flopledger/flopledger/blob/main/docs/schemas/alert-event-1.json"
TYPE = "io.flopledger.alert."


def key_of(secret: str) -> bytes:
    """The signing key: what follows `whsec_` in Base64, or the text itself. Raises ValueError."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError(f"what follows {PREFIX} is not Base64") from error


def signature(key: bytes, message_id: str, at_s: int, body: bytes) -> str:
    """As the header has it."""
    digest = hmac.new(key, b"%b.%d.%b" % (message_id.encode(), at_s, body), hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def event(message: Message, source: str) -> dict[str, Any]:
    """The CloudEvent; its id is the dedup key, and the same for every attempt."""
    return {
        "specversion": "1.0",
        "id": message.message_id,
        "source": source,
        "type": TYPE + ("test" if message.test else message.name),
        "subject": message.alert.alert_id,
        "time": format_ns(message.change.at_ns),
        "datacontenttype": "application/json",
        "dataschema": SCHEMA,
        "data": message.data(),
    }


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts each message to one URL."""

    name: str
    sha256: str
    url: str | None
    url_file: Path | None
    secret_file: Path
    ca_file: Path | None
    kinds: frozenset[str] | None
    source: str
    now_ns: Callable[[], int]
    repeat_every_s: float | None = None

    def wants(self, message: Message) -> bool:
        """By kind."""
        return self.kinds is None or message.alert.kind in self.kinds

    def send(self, message: Message) -> str:
        """Signed anew for each attempt, with the time of the attempt."""
        secret = read_secret(self.secret_file)
        url = self.url or read_secret(self.url_file)  # type: ignore[arg-type]
        body = orjson.dumps(event(message, self.source))
        at_s = self.now_ns() // 1_000_000_000
        headers = {
            "content-type": "application/cloudevents+json; charset=UTF-8",
            "user-agent": "flopledger",
            "webhook-id": message.message_id,
            "webhook-timestamp": str(at_s),
            "webhook-signature": signature(key_of(secret), message.message_id, at_s, body),
        }
        return post(url, body, headers, self.ca_file)

    def repeat(self, latest: Sequence[Message]) -> None:
        """Once is enough."""
