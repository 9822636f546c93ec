from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cli.exits import MISUSED, Misconfigured
from cli.settings import Settings, load


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No variable and no file of whoever runs the tests has a say."""
    for name in os.environ:
        if name.startswith("FLOPLEDGER_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(tmp_path))
    return tmp_path


def write(directory: Path, text: str, name: str = "flopledger.toml") -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    return path


def refused() -> str:
    with pytest.raises(Misconfigured) as caught:
        load()
    assert caught.value.exit_code == MISUSED == 2
    return str(caught.value)


WRONG = [
    ("cluster", ""),
    ("cluster", "c" * 513),
    ("node", ""),
    ("backends", "cpu"),
    ("backends", ""),
    ("backends", "[]"),
    ("backends", '["gpu"]'),
    ("backends", '["cpu", "gpu", "tpu"]'),
    ("scenario_node", "-1"),
    ("scenario_node", "first"),
    ("sample_every_s", "0"),
    ("sample_every_s", "61"),
    ("sample_every_s", "nan"),
    ("sample_every_s", "1s"),
    ("seal_every_s", "0"),
    ("seal_every_s", "inf"),
    ("outbox_max_bytes", "1"),
    ("outbox_max_bytes", "1e9"),
    ("otlp_port", "-1"),
    ("otlp_port", "65536"),
    ("otlp_port", "http"),
    ("metrics_port", "99999"),
    ("assess_every_s", "0"),
    ("assess_every_s", "3601"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_one_line_that_names_the_setting_and_the_value(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FLOPLEDGER_{name.upper()}", value)
    said = refused()
    assert said.startswith(f"{name} (FLOPLEDGER_{name.upper()}): ")
    assert "\n" not in said
    said_value = said.partition("; it is ")[2]
    assert said_value.strip("'") in value or said_value == "[]"


def test_every_mistake_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_OTLP_PORT", "http")
    monkeypatch.setenv("FLOPLEDGER_SEAL_EVERY_S", "-1")
    names = [line.partition(" ")[0] for line in refused().splitlines()]
    assert sorted(names) == ["otlp_port", "seal_every_s"]


def test_an_empty_data_dir_is_refused_and_never_the_directory_that_one_stands_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", "")
    assert refused().startswith("data_dir (FLOPLEDGER_DATA_DIR): ")


@pytest.mark.parametrize(
    ("variable", "hint"),
    [
        ("FLOPLEDGER_OTLP_PROT", "; did you mean FLOPLEDGER_OTLP_PORT?"),
        ("FLOPLEDGER_DATADIR", "; did you mean FLOPLEDGER_DATA_DIR?"),
        ("FLOPLEDGER_BACKEND", "; did you mean FLOPLEDGER_BACKENDS?"),
        ("FLOPLEDGER_CONFG", "; did you mean FLOPLEDGER_CONFIG?"),
        ("FLOPLEDGER_XYZZY", ""),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_one(
    variable: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "1")
    assert refused() == f"{variable} is not a setting{hint}"


@pytest.mark.parametrize("name", ["RUN_ID", "MODEL_ID", "PURPOSE", "DTYPE", "TEST_SOMETHING"])
def test_what_describes_a_run_is_no_setting_and_no_mistake(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FLOPLEDGER_{name}", "x")
    assert load().cluster == "local"


def test_without_anything_set_the_defaults_hold(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLOPLEDGER_DATA_DIR")
    found = load()
    assert found.data_dir == data_dir / "home" / ".local" / "share" / "flopledger"
    assert (found.cluster, found.otlp_host, found.otlp_port) == ("local", "127.0.0.1", 4319)


def test_the_file_in_the_data_directory_is_read(data_dir: Path) -> None:
    write(data_dir, 'cluster = "ours"\nbackends = ["simulated", "replay"]\nseal_every_s = 2.5\nscenario = "x.toml"\n')
    found = load()
    assert (found.cluster, found.backends, found.seal_every_s) == ("ours", ("simulated", "replay"), 2.5)
    assert found.scenario == Path("x.toml")


def test_the_environment_outranks_the_file(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(data_dir, 'cluster = "file"\nnode = "file"\notlp_port = "wrong"\n')
    monkeypatch.setenv("FLOPLEDGER_CLUSTER", "environment")
    monkeypatch.setenv("FLOPLEDGER_OTLP_PORT", "5000")
    found = load()
    assert (found.cluster, found.node, found.otlp_port) == ("environment", "file", 5000)


def test_what_a_command_says_outranks_both(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(data_dir, 'cluster = "file"\n')
    monkeypatch.setenv("FLOPLEDGER_CLUSTER", "environment")
    assert load({"cluster": "command"}).cluster == "command"


def test_a_file_of_another_name_is_read_instead(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(data_dir, 'cluster = "not this one"\n')
    monkeypatch.setenv("FLOPLEDGER_CONFIG", str(write(data_dir, 'cluster = "this one"\n', "other.toml")))
    assert load().cluster == "this one"


def test_a_named_file_that_does_not_exist_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = data_dir / "missing.toml"
    monkeypatch.setenv("FLOPLEDGER_CONFIG", str(missing))
    assert refused() == f"FLOPLEDGER_CONFIG names {missing}, which does not exist"


def test_a_named_file_that_is_a_directory_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_CONFIG", str(data_dir))
    assert refused() == f"{data_dir} cannot be read: Is a directory; name another with FLOPLEDGER_CONFIG"


def test_a_data_directory_below_a_file_is_refused(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    below = write(data_dir, "", "file") / "below"
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(below))
    said = refused()
    assert said == f"{below}/flopledger.toml cannot be read: Not a directory; name another with FLOPLEDGER_DATA_DIR"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster = ", "Invalid value (at end of document)"),
        ('clustre = "ours"', "clustre is not a setting; did you mean cluster?"),
        ("[agent]\nnode = 1", "agent is not a setting"),
        (
            "otlp_port = 70000",
            "otlp_port (FLOPLEDGER_OTLP_PORT): Input should be less than or equal to 65535; it is 70000",
        ),
        ('backends = "cpu"', "backends (FLOPLEDGER_BACKENDS): Input should be a valid tuple; it is 'cpu'"),
        ("cluster = 5", "cluster (FLOPLEDGER_CLUSTER): Input should be a valid string; it is 5"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(data_dir: Path, text: str, said: str) -> None:
    write(data_dir, text)
    assert refused().endswith(said)
    assert "\n" not in refused()


def test_a_file_that_is_no_text_is_named(data_dir: Path) -> None:
    (data_dir / "flopledger.toml").write_bytes(b'cluster = "\xff"')
    assert refused().startswith(f"{data_dir / 'flopledger.toml'}: 'utf-8' codec")


def test_every_setting_says_what_it_is() -> None:
    fields: dict[str, Any] = Settings.model_fields
    assert [name for name, field in fields.items() if not field.description] == []


def test_settings_cannot_be_changed_once_they_are_loaded() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load().cluster = "other"  # type: ignore[misc]
