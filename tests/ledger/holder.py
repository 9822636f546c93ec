"""Real processes that hold a ledger."""

from __future__ import annotations

import os
import re
import subprocess
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING

from ledger.access import SOCKET, Remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATIENCE_S = 60


def environ(directory: Path, **changes: str) -> dict[str, str]:
    """What `flopledger up` needs to play a scenario, which begins now, into `directory`/data."""
    shipped = files("agent.devices.simulated") / "scenarios" / "small.toml"
    scenario = directory / "scenario.toml"
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    scenario.write_text(re.sub(r"(?m)^start = .*$", f"start = {now}", shipped.read_text()))
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("FLOPLEDGER_")},
        "HOME": str(directory),
        "FLOPLEDGER_DATA_DIR": str(directory / "data"),
        "FLOPLEDGER_BACKENDS": '["simulated"]',
        "FLOPLEDGER_SCENARIO": str(scenario),
        "FLOPLEDGER_SAMPLE_EVERY_S": "0.2",
        "FLOPLEDGER_SEAL_EVERY_S": "0.5",
        "FLOPLEDGER_OTLP_PORT": "0",
        "FLOPLEDGER_GATEWAY_PORT": "0",
        "FLOPLEDGER_WEB_PORT": "0",
        **changes,
    }


@contextmanager
def holding(
    data_dir: Path, command: list[str], environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the ledger in `data_dir`, once it answers on its socket; killed at the end."""
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    remote = Remote(data_dir / SOCKET)
    deadline = time.monotonic() + PATIENCE_S
    try:
        while not remote.answers():
            assert process.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.05)
        yield process
    finally:
        remote.close()
        process.kill()
        process.communicate()
