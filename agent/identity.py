"""Who an agent is: its key, its node, and the incarnation it lives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import uuid_utils.compat

from wire.seal import key_id

if TYPE_CHECKING:
    from uuid import UUID

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


@dataclass(frozen=True, slots=True)
class AgentIdentity:
    """Where an agent runs and what it signs with. A new incarnation begins with every process."""

    cluster: str
    node: str
    key: Ed25519PrivateKey
    incarnation: UUID = field(default_factory=uuid_utils.compat.uuid7)

    @property
    def name(self) -> str:
        """The agent's name: its public key."""
        return key_id(self.key.public_key())
