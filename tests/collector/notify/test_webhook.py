from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from collector.notify.channels import http
from collector.notify.channels.webhook import SCHEMA, Webhook, key_of
from collector.notify.errors import NotDelivered, Refused, Unreached
from tests.collector.notify.receiver import Receiver, status
from tests.collector.notify.world import message
from tests.ledger.chains import NOW_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
SCHEMA_FILE = ROOT / "docs" / "schemas" / "alert-event-1.json"
SECRET = "whsec_" + base64.b64encode(b"thirty-two bytes of a signing key").decode()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as it:
        yield it


@pytest.fixture
def webhook(receiver: Receiver, tmp_path: Path) -> Callable[..., Webhook]:
    secret_file = tmp_path / "secret"
    secret_file.write_text(SECRET + "\n")

    def made(**changes: Any) -> Webhook:
        values: dict[str, Any] = {"url": f"{receiver.url}/flopledger", "url_file": None, "now_ns": lambda: NOW_NS}
        rest = {"name": "hook", "sha256": "", "secret_file": secret_file, "ca_file": None, "kinds": None}
        return Webhook(source="urn:flopledger:local", **{**values, **rest, **changes})

    return made


@pytest.mark.parametrize("name", ["raised", "acknowledged", "resolved"])
def test_what_arrives_is_a_cloud_event_that_its_schema_describes(
    webhook: Callable[..., Webhook], receiver: Receiver, name: str
) -> None:
    sent = message(name, expected_at_ns=NOW_NS)
    assert webhook().send(sent).endswith("answered 204")
    (got,) = receiver.received
    assert got.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    said = json.loads(got.body)
    assert said["id"] == sent.message_id == got.headers["webhook-id"]
    assert (said["type"], said["subject"]) == (f"io.flopledger.alert.{name}", "a-1")
    assert said["data"]["flop"] == str(76 * 10**23)
    schema = json.loads(SCHEMA_FILE.read_text())
    assert schema["$id"] == said["dataschema"] == SCHEMA
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(said, schema, format_checker=jsonschema.FormatChecker())
    for broken in ({"specversion": "0.3"}, {"data": {**said["data"], "flop": 7.6e24}}, {"id": ""}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**said, **broken}, schema)


def test_the_lines_of_the_documentation_verify_it(webhook: Callable[..., Webhook], receiver: Receiver) -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"<!-- verify -->\n```python\n(.*?)```", page, re.DOTALL)
    assert len(code.strip().splitlines()) <= 10
    webhook(now_ns=time.time_ns).send(message())
    (got,) = receiver.received
    defined: dict[str, Any] = {}
    exec(code, defined)
    assert defined["verify"](SECRET, got.headers, got.body)
    assert not defined["verify"](SECRET, got.headers, got.body + b" ")
    assert not defined["verify"](SECRET, {**got.headers, "webhook-id": "other"}, got.body)
    assert not defined["verify"]("whsec_" + base64.b64encode(b"another key").decode(), got.headers, got.body)
    late = {**got.headers, "webhook-timestamp": str(int(time.time()) - 301)}
    assert not defined["verify"](SECRET, late, got.body)


def test_each_attempt_is_signed_with_its_own_time(webhook: Callable[..., Webhook], receiver: Receiver) -> None:
    webhook(now_ns=lambda: NOW_NS + 5 * 10**9).send(message())
    (got,) = receiver.received
    at = str(NOW_NS // 10**9 + 5)
    assert got.headers["webhook-timestamp"] == at
    signed = f"{got.headers['webhook-id']}.{at}.".encode() + got.body
    expected = hmac.new(key_of(SECRET), signed, hashlib.sha256).digest()
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(expected).decode()


@pytest.mark.parametrize(
    ("answer", "error", "said"),
    [
        (status(500, "boom"), Unreached, r"^127\.0\.0\.1:\d+ answered 500: boom$"),
        (status(503, retry_after="77"), Unreached, "answered 503$"),
        (status(429), Unreached, "answered 429$"),
        (status(400, "no such field"), Refused, "answered 400: no such field$"),
        (status(404), Refused, "answered 404$"),
        (status(302, location="http://127.0.0.1:1/elsewhere"), Refused, "a redirect, which is not followed: name the"),
        (status(307, location="/there"), Refused, "a redirect, which is not followed"),
        (status(304), Refused, "a redirect"),
    ],
)
def test_whatever_is_not_a_yes_is_a_no(
    webhook: Callable[..., Webhook], receiver: Receiver, answer: Any, error: type[NotDelivered], said: str
) -> None:
    receiver.behave = answer
    with pytest.raises(error, match=said) as failed:
        webhook().send(message())
    assert type(failed.value) is error
    assert len(receiver.received) == 1, "no redirect was followed"
    if isinstance(failed.value, Unreached) and "503" in said:
        assert failed.value.retry_after_s == 77


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_one_that_hangs_is_left_after_a_while(
    webhook: Callable[..., Webhook], receiver: Receiver, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(http, "ANSWER_S", 0.3)
    receiver.behave = getattr(receiver, how)
    began_s = time.monotonic()
    with pytest.raises(Unreached, match=r"does not answer within 0 s"):
        webhook().send(message())
    assert time.monotonic() - began_s < 5


def test_nobody_at_all_is_said(webhook: Callable[..., Webhook]) -> None:
    with pytest.raises(Unreached, match=r"127\.0\.0\.1:1: .*refused"):
        webhook(url="http://127.0.0.1:1/x").send(message())


def test_a_secret_url_is_never_said(webhook: Callable[..., Webhook], receiver: Receiver, tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(f"{receiver.url}/hooks/T0KEN-of-this-hook?key=pa55w0rd")
    receiver.behave = status(400, "no hook T0KEN-of-this-hook with pa55w0rd at /hooks/T0KEN-of-this-hook")
    with pytest.raises(Refused) as failed:
        webhook(url=None, url_file=url_file).send(message())
    assert receiver.received[0].path == "/hooks/T0KEN-of-this-hook?key=pa55w0rd"
    assert "T0KEN" not in str(failed.value)
    assert "pa55w0rd" not in str(failed.value)


def test_a_rotated_secret_counts_at_once_and_one_that_is_gone_loses_nothing(
    webhook: Callable[..., Webhook], receiver: Receiver, tmp_path: Path
) -> None:
    hook = webhook()
    hook.send(message())
    (tmp_path / "secret").write_text("another secret of some length")
    hook.send(message())
    first, second = (got.headers["webhook-signature"] for got in receiver.received)
    assert first != second
    (tmp_path / "secret").unlink()
    with pytest.raises(Unreached, match="secret cannot be read: No such file"):
        hook.send(message())
