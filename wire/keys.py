"""Ed25519 keys in files: an agent's, and the ledger's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from wire.errors import KeyFileError

if TYPE_CHECKING:
    from pathlib import Path


def load_or_create_key(path: Path) -> Ed25519PrivateKey:
    """The key in `path`, made on first use and readable by its owner alone; raises `KeyFileError`."""
    try:
        return _load(path)
    except FileNotFoundError:
        pass
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written whole under another name first: a crash leaves no half key behind.
        partial = path.with_suffix(".partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        raise KeyFileError(
            f"{path}: {error.strerror}; choose a directory that may be written with FLOPLEDGER_DATA_DIR"
        ) from error
    return key


def _load(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; this process must be able to read its key") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # a TypeError: it is locked with a password
        raise KeyFileError(f"{path} is not a private key; put the right one back, or move the file away") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} is not an Ed25519 key")
    return key
