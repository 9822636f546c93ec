from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured
from collector.commands import app
from collector.service import quarantine_in
from collector.sources.interface import Message
from ledger.errors import Refused
from tests.ledger.chains import Chain, meter

if TYPE_CHECKING:
    from pathlib import Path

KEY, OTHER = Chain(0).agent, Chain(1).agent


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(tmp_path))
    return tmp_path


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def ask(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--format", "json"))


def test_keys_are_approved_listed_revoked_and_their_batches_replayed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOPLEDGER_ENROLMENT", "approved")
    sealed = [Chain(0).seal(meter(5)), Chain(1).seal(meter(7))]
    for offset, item in enumerate(sealed):
        quarantine_in(data_dir).put(Message(item.body, tuple(item.headers()), "t", 0, offset), "unknown")
    told = run("agents", "approve", KEY, OTHER, KEY, "--node", "node-0")
    assert re.fullmatch(r"2 approved in journal entry \d+ to \d+\n", told)
    replayed = {row["offset"]: (row["outcome"], row["detail"]) for row in ask("quarantine", "replay")["quarantine"]}
    assert replayed == {
        0: ("counted", ""),
        1: ("still quarantined", "node: 'node-1', and the key is approved for 'node-0'"),
    }
    assert {row["offset"]: row["replayed"] for row in ask("quarantine", "list")["quarantine"]} == {0: True, 1: False}
    run("agents", "revoke", OTHER, "--from", "2026-11-01T00:00:00Z", "--reason", "stolen", "--author", "me")
    listed = {row["agent"]: row for row in ask("agents", "list")["agents"]}
    assert listed[KEY]["enrolment"] == "approved"
    assert (listed[OTHER]["revoked_from"], listed[OTHER]["revoked_reason"]) == ("2026-11-01T00:00:00Z", "stolen")
    assert listed[KEY]["revoked_from"] is None


def test_what_makes_no_sense_is_refused_and_named() -> None:
    with pytest.raises(Refused, match="'nobody' is no agent's key"):
        run("agents", "approve", "nobody")
    with pytest.raises(Misconfigured, match="--from 'yesterday'"):
        run("agents", "revoke", KEY, "--from", "yesterday", "--reason", "stolen")
    assert ask("agents", "list") == {"agents": []}
