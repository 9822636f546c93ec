"""The units, by systemd's own checks; and the settings beside them, by our own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.settings import load

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))
PROGRAM = "/opt/flopledger/bin/flopledger"
GET = "sh scripts/services.sh tools"
EXPOSURE = {"flopledger-agent": 3.0, "flopledger-collector": 2.0}
"""By systemd's own measure: 0 is nothing at all, 9.6 a unit that says nothing."""


@pytest.fixture
def analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"systemd-analyze is missing: {GET}")
        pytest.skip(f"systemd-analyze is missing. Run: {GET}")
    return found


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.stem)
def test_systemd_finds_nothing_wrong_with_a_unit(analyze: str, service: Path, tmp_path: Path) -> None:
    # The program is not installed here: any that is stands for it.
    unit = tmp_path / service.name
    text = service.read_text(encoding="utf-8")
    assert PROGRAM in text
    unit.write_text(text.replace(PROGRAM, sys.executable))
    answer = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    said = [line for line in answer.stderr.splitlines() if service.name in line]
    assert (answer.returncode, said) == (0, [])


def test_systemd_would_find_something_wrong(analyze: str, tmp_path: Path) -> None:
    unit = tmp_path / "flopledger-agent.service"
    text = SERVICES[0].read_text(encoding="utf-8").replace(PROGRAM, sys.executable)
    unit.write_text(text.replace("ProtectClock=yes", "ProtectClock=perhaps"))
    answer = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    assert "perhaps" in answer.stderr


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: path.stem)
def test_a_unit_exposes_little(analyze: str, service: Path) -> None:
    command = [analyze, "security", "--offline=yes", "--no-pager", str(service)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", answer.stdout)
    assert found is not None, answer.stderr
    assert float(found[1]) <= EXPOSURE[service.stem]


@pytest.mark.parametrize("name", ["agent", "collector"])
def test_the_settings_beside_them_are_settings(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = UNITS / f"{name}.toml"
    monkeypatch.setenv("FLOPLEDGER_CONFIG", str(path))
    settings = load()
    assert settings.kafka_security == "SASL_SSL"
    assert settings.data_dir == Path("/var/lib/flopledger")
    unit = (UNITS / f"flopledger-{name}.service").read_text(encoding="utf-8")
    assert f"FLOPLEDGER_CONFIG=/etc/flopledger/{name}.toml" in unit
    assert f"ExecStart={PROGRAM} {name} run\n" in unit
