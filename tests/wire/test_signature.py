from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add, crypto_scalarmult_ed25519_base_noclamp

from tests.wire.batches import KEY, KEYS
from wire import signature
from wire.seal import key_id
from wire.signature import verified

if TYPE_CHECKING:
    from collections.abc import Callable

ORDER = 2**252 + 27742317777372353535851937790883648493
OF_ORDER_8 = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
IDENTITY = bytes([1, *bytes(31)])
BODY = b"what was signed"
RAW = KEY.public_key().public_bytes_raw()


def by_openssl(raw: bytes, signed: bytes, body: bytes = BODY) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(raw).verify(signed, body)
    except InvalidSignature:
        return False
    return True


def ours(raw: bytes, signed: bytes, body: bytes = BODY) -> bool:
    return verified(key_id(Ed25519PublicKey.from_public_bytes(raw)), signed, body)


def scalar(number: int) -> bytes:
    return (number % ORDER).to_bytes(32, "little")


def forged(nonce: int, twist: Callable[[bytes], bytes]) -> bytes:
    """A signature by `KEY` whose R was changed before the rest was computed from it."""
    secret = bytearray(hashlib.sha512(KEY.private_bytes_raw()).digest()[:32])
    secret[0] &= 248
    secret[31] = (secret[31] & 127) | 64
    point = twist(crypto_scalarmult_ed25519_base_noclamp(scalar(nonce)))
    challenge = int.from_bytes(hashlib.sha512(point + RAW + BODY).digest(), "little")
    return point + scalar(nonce + challenge * int.from_bytes(secret, "little"))


@settings(deadline=None)
@given(KEYS, st.binary(max_size=80), st.integers(0, 63), st.integers(0, 7))
def test_openssl_and_we_agree_on_what_is_signed(key: Ed25519PrivateKey, body: bytes, byte: int, bit: int) -> None:
    raw, good = key.public_key().public_bytes_raw(), key.sign(body)
    changed = good[:byte] + bytes([good[byte] ^ 1 << bit]) + good[byte + 1 :]
    assert ours(raw, good, body)
    for signed in (changed, good[:-1], good + b"\0", b""):
        assert ours(raw, signed, body) is by_openssl(raw, signed, body) is False


@settings(deadline=None)
@given(st.integers(1, ORDER - 1))
def test_of_odd_signatures_none_is_taken_that_openssl_refuses(nonce: int) -> None:
    plain = forged(nonce, lambda point: point)
    assert ours(RAW, plain)
    not_reduced = plain[:32] + (int.from_bytes(plain[32:], "little") + ORDER).to_bytes(32, "little")
    of_mixed_order = forged(nonce, lambda point: crypto_core_ed25519_add(point, OF_ORDER_8))
    of_small_order = forged(nonce, lambda _: OF_ORDER_8)
    for signed in (not_reduced, of_mixed_order, of_small_order):
        assert ours(RAW, signed) is by_openssl(RAW, signed) is False


@pytest.mark.parametrize("raw", [IDENTITY, OF_ORDER_8, bytes(32), b"\xff" * 32])
def test_keys_that_are_odd_are_judged_as_openssl_judges_them(raw: bytes) -> None:
    for signed in (forged(5, lambda point: point), crypto_scalarmult_ed25519_base_noclamp(scalar(5)) + scalar(5)):
        assert ours(raw, signed) is by_openssl(raw, signed)


def test_without_libsodium_openssl_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signature, "crypto_sign_open", None)
    assert ours(RAW, KEY.sign(BODY))
    assert not ours(RAW, KEY.sign(BODY), BODY + b".")
