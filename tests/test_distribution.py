"""What is installed where: a GPU node gets no database, and the wheel holds its data."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

DATABASE = {"chdb", "chdb-core", "clickhouse-connect", "pyarrow", "pandas", "numpy"}


def installed_by(name: str, extra: str) -> set[str]:
    """Everything that `name[extra]` brings, by the metadata of what is installed here."""
    found: set[str] = set()
    waiting = [(name, frozenset({extra}))]
    while waiting:
        package, extras = waiting.pop()
        for line in requires(package) or []:
            needed = Requirement(line)
            wanted = needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras | {""})
            if wanted and needed.name not in found:
                found.add(needed.name)
                waiting.append((needed.name, frozenset(needed.extras)))
    return found


def test_the_agent_extra_brings_no_database_and_no_column_library() -> None:
    brought = installed_by("flopledger", "agent")
    assert {"nvidia-ml-py", "psutil", "opentelemetry-sdk", "kafka-python"} <= brought
    assert brought & DATABASE == set()


def test_the_collector_extra_does_bring_the_database() -> None:
    assert {"chdb", "clickhouse-connect", "pyarrow"} <= installed_by("flopledger", "collector")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(target)]
    subprocess.run(build, check=True, capture_output=True, cwd=Path(__file__).parent.parent)
    return next(target.glob("*.whl"))


def test_the_wheel_holds_every_package_with_its_data_and_nothing_of_the_tests(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "flopledger.py",
        "compute/data/accelerators.csv",
        "ledger/migrations/0001_evidence.sql",
        "ledger/catalogue/eu.toml",
        "ledger/report/templates/report.html",
        "agent/devices/simulated/scenarios/llama-3.1-405b.toml",
        "standalone/training_loop.py",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "bench/", "scripts/"))]
