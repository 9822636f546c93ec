"""Where a ledger is: a data directory of this machine, or a ClickHouse server or cluster."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cli.exits import Misconfigured
from cli.settings import PREFIX

if TYPE_CHECKING:
    from cli.settings import Settings

KEY_FILE = "ledger.key"
_PORTS = {"http": 8123, "https": 8443}
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Server:
    """A server over HTTP, or with `cluster` any node of that cluster. `key_file` holds the ledger's own key; only a
    collector reads it.
    """

    scheme: str
    host: str
    port: int
    database: str
    key_file: Path
    user: str = "default"
    password_file: Path | None = None
    ca_file: Path | None = None
    cluster: str | None = None

    @property
    def url(self) -> str:
        """Without the database."""
        return f"{self.scheme}://{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.url}/{self.database}"


Place = Path | Server
"""A path is the data directory of an embedded ledger."""


def place(settings: Settings) -> Place:
    """Where these settings say the ledger is; raises `Misconfigured` for what does not go together."""
    return server_of(settings) or settings.data_dir


def server_of(settings: Settings) -> Server | None:
    """The server that these settings name."""
    if settings.clickhouse_url is None:
        stray = sorted(name for name in settings.model_fields_set if name.startswith("clickhouse_"))
        if stray:
            variables = ", ".join(PREFIX + name.upper() for name in stray)
            raise Misconfigured(f"{variables}: of no use without {PREFIX}CLICKHOUSE_URL")
        return None
    return server(
        settings.clickhouse_url,
        key_file=settings.ledger_key_file or settings.data_dir / KEY_FILE,
        user=settings.clickhouse_user,
        password_file=settings.clickhouse_password_file,
        ca_file=settings.clickhouse_ca_file,
        cluster=settings.clickhouse_cluster,
    )


def server(
    url: str,
    key_file: Path,
    user: str = "default",
    password_file: Path | None = None,
    ca_file: Path | None = None,
    cluster: str | None = None,
) -> Server:
    """The server behind `url`, which is http(s)://host:port/database."""
    setting = f"{PREFIX}CLICKHOUSE_URL {url!r}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Misconfigured(f"{setting}: {error}; write http(s)://host:port/database") from error
    if parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment:
        raise Misconfigured(f"{setting}: write http(s)://host:port/database")
    if parts.username is not None or parts.password is not None:
        raise Misconfigured(
            f"{PREFIX}CLICKHOUSE_URL holds a name or a password: put them into {PREFIX}CLICKHOUSE_USER and into the "
            f"file that {PREFIX}CLICKHOUSE_PASSWORD_FILE names"
        )
    database = parts.path.strip("/") or "default"
    if not _NAME.fullmatch(database):
        raise Misconfigured(f"{setting}: a database is called by a plain name")
    if cluster is not None and not _NAME.fullmatch(cluster):
        raise Misconfigured(f"{PREFIX}CLICKHOUSE_CLUSTER {cluster!r}: a cluster is called by a plain name")
    if ca_file is not None and parts.scheme == "http":
        raise Misconfigured(f"{PREFIX}CLICKHOUSE_CA_FILE: of no use with an http:// URL")
    return Server(
        parts.scheme,
        parts.hostname,
        port or _PORTS[parts.scheme],
        database,
        key_file,
        user,
        password_file,
        ca_file,
        cluster,
    )
