"""Behind a proxy that signs people in (OpenID Connect): who they are stands in headers that it sets.

Headers count only from addresses that are listed as the proxy's: from anybody else they are a claim.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cli.exits import Misconfigured
from ledger.web.entry.roles import Role, Who

EVERYBODY = "*"
"""A group that everybody is in whom the proxy has signed in."""
_MAX_NAME = 256

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from, as far as the proxies in between can be believed."""

    address: str
    https: bool
    trusted: bool
    """It came through a proxy of ours."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies that are believed, and what their groups may do."""

    networks: tuple[Network, ...] = ()
    groups: Mapping[str, Role] = field(default_factory=dict)
    user_header: str = "x-forwarded-user"
    groups_header: str = "x-forwarded-groups"

    def caller(self, peer: str, https: bool, headers: Mapping[str, str]) -> Caller:
        """Who really asks: of the addresses that were passed on, the last that is not a proxy of ours."""
        if not self._ours(peer):
            return Caller(peer, https, trusted=False)
        passed = [part.strip() for part in headers.get("x-forwarded-for", "").split(",") if part.strip()]
        address = next((hop for hop in reversed(passed) if not self._ours(hop)), passed[0] if passed else peer)
        secure = headers.get("x-forwarded-proto", "https" if https else "http").split(",")[0].strip().lower() == "https"
        return Caller(address[:64], secure, trusted=True)

    def who(self, headers: Mapping[str, str]) -> Who | None:
        """Whom the proxy has signed in, with the most that their groups may do; None without a name or such a group."""
        name = headers.get(self.user_header, "").strip()
        if not name or len(name) > _MAX_NAME or not name.isprintable():
            return None
        groups = {part.strip() for part in headers.get(self.groups_header, "").split(",")} | {EVERYBODY}
        roles = [self.groups[group] for group in groups if group in self.groups]
        return Who(name, max(roles, key=list(Role).index), "proxy") if roles else None

    def _ours(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)


def networks(said: Sequence[str]) -> tuple[Network, ...]:
    """Addresses and networks as they are written; raises `Misconfigured`."""
    try:
        return tuple(ipaddress.ip_network(one) for one in said)
    except ValueError as error:
        raise Misconfigured(f"web_trusted_proxies (FLOPLEDGER_WEB_TRUSTED_PROXIES): {error}") from error


def roles(said: Mapping[str, str]) -> dict[str, Role]:
    """What each group may do; raises `Misconfigured`."""
    for group, role in said.items():
        if role not in set(Role):
            raise Misconfigured(
                f"web_groups (FLOPLEDGER_WEB_GROUPS): {group} may be {', '.join(Role)}, and not {role!r}"
            )
    return {group: Role(role) for group, role in said.items()}
