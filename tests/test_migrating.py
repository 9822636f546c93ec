"""The commands of docs/migrating.md and docs/install.md are ones that work."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.exits import UNREACHABLE
from tests.services.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
INSTALL = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
SACCT = """#!/bin/sh
cat <<END
JobID|JobIDRaw|Cluster|State|Start|End|ElapsedRaw|AllocTRES
101|101|alpha|COMPLETED|2026-03-01T00:00:00|2026-03-03T00:00:00|172800|billing=8,cpu=96,gres/gpu:h100=64,gres/gpu=64,node=8
102|102|alpha|RUNNING|2026-03-04T00:00:00|Unknown|1000|cpu=96,gres/gpu:h100=8,gres/gpu=8,node=1
END
"""


def blocks(language: str) -> list[str]:
    return [
        re.sub(r"^  ", "", block, flags=re.MULTILINE) for block in re.findall(rf"```{language}\n(.*?)```", PAGE, re.S)
    ]


@pytest.fixture
def environ(tmp_path: Path) -> Mapping[str, str]:
    """With `flopledger`, and a `sacct` that knows two jobs, on the path."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "sacct": SACCT,
        "flopledger": f'#!/bin/sh\nexec {sys.executable} -m flopledger "$@"\n',
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "FLOPLEDGER_DATA_DIR": str(tmp_path / "data"),
    }


def shell(text: str, environ: Mapping[str, str], place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-euc", text], env=environ, cwd=place, capture_output=True, text=True, check=False)


def test_wandbs_folders_become_a_table_that_is_imported(environ: Mapping[str, str], tmp_path: Path) -> None:
    if shutil.which("jq") is None and not os.environ.get("CI"):
        pytest.skip("jq is missing. Run: sh scripts/services.sh tools")
    files = tmp_path / "wandb" / "run-20260301_120000-abc123" / "files"
    files.mkdir(parents=True)
    meta = {"gpu": "NVIDIA H100 80GB HBM3", "gpu_count": 8, "startedAt": "2026-03-01T12:00:00.000000Z"}
    (files / "wandb-metadata.json").write_text(json.dumps(meta))
    (files / "wandb-summary.json").write_text(json.dumps({"_wandb": {"runtime": 86_400}, "loss": 2.1}))
    (text,) = (block for block in blocks("bash") if "wandb" in block)
    answer = shell(text, environ, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "1 would be written" in answer.stderr
    with (tmp_path / "hours.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["run"], row["devices"], row["hours"]) == ("wandb:my-project/abc123", "8", "24")
    assert (row["start"], row["end"]) == ("2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z")


def test_slurms_accounts_are_imported(environ: Mapping[str, str], tmp_path: Path) -> None:
    (text,) = (block for block in blocks("bash") if "sacct" in block)
    answer = shell(text, environ, tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert "1 would be written" in answer.stderr
    assert "slurm:alpha:101" in answer.stdout


def test_prometheus_is_asked_with_options_that_exist(environ: Mapping[str, str], tmp_path: Path) -> None:
    (text,) = (block for block in blocks("") if "import prometheus" in block)
    (port,) = free_ports(1)
    answer = shell(text.replace("http://prometheus:9090", f"http://127.0.0.1:{port}"), environ, tmp_path)
    assert answer.returncode == UNREACHABLE, answer.stderr


def test_what_is_installed_by_hand_is_in_the_repository() -> None:
    named = set(re.findall(r"\b((?:deploy|requirements)/[\w./-]+\w)", INSTALL))
    assert len(named) >= 7
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
