"""Ed25519: is this the signature of these bytes by that key.

OpenSSL (through `cryptography`) decides. libsodium says yes faster, and says it only to what OpenSSL would accept too:
both want a reduced S and compare R byte by byte, and libsodium refuses keys of small order on top. So its yes is final,
and its no is asked again; where PyNaCl is not installed OpenSSL is asked at once.
"""

from __future__ import annotations

import base64
import binascii
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from wire.errors import Unauthentic

if TYPE_CHECKING:
    from collections.abc import Callable

crypto_sign_open: Callable[[bytes, bytes], bytes] | None = None
CryptoError: type[Exception] = ValueError
# Agents have no PyNaCl, and verify next to nothing.
with suppress(ImportError):
    from nacl.bindings import crypto_sign_open
    from nacl.exceptions import CryptoError

REMEMBERED_KEYS = 200_000


def verified(name: str, signature: bytes, body: bytes) -> bool:
    """Whether the key of this name signed `body`; raises `Unauthentic` for a name that is none."""
    raw = raw_key(name)
    if crypto_sign_open is not None and len(signature) == 64:
        try:
            crypto_sign_open(signature + body, raw)
        except CryptoError:
            pass
        else:
            return True
    try:
        public_key(name).verify(signature, body)
    except InvalidSignature:
        return False
    return True


def public_key(name: str) -> Ed25519PublicKey:
    """The key behind an agent's name; raises `Unauthentic` for a name that is none."""
    try:
        return Ed25519PublicKey.from_public_bytes(raw_key(name))
    except ValueError as error:
        raise Unauthentic("not the base64url of an Ed25519 key", "key_id") from error


@lru_cache(REMEMBERED_KEYS)
def raw_key(name: str) -> bytes:
    """The 32 bytes behind an agent's name; raises `Unauthentic` for a name that is none."""
    try:
        raw = base64.b64decode(name + "=", altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise Unauthentic("not the base64url of an Ed25519 key", "key_id") from error
    if len(raw) != 32:
        raise Unauthentic("not the base64url of an Ed25519 key", "key_id")
    # The last character holds spare bits: without this check four names would mean one key.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != name:
        raise Unauthentic("not the canonical name of a key", "key_id")
    return raw
