"""Who may import whom: the arrows of the design, read from the source and seen in a fresh interpreter."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]

MAY_IMPORT: dict[str, set[str]] = {
    "wire": set(),
    "compute": set(),
    "cli": {"wire", "compute"},
    "agent": {"wire", "compute", "cli"},
    "ledger": {"wire", "compute", "cli"},
    "collector": {"wire", "ledger", "cli"},
    "standalone": {"wire", "compute", "cli", "agent", "ledger", "collector"},
    "flopledger": {"wire", "compute", "cli", "agent", "ledger", "collector", "standalone"},
}
OURS = {*MAY_IMPORT, "tests", "bench"}
HEAVY = {"chdb", "clickhouse_connect", "pyarrow", "pandas", "numpy"}


def files_of(package: str) -> list[Path]:
    single = ROOT / f"{package}.py"
    return [single] if single.exists() else sorted((ROOT / package).rglob("*.py"))


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of every import, also those inside functions and those for types only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "." * node.level + (node.module or "")


def crossings(package: str) -> list[str]:
    """Imports that no arrow allows; relative ones too, since they hide where they lead."""
    allowed = MAY_IMPORT[package] | {package}
    return [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in files_of(package)
        for line, name in imported(path.read_text(encoding="utf-8"))
        if name.startswith(".") or (name.partition(".")[0] in OURS and name.partition(".")[0] not in allowed)
    ]


@pytest.mark.parametrize("package", sorted(MAY_IMPORT))
def test_imports_follow_the_arrows(package: str) -> None:
    assert files_of(package)
    assert crossings(package) == []


def test_every_package_has_its_arrows() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages | {"flopledger"} == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import ledger.store", [(1, "ledger.store")]),
        ("from ledger import store", [(1, "ledger")]),
        ("def late() -> None:\n    import ledger", [(2, "ledger")]),
        ("if TYPE_CHECKING:\n    from ledger.store import Store", [(2, "ledger.store")]),
        ("from ..ledger import store", [(1, "..ledger")]),
        ("import_ledger = 'import ledger'", []),
    ],
)
def test_no_way_of_importing_goes_unseen(source: str, found: list[tuple[int, str]]) -> None:
    assert list(imported(source)) == found


LOADING = """
import json, sys
from importlib import import_module
for module in sys.argv[1:]:
    import_module(module)
print(json.dumps(sorted(sys.modules)))
"""


def loaded_by(*modules: str) -> set[str]:
    """Names of all packages that a fresh interpreter holds after importing these."""
    command = [sys.executable, "-W", "ignore", "-c", LOADING, *modules]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in json.loads(done.stdout)}


@pytest.mark.parametrize("module", ["agent.main", "agent.assembly"])
def test_an_agent_loads_no_database_and_no_column_library(module: str) -> None:
    loaded = loaded_by(module)
    assert "agent" in loaded
    assert loaded & (HEAVY | OURS - MAY_IMPORT["agent"] - {"agent"}) == set()


def test_nor_does_anything_that_it_may_load_later() -> None:
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files_of("agent")]
    loaded = loaded_by(*(module.removesuffix(".__init__") for module in modules))
    assert loaded & (HEAVY | OURS - MAY_IMPORT["agent"] - {"agent"}) == set()
