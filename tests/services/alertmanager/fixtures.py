"""Debian's Alertmanager, alone and with nobody to tell, as a pytest fixture."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.services.ports import HOST, free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GET_ALERTMANAGER = "sh scripts/services.sh alertmanager"
PATIENCE_S = 60
CONFIG = "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n"


class Alertmanager:
    """One that tests may stop, and bring back with nothing in its memory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        (port,) = free_ports(1)
        self.url = f"http://{HOST}:{port}"
        self._address = f"{HOST}:{port}"
        self._lives = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._lives += 1
        config = self._directory / "alertmanager.yml"
        config.write_text(CONFIG, encoding="utf-8")
        options = [
            f"--config.file={config}",
            f"--storage.path={self._directory / str(self._lives)}",
            f"--web.listen-address={self._address}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
        self._process = subprocess.Popen(
            ["prometheus-alertmanager", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE_S
        while not self._ready():
            assert self._process.poll() is None, "Alertmanager ended by itself"
            assert time.monotonic() < deadline, "Alertmanager does not get ready"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def active(self) -> list[dict[str, Any]]:
        """What it holds to be going on, as its API says it."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/api/v2/alerts").raise_for_status().json()
        return found

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    if shutil.which("prometheus-alertmanager") is None:
        if os.environ.get("CI"):
            pytest.fail(f"no Alertmanager to test with, and this is CI: {GET_ALERTMANAGER}")
        pytest.skip(f"NOT TESTED against a real Alertmanager: get one with `sudo {GET_ALERTMANAGER}`")
    service = Alertmanager(tmp_path_factory.mktemp("alertmanager"))
    service.start()
    yield service
    service.stop()
