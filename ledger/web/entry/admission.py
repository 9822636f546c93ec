"""Who somebody is, and what they may do, from what their request brings.

loopback   without tokens and proxies: whoever reaches this machine's own address is an auditor
token      `Authorization: Bearer …`
session    a cookie that was given for a token
proxy      headers of a proxy that signs people in
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cli.exits import Misconfigured
from cli.settings import Settings
from ledger.web.entry.audit import FILE as AUDIT_FILE
from ledger.web.entry.audit import Audit
from ledger.web.entry.pace import Pace
from ledger.web.entry.proxy import Caller, Proxies, networks, roles
from ledger.web.entry.roles import Role, Who
from ledger.web.entry.sessions import KEY_FILE, Sessions, cookie_name, load_or_create_key
from ledger.web.entry.tokens import FILE, Token, Tokens

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
LOCAL = Who("loopback", Role.AUDITOR, "loopback")
"""Not an operator: other users of this machine reach its loopback too, and only its owner may write to the ledger."""


class NotLetIn(Exception):
    """What was brought does not let anybody in; the message says why and what would."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How people are told apart. `tokens` and `sessions` are there or not together."""

    tokens: Tokens | None = None
    sessions: Sessions | None = None
    proxies: Proxies = field(default_factory=Proxies)

    @property
    def open(self) -> bool:
        """Nobody is asked who they are: the page listens on loopback alone."""
        return self.tokens is None and not self.proxies.networks

    def who(self, caller: Caller, host: str, headers: Mapping[str, str], cookies: Mapping[str, str]) -> Who | None:
        """Whoever asks; None when they bring nothing, `NotLetIn` when what they bring is no good."""
        if self.open:
            # A page of the web may make a browser believe that its own name is this machine.
            if host.lower() not in LOOPBACK:
                raise NotLetIn(f"asked as {host[:60]}: ask 127.0.0.1, or set up tokens")
            return LOCAL
        kind, _, said = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            found = self.tokens.of(said.strip()) if self.tokens is not None else None
            if found is None:
                raise NotLetIn("this token is not known here, or not any more")
            return Who(found.name, found.role, "token")
        session = self._session(cookies.get(cookie_name(caller.https), ""))
        if session is not None:
            return Who(session.name, session.role, "session")
        if caller.trusted:
            signed_in = self.proxies.who(headers)
            if signed_in is None and headers.get(self.proxies.user_header):
                raise NotLetIn("none of your groups may see this page: FLOPLEDGER_WEB_GROUPS says which do")
            return signed_in
        return None

    def _session(self, cookie: str) -> Token | None:
        if not cookie or self.tokens is None or self.sessions is None:
            return None
        mark = self.sessions.mark(cookie)
        return None if mark is None else self.tokens.marked(mark)


def admission(settings: Settings) -> Admission:
    """As the settings say; raises `Misconfigured` where the page would listen for everybody."""
    path = settings.web_tokens_file or settings.data_dir / FILE
    with_tokens = settings.web_tokens_file is not None or path.exists()
    proxies = Proxies(
        networks(settings.web_trusted_proxies),
        roles(settings.web_groups),
        settings.web_user_header.lower(),
        settings.web_groups_header.lower(),
    )
    if proxies.networks and not proxies.groups and not with_tokens:
        raise Misconfigured(
            "FLOPLEDGER_WEB_TRUSTED_PROXIES without FLOPLEDGER_WEB_GROUPS lets nobody in: say what groups may do, "
            'such as {"ml-audit": "auditor", "*": "viewer"}'
        )
    if settings.web_host not in LOOPBACK and not with_tokens and not proxies.networks:
        raise Misconfigured(
            f"web_host {settings.web_host} is reachable from elsewhere: make a token first (`flopledger web token "
            "--role viewer --name NAME`), or name a proxy that signs people in with FLOPLEDGER_WEB_TRUSTED_PROXIES; "
            "or keep the page on 127.0.0.1"
        )
    if not with_tokens:
        return Admission(proxies=proxies)
    return Admission(Tokens(path), Sessions(load_or_create_key(settings.data_dir / KEY_FILE)), proxies)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the gate and the routes behind it share."""

    admission: Admission
    pace: Pace
    audit: Audit

    @classmethod
    def of(cls, settings: Settings, now_ns: Callable[[], int]) -> Entry:
        """As the settings say; raises `Misconfigured`."""
        return cls(admission(settings), Pace(), Audit(settings.data_dir / AUDIT_FILE, now_ns))
