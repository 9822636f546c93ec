"""The steps of both images, without a container engine: what is installed, how large it is, that it runs confined."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.images import containerfile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.images.containerfile import Containerfile

ROOT = Path(__file__).parents[2]
PARTS = ("agent", "collector")
USER = 65532
AGENT_MB = 110
DATABASE_CLIENTS = ("chdb", "clickhouse", "pyarrow", "pandas", "numpy", "sqlglot")
COMPILERS = ("gcc", "build-essential", "apt-get", "g++")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def contents(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """What the build stages leave for the last ones, by the script that they run."""
    made = {part: tmp_path_factory.mktemp("images") / part for part in PARTS}
    for part, folder in made.items():
        command = ["sh", "images/install.sh", part, str(folder)]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHON": sys.executable}, check=True)
    return made


def described(part: str) -> Containerfile:
    return containerfile.read(ROOT / "images" / part / "Containerfile")


@pytest.fixture
def run(contents: Mapping[str, Path], tmp_path: Path) -> Run:
    """Runs a command of an image as a container of it would."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(
            "only root can make a root of its own: sudo .venv/bin/pytest tests/images"
        )
    (tmp_path / "root").mkdir()
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, USER, USER)

    def confined(part: str, *arguments: str, code: str | None = None) -> subprocess.CompletedProcess[str]:
        image = described(part)
        specification = {
            "root": str(tmp_path / "root"),
            "content": str(contents[part]),
            "data": str(data),
            "scratch": part == "collector",
            "user": image.user,
            "working_directory": image.working_directory,
            "environ": dict(image.environ),
            "command": [*image.entry_point, *arguments] if code is None else ["python3", "-c", code],
        }
        command = ["unshare", "--mount", sys.executable, str(Path(__file__).with_name("confined.py"))]
        return subprocess.run([*command, json.dumps(specification)], capture_output=True, text=True, check=False)

    return confined


def rows(answer: subprocess.CompletedProcess[str], noun: str) -> list[dict[str, Any]]:
    assert answer.stdout, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)[noun]
    return found


def test_the_agent_lists_devices_in_a_read_only_root_as_nobody(run: Run) -> None:
    answer = run("agent", "agent", "devices", "--format", "json")
    assert answer.returncode == 0, answer.stderr
    assert [row["method"] for row in rows(answer, "devices")] == ["cpu-time"]
    (notice,) = json.loads(answer.stdout)["notices"]
    assert notice.startswith("no NVIDIA driver: libnvidia-ml.so.1 not found; install it")


def test_the_collector_checks_itself_and_opens_a_ledger_in_a_read_only_root_as_nobody(run: Run) -> None:
    answer = run("collector", "collector", "run", "--check", "--format", "json")
    assert answer.returncode == 2, answer.stderr
    checked = {row["what"]: row for row in rows(answer, "checks")}
    assert not checked["outbox"]["ok"]
    assert "start `flopledger agent run`" in checked["outbox"]["detail"]
    assert checked["ledger"]["ok"]
    answer = run("collector", "ledger", "sql", "SELECT count() AS batches FROM batches", "--format", "json")
    assert rows(answer, "rows") == [{"batches": 0}]


def test_the_collectors_image_has_what_every_command_needs(run: Run) -> None:
    code = "import flopledger; print(*(flopledger._load(where).__class__ for where, _ in flopledger.COMMANDS.values()))"
    answer = run("collector", code=code)
    assert answer.returncode == 0, answer.stderr[-2_000:]


@pytest.mark.parametrize("part", PARTS)
def test_nothing_can_be_written_and_nobody_can_become_root(run: Run, part: str) -> None:
    code = """
import os, pathlib, flopledger
said = {"uid": os.getuid(), "groups": os.getgroups(), "programs": sorted(os.listdir("/usr/bin"))}
for name in ("/opt/flopledger/lib/flopledger.py", "/etc/passwd", "/new", "/usr/bin/new", "/var/lib/flopledger/new"):
    try:
        pathlib.Path(name).write_text("")
        said[name] = "written"
    except OSError as error:
        said[name] = error.strerror
status = pathlib.Path("/proc/self/status").read_text()
said["capabilities"] = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff")]
said["no new privileges"] = "NoNewPrivs:\\t1" in status
print(__import__("json").dumps(said))
"""
    answer = run(part, code=code)
    assert answer.returncode == 0, answer.stderr
    said = json.loads(answer.stdout)
    assert said["uid"] == USER
    assert said["groups"] == []
    assert all(name.startswith("python3") for name in said["programs"])
    assert int(said["capabilities"][0], 16) == 0
    assert said["no new privileges"]
    assert said["/var/lib/flopledger/new"] == "written"
    for name in ("/opt/flopledger/lib/flopledger.py", "/etc/passwd", "/new", "/usr/bin/new"):
        assert said[name] in ("Read-only file system", "Permission denied")


def test_the_agents_content_is_small_and_holds_no_database_client(contents: Mapping[str, Path]) -> None:
    lib = contents["agent"] / "lib"
    compiled = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash", str(lib)]
    subprocess.run(compiled, check=True)
    size_bytes = sum(path.stat().st_size for path in contents["agent"].rglob("*") if path.is_file())
    print(f"the agent's installed content: {size_bytes / 1e6:.1f} MB, bytecode included")
    assert size_bytes <= AGENT_MB * 1_000_000
    installed = {found.name.lower() for found in distributions(path=[str(lib)])}
    assert {"flopledger", "kafka-python", "nvidia-ml-py"} <= installed
    assert not [name for name in installed if name.startswith(DATABASE_CLIENTS)]


@pytest.mark.parametrize("part", PARTS)
def test_the_bill_of_materials_names_what_is_installed(contents: Mapping[str, Path], part: str) -> None:
    bill = json.loads((contents[part] / "sbom.cdx.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    assert bill["metadata"]["component"]["name"] == "flopledger"
    installed = {(found.name, found.version) for found in distributions(path=[str(contents[part] / "lib")])}
    named = {(component["name"], component["version"]) for component in bill["components"]}
    assert named == {(name, version) for name, version in installed if name != "flopledger"}


@pytest.mark.parametrize("part", PARTS)
def test_what_is_installed_is_what_the_suite_is_run_with(contents: Mapping[str, Path], part: str) -> None:
    tested = {found.name.lower(): found.version for found in distributions()}
    for found in distributions(path=[str(contents[part] / "lib")]):
        assert tested[found.name.lower()] == found.version, f"make lock: {found.name}"


@pytest.mark.parametrize("part", PARTS)
def test_the_containerfile_says_what_a_cluster_can_check(part: str) -> None:
    image = described(part)
    assert all(re.search(r"@sha256:[0-9a-f]{64}$", base) for base in image.bases)
    assert len(image.bases) == 2
    assert image.user == (USER, USER)
    assert image.entry_point == ("flopledger",)
    assert image.command == (part, "run")
    assert image.environ["FLOPLEDGER_DATA_DIR"] == image.working_directory == "/var/lib/flopledger"
    assert any(f"sh images/install.sh {part} /opt/flopledger" in step for step in image.steps)
    assert not [step for step in image.steps if any(word in step for word in COMPILERS)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {"title", "description", "licenses", "source", "version", "revision"}
    assert {name.removeprefix("org.opencontainers.image.") for name in image.labels} == wanted
    text = (ROOT / "images" / part / "Containerfile").read_text()
    assert f"ARG VERSION={project['version']}\n" in text


def test_the_build_says_what_it_lacks_where_no_engine_answers(tmp_path: Path) -> None:
    for name in ("sh", "dirname", "sed", "git"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name in ("podman", "docker"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    command = [str(shutil.which("sh")), "images/build.sh"]
    answer = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert answer.returncode == 3
    assert "No container engine answers: install podman, or start docker." in answer.stderr
