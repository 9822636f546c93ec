"""The migration job's own commands, with the settings it is given: the message says which value to look at."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from flopledger import _root
from tests.helm.charts import DEFAULT, containers, of_kind, pods
from wire.keys import load_or_create_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOBODY = "127.0.0.1:1"


class Old(BaseHTTPRequestHandler):
    """A ClickHouse that says its version."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"24.8.4.13\n")

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def old_server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Old) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def job(step: str, place: Path, clickhouse: str, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Exit code and last words of a container of the job, which `kubectl describe` shows."""
    (config,) = (each for each in of_kind(DEFAULT, "ConfigMap") if each["metadata"]["name"] == "flopledger-migrate")
    load_or_create_key(place / "ledger.key")
    settings = config["data"]["flopledger.toml"]
    for said, here in (
        ("kafka-bootstrap.kafka:9092", NOBODY),
        ("clickhouse.clickhouse:8123", clickhouse),
        ("/etc/flopledger/secrets/ledger", str(place)),
        ("/var/lib/flopledger", str(place)),
    ):
        assert said in settings
        settings = settings.replace(said, here)
    file = place / "flopledger.toml"
    file.write_text(settings, encoding="utf-8")
    (container,) = (each for each in containers(pods(DEFAULT)["Job/flopledger-migrate"]) if each["name"] == step)
    for variable in [name for name in os.environ if name.startswith("FLOPLEDGER_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("FLOPLEDGER_CONFIG", str(file))
    arguments = [str(argument) for argument in container["args"]]
    ended = CliRunner().invoke(_root(arguments), arguments)
    # What `main` makes of an error: its sentence, and the exit code that it brings.
    return getattr(ended.exception, "exit_code", ended.exit_code), f"{ended.output}{ended.exception}"


def test_a_server_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = job("migrate", tmp_path, NOBODY, monkeypatch)
    assert code == 3
    assert f"the ClickHouse server http://{NOBODY} does not answer" in said
    assert "the chart's clickhouse.url" in said


def test_a_server_that_is_too_old(tmp_path: Path, old_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = job("migrate", tmp_path, old_server, monkeypatch)
    assert code == 2
    assert "runs ClickHouse 24.8.4.13, which is too old: 25.8 or newer is needed" in said
    assert "the chart's clickhouse.url" in said


def test_brokers_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = job("check", tmp_path, NOBODY, monkeypatch)
    assert code == 3
    assert f'broker,False,"{NOBODY} cannot be reached' in said or f"broker,False,{NOBODY} cannot be reached" in said
    assert "the chart's kafka.bootstrap" in said
