from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from wire.errors import KeyFileError
from wire.keys import load_or_create_key
from wire.seal import key_id
from wire.signature import public_key

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def pem(key: PrivateKeyTypes, encryption: KeySerializationEncryption | None = None) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


def test_a_key_is_made_once_and_then_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "agent.key"
    made = load_or_create_key(path)
    assert key_id(load_or_create_key(path).public_key()) == key_id(made.public_key())
    assert public_key(key_id(made.public_key())).public_bytes_raw() == made.public_key().public_bytes_raw()


def test_two_files_are_two_keys(tmp_path: Path) -> None:
    one, other = (load_or_create_key(tmp_path / name).public_key() for name in ("one.key", "other.key"))
    assert key_id(one) != key_id(other)


def test_only_its_owner_may_read_a_key_and_nothing_else_is_left(tmp_path: Path) -> None:
    load_or_create_key(tmp_path / "agent.key")
    assert [path.name for path in tmp_path.iterdir()] == ["agent.key"]
    assert stat.S_IMODE((tmp_path / "agent.key").stat().st_mode) == 0o600


def test_half_a_key_that_a_crash_left_under_another_name_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "agent.partial").write_bytes(b"-----BEGIN PRIVATE")
    made = load_or_create_key(tmp_path / "agent.key")
    assert key_id(load_or_create_key(tmp_path / "agent.key").public_key()) == key_id(made.public_key())


def test_a_key_that_openssl_made_is_taken(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "agent.key").write_bytes(pem(key))
    assert key_id(load_or_create_key(tmp_path / "agent.key").public_key()) == key_id(key.public_key())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a private key; put the right one back, or move the file away"),
        (b"garbage", "is not a private key"),
        (pem(Ed25519PrivateKey.generate())[:60], "is not a private key"),
        (pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret")), "is not a private key"),
        (
            Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "is not a private key",
        ),
        (pem(generate_private_key(SECP256R1())), "is not an Ed25519 key"),
    ],
    ids=["empty", "garbage", "half", "locked", "public", "another curve"],
)
def test_a_file_that_holds_no_usable_key_is_named_and_left_alone(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "agent.key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=message) as caught:
        load_or_create_key(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert path.read_bytes() == content


def test_a_key_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "agent.key").mkdir()
    with pytest.raises(KeyFileError, match=r"agent\.key: Is a directory; this process must be able to read its key"):
        load_or_create_key(tmp_path / "agent.key")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="choose a directory that may be written with FLOPLEDGER_DATA_DIR"):
        load_or_create_key(tmp_path / "dangling" / "agent.key")
