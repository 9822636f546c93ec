"""The front door: `flopledger` and what it says when something is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import typer

import flopledger
from cli.exits import BUG, MISUSED, UNREACHABLE, Unreachable
from wire.batch import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

HEAVY = {"chdb", "clickhouse_connect", "pyarrow", "pandas", "numpy", "sqlglot", "kafka"}


class Said(NamedTuple):
    """What a command printed, and the code it ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`flopledger …` in this process, with a data directory of its own."""
    for name in os.environ:
        if name.startswith("FLOPLEDGER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(tmp_path / "data"))

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["flopledger", *arguments])
        with pytest.raises(SystemExit) as ended:
            flopledger.main()
        printed = capsys.readouterr()
        return Said(int(ended.value.code or 0), printed.out, printed.err)

    return run


def tree(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def commands() -> Iterator[tuple[str, Any]]:
    """Every command and subcommand, by what one types."""
    for name in flopledger.COMMANDS:
        root: Any = typer.main.get_command(flopledger._root([name]))
        yield from _below(name, root.commands[name])


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from _below(f"{name} {part}", inner)


def test_help_lists_every_command_with_what_it_does(run: Callable[..., Said]) -> None:
    said = run("--help")
    assert said.code == 0
    lines = [line.split(maxsplit=1) for line in said.out.splitlines()]
    listed = {line[0]: line[1] for line in lines if len(line) == 2}
    for name, (_, summary) in flopledger.COMMANDS.items():
        assert listed[name][:20] == summary[:20]


def test_without_a_command_it_shows_its_help(run: Callable[..., Said]) -> None:
    said = run()
    assert said.code == MISUSED
    assert "Usage: flopledger" in said.out + said.err


def test_every_command_and_subcommand_has_help() -> None:
    found = dict(commands())
    assert {
        "demo",
        "up",
        "simulate",
        "version",
        "agent run",
        "agent devices",
        "agent key",
        "collector run",
    } <= found.keys()
    assert {"ledger migrate", "ledger totals", "ledger sql", "ledger coverage", "ledger runs set"} <= found.keys()
    assert {"thresholds list", "thresholds assess"} <= found.keys()
    assert [name for name, command in found.items() if not command.get_short_help_str()] == []


def test_every_option_says_what_it_is_for() -> None:
    silent = [
        f"{name} --{parameter.name}"
        for name, command in commands()
        for parameter in command.params
        if parameter.param_type_name == "option" and not parameter.help
    ]
    assert silent == []


def test_help_of_a_subcommand_is_shown(run: Callable[..., Said]) -> None:
    said = run("ledger", "runs", "set", "--help")
    assert said.code == 0
    assert "--planned-flop" in said.out


@pytest.mark.parametrize(
    "arguments",
    [
        ("ledgre",),
        ("ledger", "total"),
        ("ledger", "totals", "--formt", "json"),
        ("ledger", "totals", "--format", "xml"),
    ],
)
def test_a_command_that_does_not_exist_is_misuse(run: Callable[..., Said], arguments: tuple[str, ...]) -> None:
    said = run(*arguments)
    assert said.code == MISUSED
    assert "Traceback" not in said.err
    assert said.out == ""


def test_version_says_what_matters_for_the_record(run: Callable[..., Said]) -> None:
    said = run("version", "--format", "json")
    assert said.code == 0
    versions = json.loads(said.out)
    assert versions["wire"] == SCHEMA
    assert versions.keys() == {"flopledger", "wire", "flop_table"}
    assert run("version").out.split() == [word for item in versions.items() for word in item]


def test_an_unexpected_error_is_our_own_and_asks_for_a_report(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("what nobody thought of")

    monkeypatch.setattr("standalone.commands.version", broken)
    said = run("version")
    assert said.code == BUG == 70
    assert "Traceback" in said.err
    assert "ZeroDivisionError: what nobody thought of" in said.err
    assert "this is our own mistake. Please report the lines above with: flopledger " in said.err.splitlines()[-1]


def test_an_expected_error_is_one_line_and_its_own_code(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise Unreachable("the broker does not answer")

    monkeypatch.setattr("standalone.commands.version", away)
    assert run("version") == Said(UNREACHABLE, "", "flopledger: the broker does not answer\n")


def test_a_package_that_is_not_installed_is_named(run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ledger.commands", raising=False)
    monkeypatch.setitem(sys.modules, "chdb", None)

    def no_database(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'chdb'", name="chdb")

    monkeypatch.setattr("importlib.import_module", no_database)
    said = run("ledger", "totals")
    assert said.code == MISUSED
    assert said.err.startswith("flopledger: chdb is not installed: this command needs 'flopledger[all]'")


def test_a_module_of_our_own_that_is_missing_is_a_bug(
    run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(flopledger.COMMANDS, "version", ("standalone.gone:version", "x"))
    assert run("version").code == BUG


def test_on_a_node_nothing_of_the_database_is_loaded(tmp_path: Path) -> None:
    script = """
import sys
import flopledger

for arguments in (["--help"], ["version"], ["agent", "key"], ["agent", "devices", "--format", "json"]):
    sys.argv = ["flopledger", *arguments]
    try:
        flopledger.main()
    except SystemExit as ended:
        assert not ended.code, arguments
print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}))
"""
    environment = {**os.environ, "FLOPLEDGER_DATA_DIR": str(tmp_path), "FLOPLEDGER_BACKENDS": '["cpu"]'}
    ended = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    loaded = set(ended.stdout.splitlines()[-1].split()[1:])
    assert {"agent", "psutil"} <= loaded
    assert loaded & HEAVY == set()


def test_the_name_of_a_node_is_made_once(run: Callable[..., Said]) -> None:
    first = run("agent", "key")
    assert first.code == 0
    assert len(first.out.strip()) == 43
    assert run("agent", "key") == first


EVERY_USER_OF_THE_DIRECTORY = [
    ("up",),
    ("simulate", "small"),
    ("agent", "key"),
    ("agent", "run"),
    ("collector", "run"),
    ("ledger", "migrate"),
    ("ledger", "totals"),
    ("ledger", "sql", "SELECT 1"),
    ("ledger", "runs", "set", "r"),
    ("thresholds", "assess"),
    ("alerts", "list"),
]


@pytest.mark.parametrize("arguments", EVERY_USER_OF_THE_DIRECTORY, ids=" ".join)
def test_a_data_directory_that_cannot_be_made_is_one_clear_line(
    run: Callable[..., Said], arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(tmp_path / "file" / "below"))
    before = tree(tmp_path)
    said = run(*arguments)
    assert (said.code, said.out, len(said.err.splitlines())) == (MISUSED, "", 1)
    assert str(tmp_path / "file" / "below") in said.err
    assert "FLOPLEDGER_DATA_DIR" in said.err
    assert tree(tmp_path) == before


LEDGER_USERS = [
    arguments for arguments in EVERY_USER_OF_THE_DIRECTORY if arguments[0] in {"ledger", "thresholds", "alerts"}
]


@pytest.mark.parametrize("arguments", [*LEDGER_USERS, ("simulate", "small")], ids=" ".join)
def test_a_ledger_directory_with_something_else_in_it_is_one_clear_line(
    run: Callable[..., Said], arguments: tuple[str, ...], tmp_path: Path
) -> None:
    garbage = tmp_path / "data" / "ledger" / "thesis.tex"
    garbage.parent.mkdir(parents=True)
    garbage.write_text("mine")
    said = run(*arguments)
    assert (said.code, said.out) == (MISUSED, "")
    assert said.err.splitlines()[-1].startswith(f"flopledger: {garbage.parent} holds files that are not a ledger's")
    assert {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()} == {"thesis.tex", "ledger.lock"}
    assert garbage.read_text() == "mine"


def test_a_wrong_setting_is_one_line_and_misuse(run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_OTLP_PORT", "http")
    for arguments in EVERY_USER_OF_THE_DIRECTORY:
        said = run(*arguments)
        assert (said.code, said.out, len(said.err.splitlines())) == (MISUSED, "", 1)
        assert said.err.startswith("flopledger: otlp_port (FLOPLEDGER_OTLP_PORT): ")
        assert said.err.endswith("; it is 'http'\n")


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("much", "--planned-flop 'much' is not a number such as 3.8e25"),
        ("nan", "--planned-flop 'nan' is not a number such as 3.8e25"),
        ("0.5", "--planned-flop '0.5' is not a whole number"),
        ("0", "a budget of 0 FLOP makes no sense: leave it out, or give what is planned"),
    ],
)
def test_a_budget_that_is_none_is_refused(run: Callable[..., Said], budget: str, said: str) -> None:
    assert run("ledger", "runs", "set", "r", "--planned-flop", budget) == Said(MISUSED, "", f"flopledger: {said}\n")


def test_a_scenario_that_does_not_exist_is_named(run: Callable[..., Said]) -> None:
    said = run("simulate", "nowhere.toml")
    assert said.code == MISUSED
    assert "nowhere.toml" in said.err
    assert "Traceback" not in said.err


def test_lines_in_law_can_be_listed_without_a_ledger(run: Callable[..., Said], tmp_path: Path) -> None:
    listed = json.loads(run("thresholds", "list", "--format", "json").out)["thresholds"]
    assert {line["id"]: line["amount_flop"] for line in listed}["eu-aia-51-2"] == str(10**25)
    rows = list(csv.DictReader(io.StringIO(run("thresholds", "list", "--format", "csv").out)))
    assert [row["id"] for row in rows] == [line["id"] for line in listed]
    assert not (tmp_path / "data").exists()
