"""Debian's Prometheus over samples that a test wrote, as a pytest fixture."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GET_PROMETHEUS = "sh scripts/services.sh prometheus"
PATIENCE_S = 60


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Starts a Prometheus that holds these OpenMetrics samples, and returns its URL."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        if os.environ.get("CI"):
            pytest.fail(f"no Prometheus to test with, and this is CI: {GET_PROMETHEUS}")
        pytest.skip(f"NOT TESTED against a real Prometheus: get one with `sudo {GET_PROMETHEUS}`")
    started: list[subprocess.Popen[bytes]] = []

    def start(samples: str) -> str:
        process, url = _started(tmp_path_factory.mktemp("prometheus"), samples)
        started.append(process)
        return url

    yield start
    for process in started:
        process.kill()
        process.wait()


def _started(directory: Path, samples: str) -> tuple[subprocess.Popen[bytes], str]:
    text, blocks, config = directory / "samples.txt", directory / "blocks", directory / "prometheus.yml"
    text.write_text(f"{samples}# EOF\n", encoding="utf-8")
    config.write_text("global: {}\n", encoding="utf-8")
    blocks.mkdir()
    create = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(blocks)]
    subprocess.run(create, check=True, capture_output=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={blocks}",
        "--storage.tsdb.retention.time=50y",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    process = subprocess.Popen(["prometheus", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_S
    while not _ready(address):
        assert process.poll() is None, "Prometheus ended by itself"
        assert time.monotonic() < deadline, "Prometheus does not get ready"
        time.sleep(0.05)
    return process, f"http://{address}"


def _ready(address: str) -> bool:
    try:
        return httpx.get(f"http://{address}/-/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
