"""Against the real Alertmanager of Debian."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from collector.notify.channels.alertmanager import HOLDS_NS, Alertmanager, alert, labels
from collector.notify.errors import Refused, Unreached
from tests.collector.notify.receiver import Receiver, status
from tests.collector.notify.world import message

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.alertmanager.fixtures import Alertmanager as Service


def channel(*urls: str, **changes: Any) -> Alertmanager:
    values: dict[str, Any] = dict.fromkeys(("username", "password_file", "token_file", "ca_file", "kinds"))
    return Alertmanager("am", "", urls, source="urn:flopledger:local", **{**values, "now_ns": time.time_ns, **changes})


def test_an_alert_is_active_until_it_is_resolved(alertmanager: Service) -> None:
    it = channel(alertmanager.url)
    assert it.send(message(alert_id="lives")).endswith("answered 200")
    (active,) = alertmanager.active()
    assert active["status"]["state"] in {"active", "unprocessed"}
    assert active["labels"] == {
        "alertname": "FlopledgerEstimate",
        "severity": "warning",
        "kind": "estimate",
        "subject_kind": "run",
        "subject": "llama",
        "threshold": "eu-aia-51-2",
        "percent": "75",
        "alert_id": "lives",
        "source": "urn:flopledger:local",
    }
    assert active["annotations"]["runbook_url"] == "https://runbooks.example/estimate.md"
    assert active["annotations"]["flop"] == str(76 * 10**23)
    assert active["startsAt"].startswith("2026-11-23T14:26:40")
    it.send(message("acknowledged", alert_id="lives", acknowledged_by="ada"))
    (active,) = alertmanager.active()
    assert active["annotations"]["acknowledged_by"] == "ada"
    it.send(message("resolved", alert_id="lives"))
    assert alertmanager.active() == []


def test_one_that_has_forgotten_everything_is_told_again(alertmanager: Service) -> None:
    it = channel(alertmanager.url)
    holding = [message(alert_id=f"n-{n}") for n in range(3)]
    it.send(holding[0])
    alertmanager.stop()
    with pytest.raises(Unreached, match="refused"):
        it.repeat(holding)
    alertmanager.start()
    assert alertmanager.active() == []
    it.repeat([*holding, message("resolved", alert_id="n-9")])
    assert {active["labels"]["alert_id"] for active in alertmanager.active()} == {"n-0", "n-1", "n-2"}
    it.repeat([message("resolved", alert_id=f"n-{n}") for n in range(3)])
    it.send(message("resolved", alert_id="n-0"))
    assert {active["labels"]["alert_id"] for active in alertmanager.active()} <= {"n-1", "n-2"}


def test_it_holds_for_minutes_without_being_repeated(alertmanager: Service) -> None:
    channel(alertmanager.url).send(message(alert_id="holds"))
    found = {active["labels"]["alert_id"]: active["endsAt"] for active in alertmanager.active()}
    until_s = time.time() + HOLDS_NS / 1e9
    assert abs(time.mktime(time.strptime(found["holds"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone - until_s) < 30


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps_makes_no_alert_that_it_would_refuse(alertmanager: Service, days: int) -> None:
    it = channel(alertmanager.url, now_ns=lambda: time.time_ns() + days * 86_400 * 10**9)
    assert it.send(message(alert_id=f"jump{days}")).endswith("answered 200")
    assert it.send(message("resolved", alert_id=f"jump{days}")).endswith("answered 200")


def test_one_instance_that_accepts_is_enough_and_the_other_is_mentioned(alertmanager: Service) -> None:
    said = channel("http://127.0.0.1:1", alertmanager.url).send(message(alert_id="two"))
    assert "answered 200" in said
    assert "127.0.0.1:1" in said
    with pytest.raises(Unreached, match=r"127\.0\.0\.1:1"):
        channel("http://127.0.0.1:1").send(message())
    with pytest.raises(Refused, match="answered 404"):
        channel(alertmanager.url + "/not/here").send(message())


def test_a_label_never_changes_while_the_alert_lives() -> None:
    lives = [message(name, acknowledged_by=by) for name, by in (("raised", None), ("acknowledged", "ada"))]
    assert labels(lives[0], "s") == labels(lives[1], "s") == labels(message("resolved"), "s")
    assert labels(message(kind="forecast", percent=100, lead_days=7), "s")["severity"] == "critical"
    assert "threshold" not in labels(message(kind="coverage_low", threshold=None, percent=None), "s")


def test_a_test_says_so_in_label_and_text() -> None:
    from dataclasses import replace

    said = alert(replace(message(), test=True), "s", time.time_ns())
    assert said["labels"]["test"] == "true"
    assert said["annotations"]["summary"].startswith("TEST, nothing happened")


def test_passwords_and_tokens_come_from_files_and_are_not_said(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("s3cret-token")
    (tmp_path / "password").write_text("s3cret-password")
    with Receiver() as receiver:
        cases: list[tuple[Path, dict[str, Any]]] = [
            (tmp_path / "token", {"token_file": tmp_path / "token"}),
            (tmp_path / "password", {"username": "us", "password_file": tmp_path / "password"}),
        ]
        for path, changes in cases:
            receiver.behave = status(401, f"no {path.read_text()} here")
            with pytest.raises(Refused, match=r"answered 401: no … here$"):
                channel(receiver.url, **changes).send(message())
        bearer, basic = (got.headers["authorization"] for got in receiver.received)
        assert bearer == "Bearer s3cret-token"
        assert basic == httpx.BasicAuth("us", "s3cret-password")._auth_header
