"""Everything else: Slack, PagerDuty, Teams, e-mail and what else apprise has a URL for. The URL is the secret."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import apprise
from apprise.manager_plugins import NotificationManager

from collector.notify.errors import Refused, Unreached
from collector.notify.secret_file import cleaned, read_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from collector.notify.message import Message


def opened(url: str) -> Any:
    """What apprise makes of the URL; raises `Refused`, with what is wrong but without the URL."""
    asset = apprise.AppriseAsset(app_id="flopledger", async_mode=False, secure_logging=True, storage_mode="memory")
    asset.http_redirects = False
    with _EAR.listening() as said:
        found = None if "\n" in url else apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    if found is None:
        raise Refused(_what_is_wrong(url, " ".join(said)))
    return found


class _Ear(logging.Filter):
    """Keeps what apprise says in one thread for us, and lets none of it into a log: it names URLs."""

    def __init__(self) -> None:
        super().__init__()
        self._here = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        said: list[str] | None = getattr(self._here, "said", None)
        if said is not None and record.levelno >= logging.WARNING:
            said.append(record.getMessage())
        return False

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """What is said meanwhile."""
        said: list[str] = []
        self._here.said = said
        try:
            yield said
        finally:
            self._here.said = None


_EAR = _Ear()
logging.getLogger("apprise").addFilter(_EAR)
# What it sends with names paths, which are secret too.
logging.getLogger("urllib3").setLevel(logging.WARNING)


def _what_is_wrong(url: str, why: str) -> str:
    if "\n" in url:
        return "holds several lines: one channel is one URL, so make a channel for each"
    scheme, mark, _ = url.partition("://")
    if not mark:
        return "does not hold a URL such as slack://…; https://github.com/caronc/apprise/wiki lists them"
    known = sorted(NotificationManager().schemas())  # type: ignore[no-untyped-call]
    if scheme.lower() not in known:
        near = get_close_matches(scheme.lower(), known, 1)
        return f"holds a URL of the unknown kind {scheme}://" + (f"; did you mean {near[0]}://?" if near else "")
    return cleaned(f"holds a {scheme}:// URL that is not whole: {why}")


@dataclass(frozen=True, slots=True)
class AppriseUrl:
    """Sends each message by the URL that is in a file."""

    name: str
    sha256: str
    url_file: Path
    kinds: frozenset[str] | None
    repeat_every_s: float | None = None

    def wants(self, message: Message) -> bool:
        """By kind."""
        return self.kinds is None or message.alert.kind in self.kinds

    def send(self, message: Message) -> str:
        """Whatever apprise can say about a failure is what we can."""
        url = read_secret(self.url_file)
        try:
            service = opened(url)
        except Refused as error:
            raise Unreached(f"{self.url_file} {error}") from error
        kind = apprise.NotifyType.FAILURE if message.alert.severity == "critical" else apprise.NotifyType.WARNING
        if message.name != "raised":
            kind = apprise.NotifyType.SUCCESS if message.name == "resolved" else apprise.NotifyType.INFO
        with _EAR.listening() as said:
            accepted = service.notify(
                body=message.text(), title=message.title(), notify_type=kind, body_format=apprise.NotifyFormat.TEXT
            )
        why = " ".join(said)
        if accepted:
            return f"{service.service_name} took it"
        # apprise does not tell a server that is away from one that says no.
        raise Unreached(cleaned(f"{service.service_name} did not take it: {why or 'apprise does not say why'}"))

    def repeat(self, latest: Sequence[Message]) -> None:
        """Once is enough."""
