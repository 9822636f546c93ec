"""What checkov finds in rendered manifests. It lives in an environment of its own: it brings two hundred packages."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "checkov.txt"
SKIPS = HERE / "checkov_skips.yaml"
PLACE = HERE.parents[1] / ".cache" / "checkov"


@dataclass(frozen=True, slots=True)
class Scan:
    """How many checks passed, and those that failed: (check, what it asks, resource)."""

    passed: int
    failed: tuple[tuple[str, str, str], ...]

    @property
    def checks(self) -> dict[str, str]:
        """What failed at least once, by its number."""
        return {check: what for check, what, _ in self.failed}


def reasons() -> dict[str, str]:
    """Why a check that fails by default may fail."""
    found: dict[str, str] = yaml.safe_load(SKIPS.read_text(encoding="utf-8"))
    return found


def scan(rendered: Mapping[str, str], place: Path) -> Scan:
    """Write the manifests below `place` and let checkov look at them, offline."""
    for name, text in rendered.items():
        if name.endswith((".yaml", ".yml")):
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    command = [environment() / "bin" / "checkov", "--directory", place, "--framework", "kubernetes", "--output", "json"]
    answer = subprocess.run(
        [*command, "--skip-download", "--quiet", "--soft-fail"],
        env={**os.environ, "LOG_LEVEL": "ERROR"},
        capture_output=True,
        text=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(answer.stdout)
    failed = {(each["check_id"], each["check_name"], each["resource"]) for each in said["results"]["failed_checks"]}
    return Scan(said["summary"]["passed"], tuple(sorted(failed)))


def environment() -> Path:
    """Checkov's own environment, from its pinned requirements, made once."""
    mark = PLACE / "installed.txt"
    if mark.exists() and mark.read_bytes() == REQUIREMENTS.read_bytes():
        return PLACE
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "uv"
    shutil.rmtree(PLACE, ignore_errors=True)
    python = PLACE / "bin" / "python"
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(PLACE)], check=True)
    subprocess.run(
        [uv, "pip", "sync", "-q", "--python", str(python), "--require-hashes", str(REQUIREMENTS)], check=True
    )
    shutil.copy(REQUIREMENTS, mark)
    return PLACE
