"""How to reach Kafka: the settings that both ends share, and what they mean to kafka-python.

Nothing is imported from kafka-python before a connection is made: only the ends that ship or collect need it.
"""

from __future__ import annotations

import importlib.util
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509

from wire.seal import MAX_BODY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

BATCHES_TOPIC = "flopledger.batches"
MAX_MESSAGE_BYTES = MAX_BODY_BYTES + 64 * 1024
"""The largest body with its key, headers and framing; topics must let it through."""

SECURITY_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
SASL_MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN", "OAUTHBEARER")

_REQUIRED = {
    "kafka": "kafka-python",
    "crc32c": "crc32c",
    "zstandard": "zstandard",
}
"""Module → package. Without crc32c a message costs a hundred times more to check, and nothing would say why."""


class KafkaSettingsError(ValueError):
    """These settings, or the files that they name, cannot work; the message says which and why."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Where the brokers are and who we are to them. Raises `KafkaSettingsError` for what cannot work together.

    `bootstrap` is `host:port`, or several, separated by commas. Secrets are files, read anew for every connection, so
    that they may be renewed while we run: `password_file`, `token_file` (an OAuth bearer token, kept fresh by somebody
    else), `key_file`. `cert_file` and `key_file` make TLS mutual. Without `ca_file` the system's authorities count.
    """

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password_file: Path | None = None
    token_file: Path | None = None
    topic: str = BATCHES_TOPIC
    client_id: str = "flopledger"
    connect_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.servers:
            raise KafkaSettingsError("bootstrap: no broker is named")
        if self.security_protocol not in SECURITY_PROTOCOLS:
            raise KafkaSettingsError(
                f"security_protocol: {self.security_protocol!r} is none of {', '.join(SECURITY_PROTOCOLS)}"
            )
        self._check_tls()
        self._check_sasl()

    @property
    def servers(self) -> list[str]:
        """Each host:port of `bootstrap`."""
        return [server.strip() for server in self.bootstrap.split(",") if server.strip()]

    @property
    def encrypted(self) -> bool:
        """Whether the connection is under TLS."""
        return self.security_protocol in {"SSL", "SASL_SSL"}

    @property
    def authenticates(self) -> bool:
        """Whether we say who we are by SASL."""
        return self.security_protocol in {"SASL_PLAINTEXT", "SASL_SSL"}

    def client_kwargs(self) -> dict[str, Any]:
        """The arguments that every kafka-python client takes. Reads the files: raises `KafkaSettingsError`."""
        kwargs: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
            "bootstrap_timeout_ms": round(self.connect_timeout_s * 1000),
        }
        if self.encrypted:
            kwargs["ssl_context"] = self._ssl_context()
        if self.authenticates:
            kwargs["sasl_mechanism"] = self.sasl_mechanism
            if self.token_file is not None:
                kwargs["sasl_oauth_token_provider"] = _token_provider(self.token_file)
            if self.password_file is not None:
                kwargs["sasl_plain_username"] = self.username
                kwargs["sasl_plain_password"] = _secret(self.password_file, "password_file")
        return kwargs

    def _check_tls(self) -> None:
        for name in ("ca_file", "cert_file", "key_file"):
            if getattr(self, name) is not None and not self.encrypted:
                raise KafkaSettingsError(f"{name}: of no use with security_protocol {self.security_protocol}")
        if (self.cert_file is None) != (self.key_file is None):
            raise KafkaSettingsError("cert_file and key_file go together")

    def _check_sasl(self) -> None:
        if not self.authenticates:
            if self.sasl_mechanism is not None:
                raise KafkaSettingsError(f"sasl_mechanism: of no use with security_protocol {self.security_protocol}")
            return
        if self.sasl_mechanism not in SASL_MECHANISMS:
            raise KafkaSettingsError(f"sasl_mechanism: {self.sasl_mechanism!r} is none of {', '.join(SASL_MECHANISMS)}")
        if self.sasl_mechanism == "OAUTHBEARER":
            if self.token_file is None:
                raise KafkaSettingsError("token_file: OAUTHBEARER needs one")
        elif self.username is None or self.password_file is None:
            raise KafkaSettingsError(f"username and password_file: {self.sasl_mechanism} needs both")

    def _ssl_context(self) -> ssl.SSLContext:
        # Built and read here: kafka-python would only log what is wrong with a file, and time out.
        authorities = None if self.ca_file is None else _read(self.ca_file, "ca_file")
        try:
            context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cadata=authorities)
        except ssl.SSLError as error:
            raise KafkaSettingsError(f"{self.ca_file} holds no PEM certificates: {error}") from error
        if self.cert_file is not None and self.key_file is not None:
            pem = _read(self.cert_file, "cert_file"), _read(self.key_file, "key_file")
            try:
                context.load_cert_chain(self.cert_file, self.key_file)
                until = x509.load_pem_x509_certificate(pem[0].encode()).not_valid_after_utc
            except (ssl.SSLError, ValueError) as error:
                raise KafkaSettingsError(f"{self.cert_file} and {self.key_file} are no PEM pair: {error}") from error
            # Brokers would refuse it and not say why.
            if until < datetime.now(UTC):
                raise KafkaSettingsError(f"our certificate {self.cert_file} expired on {until:%Y-%m-%d}: renew it")
        return context


def missing_packages() -> str | None:
    """Which packages Kafka needs and this installation lacks, as a sentence; None when nothing is missing."""
    absent = [package for module, package in _REQUIRED.items() if importlib.util.find_spec(module) is None]
    if not absent:
        return None
    return f"Kafka needs {' and '.join(absent)}: pip install 'kafka-python[crc32c,zstd]'"


class _TokenFile:
    """What kafka-python asks for a bearer token. The file is read for every login: somebody else renews it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def token(self) -> str:
        return _secret(self._path, "token_file")

    def extensions(self) -> dict[str, str]:
        return {}


def _token_provider(path: Path) -> _TokenFile:
    from kafka.net.sasl.oauth import AbstractTokenProvider  # noqa: PLC0415

    AbstractTokenProvider.register(_TokenFile)
    provider = _TokenFile(path)
    provider.token()
    return provider


def _secret(path: Path, what: str) -> str:
    secret = _read(path, what).strip()
    if not secret:
        raise KafkaSettingsError(f"{what}: {path} is empty")
    return secret


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise KafkaSettingsError(f"{what}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise KafkaSettingsError(f"{what}: {path} cannot be read: {error}") from error
