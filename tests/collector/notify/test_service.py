"""A collector with channels: from a batch to the message, through a restart, and no secret anywhere."""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from cli.exits import Misconfigured
from cli.settings import Settings
from collector.service import announce, collecting
from collector.sources.memory import MemoryBroker
from ledger.access import connect
from ledger.assessment.alert import acknowledgement
from ledger.deliveries import Attempt
from tests.collector.notify.receiver import Receiver, status
from tests.ledger.chains import Chain, meter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY, TOKEN, PATH, HEADER = "a-signing-key-of-some-length", "bearer-t0ken-1234", "hook-t0ken-5678", "header-s3cret-9"


def until(true: Callable[[], bool]) -> None:
    """Waits for threads and sockets; no clock of ours passes by itself."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, "it does not come"
        threading.Event().wait(0.01)


def settings(directory: Path, hook: str, gone: str) -> Settings:
    texts = {
        "key": KEY,
        "token": TOKEN,
        "hook": f"{hook}/{PATH}",
        "json": f"{gone.replace('http', 'json')}/?+X-K={HEADER}",
    }
    for name, text in texts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    (directory / "channels.toml").write_text(f"""
        [channels.hook]
        type = "webhook"
        url_file = "{directory}/hook"
        secret_file = "{directory}/key"
        [channels.am]
        type = "alertmanager"
        urls = ["{gone}"]
        bearer_token_file = "{directory}/token"
        [channels.json]
        type = "apprise"
        url_file = "{directory}/json"
    """)
    return Settings(data_dir=directory / "data", channels=directory / "channels.toml")


def names(receiver: Receiver) -> list[tuple[str, str]]:
    events = [json.loads(got.body) for got in receiver.received]
    return [(event["data"]["kind"], event["data"]["change"]) for event in events]


def test_from_a_batch_to_the_message_with_no_secret_anywhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    broker, told = MemoryBroker(), threading.Event()
    broker.send([Chain().seal(meter(6 * 10**24, at_ns=time.time_ns() - 10**9))])

    def collector(work: Callable[[Any, Any], None]) -> None:
        given = settings(tmp_path, hook.url, gone.url)
        source = broker.source()
        with collecting(source, given.data_dir, announce, time.time_ns, settings=given) as (it, ledger):
            it.step(timeout_s=0)
            it.assess()
            work(it, ledger)

    with Receiver() as hook, Receiver(status(500, f"no {TOKEN} {HEADER}")) as gone:

        def first(it: Any, ledger: Any) -> None:
            raised = ledger.query("SELECT alert_id FROM alerts").rows
            assert len(raised) >= 2
            until(lambda: len(hook.received) == len(raised))
            with connect(tmp_path / "data", time.time_ns) as access:
                access.append([acknowledgement(raised[0][0], "on it", "ada")])
                attempt = Attempt(time.time_ns(), "other", "", "accepted", 1, "m", "a", "raised", 1)
                access.record_attempts([attempt])  # type: ignore[attr-defined]
            until(lambda: len(hook.received) == len(raised) + 1)
            until(lambda: len(gone.received) >= 2)
            told.set()

        collector(first)
        assert told.is_set()
        count = len(hook.received)
        assert names(hook)[-1][1] == "acknowledged"
        assert {got.path for got in hook.received} == {f"/{PATH}"}
        assert len({json.loads(got.body)["id"] for got in hook.received}) == count

        def second(it: Any, ledger: Any) -> None:
            until(lambda: ledger.query("SELECT count() FROM deliveries WHERE channel = 'json'").rows[0][0] >= 2)
            found = ledger.query("SELECT channel, outcome FROM alert_deliveries WHERE channel != 'other'").rows
            assert {outcome for channel, outcome in found if channel == "hook"} == {"accepted"}
            assert {outcome for channel, outcome in found if channel == "am"} == {"unreached"}
            said = str(ledger.query("SELECT * FROM deliveries").rows) + str(
                ledger.query("SELECT body FROM journal").rows
            )
            assert "answered 500: no … " in said
            for secret in (KEY, TOKEN, PATH, HEADER):
                assert secret not in said

        collector(second)
        assert len(hook.received) == count, "what was accepted is not sent again"
        sent = b"".join(got.body for got in (*hook.received, *gone.received))
    kept = b"".join(path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())
    for secret in (KEY, TOKEN, PATH, HEADER):
        assert secret.encode() not in sent
        assert secret.encode() not in kept
        assert secret not in caplog.text


def test_a_wrong_file_ends_the_start_and_leaves_the_ledger_free(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path / "data", channels=tmp_path / "none.toml")
    for _ in range(2):
        with (
            pytest.raises(Misconfigured, match=r"none\.toml: No such file"),
            collecting(MemoryBroker().source(), given.data_dir, announce, time.time_ns, settings=given),
        ):
            pass
