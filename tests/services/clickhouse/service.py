"""`tests.services.clickhouse.server` as a process that tests start, reach and kill; or a real server in its place."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx

from tests.services.ports import HOST, free_ports

if TYPE_CHECKING:
    from types import TracebackType

    from tests.services.kafka.certificates import Certificate

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 60


class GivenClickHouse:
    """A server that somebody else runs; `url` ends with its port."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def make_database(self, name: str) -> str:
        """An empty database, and the URL that leads there."""
        for statement in (f"DROP DATABASE IF EXISTS {name} SYNC", f"CREATE DATABASE {name}"):
            httpx.post(self.url, content=statement, timeout=60).raise_for_status()
        return f"{self.url}/{name}"


class ClickHouseService(GivenClickHouse):
    """Our own, on `directory`; the port stays the same over all its lives. `login` is user:password."""

    def __init__(self, directory: Path, login: str | None = None, certificate: Certificate | None = None) -> None:
        (port,) = free_ports(1)
        super().__init__(f"{'http' if certificate is None else 'https'}://{HOST}:{port}")
        self._command = [sys.executable, "-m", "tests.services.clickhouse.server", str(directory), str(port)]
        if login is not None:
            self._command += ["--login", login]
        if certificate is not None:
            self._command += ["--cert", str(certificate.cert), "--key", str(certificate.key)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(self._command, cwd=ROOT)
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the ClickHouse service for tests did not come up")
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def inject(self, *faults: dict[str, Any]) -> None:
        """What the next inserts meet: see `tests.services.clickhouse.server`."""
        httpx.post(f"{self.url}/faults", json=faults).raise_for_status()

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/ping", verify=False).is_success
        except httpx.TransportError:
            return False
