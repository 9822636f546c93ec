"""What somebody may do on the page. Each role may do what those before it may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Way = Literal["token", "session", "proxy", "loopback"]


class Role(StrEnum):
    """Viewers look; auditors ask by SQL, verify, and read the evidence; operators acknowledge alerts as well."""

    VIEWER = "viewer"
    AUDITOR = "auditor"
    OPERATOR = "operator"

    def covers(self, needed: Role) -> bool:
        """Whether whoever has this role may do what takes `needed`."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who was let in: the name of their token, or what the proxy calls them."""

    name: str
    role: Role
    way: Way
