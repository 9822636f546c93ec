"""A ledger that another process holds, reached through its socket."""

from __future__ import annotations

import json
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from ledger.access import SOCKET, Access, Remote, connect
from ledger.declarations import Declaration, declared
from ledger.errors import Held, Refused, Retry
from ledger.journal import Statement
from ledger.ledger import Ledger
from ledger.migrate import migrations
from tests.ledger import holder
from tests.ledger.engine import Clock
from tests.ledger.test_columns import COLUMNS, COLUMNS_SQL

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Running:
    """`flopledger up`, at work."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    data_dir: Path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("running")
    environment, data_dir = holder.environ(directory), directory / "data"
    with holder.holding(data_dir, [sys.executable, "-m", "flopledger", "up"], environment) as process:
        yield Running(process, environment, data_dir)


@pytest.fixture
def remote(running: Running) -> Iterator[Access]:
    with connect(running.data_dir, Clock()) as ledger:
        yield ledger


def test_while_somebody_holds_it_a_command_asks_there(remote: Access) -> None:
    assert isinstance(remote, Remote)
    assert remote.query("SELECT number FROM migrations ORDER BY number").rows == [[m.number] for m in migrations()]


def test_the_socket_is_its_owners_alone(running: Running) -> None:
    mode = (running.data_dir / SOCKET).stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("NULL", None),
        ("'über „alles“'", "über „alles“"),
        ("toBool(1)", True),
        ("-5", -5),
        ("0.5", 0.5),
        ("toUInt256('3') * toUInt256('38000000000000000000000000000000000000001')", 114 * 10**39 + 3),
        ("toUInt128('340282366920938463463374607431768211455')", 2**128 - 1),
        ("toInt64('-9223372036854775808')", -(2**63)),
        (
            "fromUnixTimestamp64Nano(1795444000123456000, 'UTC')",
            datetime(2026, 11, 23, 14, 26, 40, 123456, tzinfo=UTC),
        ),
        ("toUUID('0199e2f0-0000-7000-8000-000000000001')", UUID("0199e2f0-0000-7000-8000-000000000001")),
        ("toFixedString('a\\xff', 2)", b"a\xff"),
        ("[1, 2]", [1, 2]),
        ("[toUUID('0199e2f0-0000-7000-8000-000000000001')]", [UUID("0199e2f0-0000-7000-8000-000000000001")]),
        ("(1, toDateTime('2026-01-01 00:00:00', 'UTC'))", [1, datetime(2026, 1, 1, tzinfo=UTC)]),
        ("map('time', 'flies')", {"time": "flies"}),
        ("map('a', [toFixedString('a', 1)])", {"a": [b"a"]}),
        ("toDecimal64(1.5, 2)", "1.50"),
        ("toDate('2026-01-01')", "2026-01-01"),
        ("toIPv4('127.0.0.1')", "127.0.0.1"),
    ],
)
def test_a_value_survives_the_way_through_the_socket(remote: Access, expression: str, value: object) -> None:
    result = remote.query(f"SELECT {expression} AS value")
    assert result.columns == ("value",)
    ((found,),) = result.rows
    assert (type(found), found) == (type(value), value)


def test_parameters_go_along(remote: Access) -> None:
    parameters: dict[str, Any] = {"text": "it's", "big": 10**30, "many": ["a", "b"]}
    result = remote.query("SELECT {text:String}, {big:UInt128}, length({many:Array(String)})", parameters)
    assert result.rows == [["it's", 10**30, 2]]


def test_columns_come_as_arrow(remote: Access) -> None:
    assert remote.query_arrow(COLUMNS_SQL, {"many": [1, 2]}).to_pylist() == COLUMNS


def test_a_question_for_columns_is_refused_like_any_other(remote: Access) -> None:
    with pytest.raises(Refused, match="table function file is not allowed"):
        remote.query_arrow("SELECT * FROM file('/etc/passwd')")


def test_what_is_declared_there_is_on_record_there(remote: Access) -> None:
    full = Declaration("through the socket", "m", "fine-tuning", "fp8", 10**30, "2026-12-24T18:30:00Z", 8)
    (index,) = remote.append([full.statement("me")])
    assert declared(remote, full.run_id) == full
    found = remote.query("SELECT body FROM journal WHERE entry_index = {n:UInt64}", {"n": index}).rows
    assert json.loads(found[0][0])["author"] == "me"


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("INSERT INTO journal (kind) VALUES ('run')", "only statements that read"),
        ("SELECT * FROM file('/etc/passwd')", "table function file is not allowed"),
        ("SELECT nothing FROM nowhere", "UNKNOWN_TABLE"),
        ("SELECT 1 +", "not a statement we can read"),
    ],
)
def test_what_is_refused_there_is_refused_here_with_its_reason(remote: Access, sql: str, why: str) -> None:
    with pytest.raises(Refused, match=why):
        remote.query(sql)


def test_a_statement_that_the_journal_cannot_hold_is_refused(remote: Access) -> None:
    with pytest.raises(Refused, match="the journal cannot hold this note"):
        remote.append([Statement("note", "me", {"what": "\ud800"})])


def test_the_directory_cannot_be_opened_beside_its_holder(running: Running) -> None:
    with pytest.raises(Held, match=rf"held by another process \(pid {running.process.pid}\)"):
        Ledger.open(running.data_dir, Clock())


def test_a_second_up_on_the_same_directory_ends_with_one_line_that_names_the_first(running: Running) -> None:
    command = [sys.executable, "-m", "flopledger", "up"]
    second = subprocess.run(command, env=running.environment, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert second.stderr.splitlines()[-1].startswith("flopledger: ")
    assert f"held by another process (pid {running.process.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    assert running.process.poll() is None


def test_what_the_agent_counts_can_be_asked_for_while_it_counts(remote: Access) -> None:
    deadline = time.monotonic() + holder.PATIENCE_S
    while not (rows := remote.query("SELECT flop FROM run_totals WHERE basis = 'hardware'").rows):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert rows[0][0] > 0


HOLD = """
import sys, time
from pathlib import Path
from ledger.access import Holder
from ledger.ledger import Ledger
from ledger.migrate import migrations

ledger = Ledger.open(Path(sys.argv[1]), time.time_ns)
Holder(ledger, Path(sys.argv[1])).start()
sys.stdin.read()
"""


def test_the_socket_of_a_holder_that_was_killed_is_ignored(tmp_path: Path) -> None:
    with holder.holding(tmp_path, [sys.executable, "-c", HOLD, str(tmp_path)]) as process:
        with connect(tmp_path, Clock()) as ledger:
            assert isinstance(ledger, Remote)
            ledger.append([Declaration("before", model_id="m").statement("me")])
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / SOCKET).exists()
        with connect(tmp_path, Clock()) as ledger:
            assert isinstance(ledger, Ledger)
            assert declared(ledger, "before").model_id == "m"


def test_a_holder_that_goes_away_in_the_middle_is_to_be_asked_again(tmp_path: Path) -> None:
    def hang_up() -> None:
        listener.accept()[0].close()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / SOCKET))
        listener.listen()
        remote = Remote(tmp_path / SOCKET)
        hanging_up = threading.Thread(target=hang_up)
        hanging_up.start()
        with pytest.raises(Retry, match=SOCKET):
            remote.query("SELECT 1")
        remote.close()
        hanging_up.join()


def test_a_socket_that_nobody_listens_on_does_not_answer(tmp_path: Path) -> None:
    remote = Remote(tmp_path / SOCKET)
    assert not remote.answers()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / SOCKET))
    assert not remote.answers()
    remote.close()
