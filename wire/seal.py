"""Sealing: a batch becomes bytes once, and those bytes are hashed and signed.

The signature covers the exact bytes, so there is no canonical form to agree on and nothing is ever re-encoded: an
auditor checks what was stored, with any Ed25519 tool, and reads it with jq.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from wire.batch import SCHEMA, Batch
from wire.encoding import encode as encode_readings
from wire.rfc3339 import format_ns

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey


MAX_BODY_BYTES = 8 * 1024 * 1024
"""Of a batch. Stated here, so that who only seals loads nothing of what opens."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch as it travels: the bytes, and what is needed to trust them."""

    body: bytes
    sha256: bytes
    key_id: str
    signature: bytes
    schema: str = SCHEMA

    def headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers that go beside `body`."""
        return [
            ("schema", self.schema.encode()),
            ("key_id", self.key_id.encode()),
            ("sha256", self.sha256),
            ("signature", self.signature),
        ]


def key_id(public_key: Ed25519PublicKey) -> str:
    """An agent's name: its raw public key in base64url, 43 characters without padding."""
    return base64.urlsafe_b64encode(public_key.public_bytes(Encoding.Raw, PublicFormat.Raw)).rstrip(b"=").decode()


def seal(batch: Batch, key: Ed25519PrivateKey) -> Sealed:
    """Encode `batch` and sign the bytes. `batch.agent` must be the name of `key`."""
    return sign(encode(batch), key, batch.agent)


def sign(body: bytes, key: Ed25519PrivateKey, name: str, schema: str = SCHEMA) -> Sealed:
    """Hash and sign bytes that are already encoded."""
    return Sealed(body, hashlib.sha256(body).digest(), name, key.sign(body), schema)


def encode(batch: Batch) -> bytes:
    """UTF-8 JSON, the readings by column as differences; what is empty is left out."""
    return orjson.dumps(
        {
            "schema": SCHEMA,
            "cluster": batch.cluster,
            "node": batch.node,
            "agent": batch.agent,
            "chain": str(batch.chain),
            "incarnation": str(batch.incarnation),
            "seq": batch.seq,
            "prev": batch.prev,
            "sealed_at": format_ns(batch.sealed_at_ns),
            "rates": batch.rates,
            **({"devices": [_decimal(asdict(d), "flop_per_s_max") for d in batch.devices]} if batch.devices else {}),
            **({"events": [asdict(event) for event in batch.events]} if batch.events else {}),
            "readings": encode_readings(batch.readings),
        }
    )


def _decimal(record: dict[str, Any], name: str) -> dict[str, Any]:
    if record[name] is not None:
        record[name] = str(record[name])
    return record
