"""`flopledger ledger checkpoint` and `journal`, asked of a ledger that this process holds and serves."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typer.testing import CliRunner

from ledger import commands
from ledger.agents import FIRST_USE, enrolled
from ledger.errors import Refused
from ledger.journal import Statement
from ledger.proof.checkpoint import load
from ledger.proof.tree import EMPTY_ROOT
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import held
from wire.seal import key_id, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAIN = Chain()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("served")
    with held(directory) as ledger:
        ledger.append([enrolled(CHAIN.agent, FIRST_USE, "collector", "c", CHAIN.node)])
        take(ledger, [CHAIN.seal(meter(5))])
        ledger.append([Statement("note", "me", {"what": "x"})])
        yield directory


@pytest.fixture(autouse=True)
def data_dir(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(served))


def ask(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(commands.app, [*arguments, "--format", "json"])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_checkpoint_is_made_where_the_ledger_is_held_and_written_here(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    (row,) = ask("checkpoint", "--out", str(path), "--author", "an auditor")["checkpoint"]
    made = load(path)
    assert (made.author, made.entry_index, made.root) == ("an auditor", row["entry_index"], row["root"])
    assert (row["chains"], row["file"]) == (1, str(path))


def test_the_journal_is_listed_with_the_state_of_each_signature() -> None:
    found = ask("journal")["journal"]
    assert [row["entry_index"] for row in found] == list(range(len(found)))
    assert {row["author"] for row in found if row["kind"] in {"policy", "threshold"}} == {"catalogue"}
    others = [row for row in found if row["author"] != "catalogue"]
    assert [(row["kind"], row["author"], row["state"]) for row in others[:2]] == [
        ("agent", "collector", "signed"),
        ("note", "me", "signed"),
    ]
    assert others[1]["data"] == {"what": "x"}


def test_the_journal_is_listed_by_kind_and_from_its_end() -> None:
    assert [row["kind"] for row in ask("journal", "--kind", "note")["journal"]] == ["note"]
    everything = ask("journal")["journal"]
    assert ask("journal", "--limit", "1")["journal"] == everything[-1:]
    assert ask("journal", "--kind", "nothing of the sort")["journal"] == []


def test_a_ledger_is_verified_where_it_is_held_and_found_in_order(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    ask("checkpoint", "--out", str(path))
    report = ask("verify", "--expect", str(path))
    assert (report["ok"], report["findings"]) == (True, [])
    assert (report["batches"], report["readings"]) == (1, 1)


def test_in_a_folder_a_checkpoint_names_itself_and_the_latest_counts(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"ledger checkpoint --out {tmp_path}"):
        ask("verify", "--expect", str(tmp_path), code=2)
    # One that is not this ledger's, of an earlier entry by its name: it is not looked at.
    (tmp_path / "checkpoint-000000000001.json").write_text(json.dumps(other_checkpoint()), encoding="utf-8")
    (row,) = ask("checkpoint", "--out", str(tmp_path))["checkpoint"]
    assert row["file"] == str(tmp_path / f"checkpoint-{row['entry_index']:012}.json")
    assert ask("verify", "--expect", str(tmp_path))["ok"]


def test_a_checkpoint_of_another_ledger_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(other_checkpoint()))
    (finding,) = ask("verify", "--expect", str(path), code=1)["findings"]
    assert finding["kind"] == "checkpoint of another ledger"


@pytest.mark.parametrize("content", ["", "{", '{"schema": "flopledger.checkpoint/1"}', "[]"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "cut.json"
    path.write_text(content)
    with pytest.raises(Refused, match=r"cut\.json is no whole checkpoint"):
        ask("verify", "--expect", str(path), code=2)


def other_checkpoint() -> dict[str, str]:
    """Signed all right, by a ledger that is not this one."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    data = {"size": 0, "root": EMPTY_ROOT.hex(), "heads": [], "journal": None}
    entry = {"index": 0, "prev": None, "at": "2026-11-23T00:00:00Z", "kind": "checkpoint", "author": "x", "data": data}
    sealed = sign(json.dumps(entry).encode(), key, key_id(key.public_key()), "flopledger.journal/1")
    return {
        "schema": "flopledger.checkpoint/1",
        "key_id": sealed.key_id,
        "sha256": sealed.sha256.hex(),
        "signature": base64.b64encode(sealed.signature).decode(),
        "entry": sealed.body.decode(),
    }


TOOLS = ("openssl", "jq", "xxd")
GET_TOOLS = "sh scripts/services.sh tools"


def test_an_auditor_checks_by_hand_what_the_page_says(served: Path, tmp_path: Path) -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"no {', '.join(missing)}, and this is CI: {GET_TOOLS}")
    if missing:
        pytest.skip(f"NOT TESTED by hand, as auditors check: get {', '.join(missing)} with `sudo {GET_TOOLS}`")
    ask("checkpoint", "--out", str(tmp_path / "checkpoint.json"))
    page = (Path(__file__).parents[3] / "docs" / "verify.md").read_text(encoding="utf-8")
    script = "set -e\n" + "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "FLOPLEDGER_DATA_DIR": str(served)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 2
    assert CHAIN.agent in done.stdout


def test_a_ledger_is_rebuilt_where_it_is_held() -> None:
    (row,) = ask("rebuild")["rebuilt"]
    assert row == {"batches": 1, "readings": 1, "revoked": 0}
    assert ask("verify")["ok"]
