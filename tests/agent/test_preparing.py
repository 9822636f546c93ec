"""A node made ready by root with one capability, for an agent without any."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ROOT = os.geteuid() == 0
OWNER = 65532 if ROOT else os.geteuid()
"""Only root can give something away; anybody can keep it."""


def prepare(directory: Path, owner: int, *, capabilities: str = "+chown") -> subprocess.CompletedProcess[str]:
    """As the chart's init container runs: a user of 0, and nothing beside."""
    settings = directory / "flopledger.toml"
    settings.write_text(
        f'data_dir = "{directory}/data"\nregistration_dir = "{directory}/runs"\nnode = "gpu-0"\n', encoding="utf-8"
    )
    bound = ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set=-all,{capabilities}".rstrip(",")]
    bound = bound if ROOT else []
    return subprocess.run(
        [*bound, sys.executable, "-m", "flopledger", "agent", "prepare", "--owner", str(owner)],
        env={**os.environ, "FLOPLEDGER_CONFIG": str(settings)},
        capture_output=True,
        text=True,
        check=False,
    )


def owners(folder: Path) -> set[tuple[int, str]]:
    return {(path.stat().st_uid, stat.filemode(path.stat().st_mode)) for path in (folder, *folder.iterdir())}


def test_folder_and_key_become_the_agents_own_and_stay_when_its_user_changes(tmp_path: Path) -> None:
    first = prepare(tmp_path, OWNER)
    key, node = first.stdout.split()
    assert (len(key), node) == (43, "gpu-0")
    assert owners(tmp_path / "data") == {(OWNER, "drwx------"), (OWNER, "-rw-------")}
    assert stat.filemode((tmp_path / "runs").stat().st_mode) == "drwxrwxrwt"
    for owner in (os.geteuid(), OWNER):
        assert prepare(tmp_path, owner).stdout == first.stdout
        assert {uid for uid, _ in owners(tmp_path / "data")} == {owner}


def test_without_the_capability_it_says_what_to_do_by_hand(tmp_path: Path) -> None:
    refused = prepare(tmp_path, OWNER + 1, capabilities="")
    assert refused.returncode == 2
    assert f"install -d -o {OWNER + 1} -m 0700 {tmp_path}/data" in refused.stderr
