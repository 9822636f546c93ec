"""Every mistake in the file of channels is said in one sentence that holds no secret."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from cli.exits import MISUSED, NO, UNREACHABLE, Misconfigured
from collector.notify.channel_file import channels
from tests.collector.notify.receiver import Receiver, status
from tests.ledger.chains import NOW_NS
from tests.test_command_line import Said, run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from collector.notify.channels.interface import Channel

__all__ = ["run"]

KEY = "a key of thirty-two bytes or so"
SECRETS = {"key": KEY, "short": "abc", "empty": "\n", "badkey": "whsec_$$$", "slack": "slack://TOPS3CRET"}
SECRETS |= {
    "mail": "mailto://127.0.0.1:1?mode=insecure&from=a@example.com&to=b@example.com",
    "url": "ftp://x/S3CRETPATH",
}


def read(tmp_path: Path, text: str, name: str = "channels.toml") -> list[Channel]:
    for secret, content in SECRETS.items():
        (tmp_path / secret).write_text(content)
        (tmp_path / secret).chmod(0o600)
    path = tmp_path / name
    path.write_text(text.replace("DIR", str(tmp_path)))
    return channels(path, "urn:flopledger:local", lambda: NOW_NS)


WHOLE = """
[channels.oncall]
type = "alertmanager"
urls = ["http://127.0.0.1:9093", "https://am.example/prefix"]

[channels.hook]
type = "webhook"
url = "https://compliance.example:8443/flopledger"
secret_file = "DIR/key"
kinds = ["forecast", "foreseeable"]

[channels.mail]
type = "apprise"
url_file = "DIR/mail"
"""


def test_all_types_can_stand_side_by_side(tmp_path: Path) -> None:
    found = read(tmp_path, WHOLE)
    assert [type(channel).__name__ for channel in found] == ["Alertmanager", "Webhook", "AppriseUrl"]
    assert len({channel.sha256 for channel in found}) == 3
    in_yaml = json.dumps(
        {"channels": {"hook": {"type": "webhook", "url": "https://a.example", "secret_file": "DIR/key"}}}
    )
    (hook,) = read(tmp_path, in_yaml, "channels.yaml")
    assert hook.name == "hook"
    again = {channel.name: channel.sha256 for channel in read(tmp_path, WHOLE)}
    assert again == {channel.name: channel.sha256 for channel in found}
    (tmp_path / "key").write_text("another key of thirty-two bytes")
    SECRETS_CHANGED = channels(tmp_path / "channels.toml", "urn:flopledger:local", lambda: NOW_NS)  # noqa: N806
    assert {channel.name: channel.sha256 for channel in SECRETS_CHANGED} == again, "a secret is not part of the hash"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('type = "webhok"\nurl = "https://a.example"', r"channel c: type is 'webhok'; did you mean webhook\?"),
        ('type = "pager"', "channel c: type is 'pager'; there are alertmanager, webhook, apprise"),
        ('url = "https://a.example"', "channel c: has no type; there are alertmanager"),
        ('type = "webhook"\nurl = "htps://a.example"\nsecret_file = "DIR/key"', r"c: url: .*did you mean https://\?"),
        ('type = "webhook"\nurl = "a.example/x"\nsecret_file = "DIR/key"', "c: url: write http"),
        ('type = "webhook"\nurl = "https://a b.example"\nsecret_file = "DIR/key"', "c: url: write http"),
        (
            'type = "webhook"\nurl = "https://a:99999/x"\nsecret_file = "DIR/key"',
            "c: url: is no URL: Port out",
        ),
        ('type = "webhook"\nurl = "https://u:S3CRET@a.example"\nsecret_file = "DIR/key"', "holds what may be secret"),
        ('type = "webhook"\nurl = "https://a.example?key=S3CRET"\nsecret_file = "DIR/key"', "holds what may be secret"),
        ('type = "webhook"\nurl = "https://a.example"', "channel c: secret_file: Field required"),
        ('type = "webhook"\nsecret_file = "DIR/key"', "channel c: give one of url and url_file"),
        (
            'type = "webhook"\nurl = "https://a.example"\nsecret_file = "DIR/none"',
            "none does not exist: put the secret there",
        ),
        ('type = "webhook"\nurl = "https://a.example"\nsecret_file = "DIR/empty"', "empty is empty"),
        ('type = "webhook"\nurl = "https://a.example"\nsecret_file = "DIR/short"', "a key of 3 bytes is too short"),
        ('type = "webhook"\nurl = "https://a.example"\nsecret_file = "DIR/badkey"', "follows whsec_ is not Base64"),
        ('type = "webhook"\nurl = "https://a.example"\nsecret_file = "DIR"', "cannot be read: Is a directory"),
        ('type = "webhook"\nurl_file = "DIR/url"\nsecret_file = "DIR/key"', "url does not hold one http"),
        (
            'type = "webhook"\nurl = "https://a.example"\nsecret_file = "DIR/key"\nca_file = "DIR/ca"',
            "ca does not",
        ),
        ('type = "webhook"\nurl = "https://a.example"\nsecretfile = "DIR/key"', r"did you mean secret_file\?"),
        ('type = "webhook"\nurl = "https://a.example"\nsecret = "S3CRET"', "channel c: secret is not known"),
        ('type = "apprise"\nurl = "slack://S3CRET"', "channel c: url is not known; did you mean url_file"),
        ('type = "apprise"\nurl_file = "DIR/slack"', r"slack holds a slack:// URL that is not whole"),
        ('type = "apprise"\nurl_file = "DIR/gone"', "gone does not exist"),
        ('type = "alertmanager"\nurls = []', "channel c: urls: Tuple should have at least 1 item"),
        ('type = "alertmanager"\nurls = ["http//a:9093"]', "channel c: urls.0: write http"),
        ('type = "alertmanager"\nurls = ["http://a"]\nusername = "u"', "username and password_file go together"),
        ('type = "alertmanager"\nurls = ["http://a"]\nkinds = ["forcast"]', r"kind forcast; did you mean forecast\?"),
    ],
)
def test_a_mistake_is_explained(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as failed:
        read(tmp_path, f"[channels.c]\n{text}\n")
    assert "S3CRET" not in str(failed.value)
    assert str(tmp_path / "channels.toml") in str(failed.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("channels = 1", "holds one table, `channels`"),
        ("[chanels.a]\ntype = 'webhook'", "holds one table, `channels`"),
        ("[channels.a", "Expected"),
        ("[channels.'On Call']\ntype = 'alertmanager'\nurls = ['http://a']", "channel On Call: a name is made of"),
    ],
)
def test_a_file_that_is_none_is_explained(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said):
        read(tmp_path, text)


def test_all_mistakes_are_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as failed:
        read(tmp_path, '[channels.a]\ntype = "x"\n[channels.b]\ntype = "apprise"\n')
    assert len(str(failed.value).splitlines()) == 2


def test_a_secret_that_everybody_may_read_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = '[channels.c]\ntype = "webhook"\nurl = "https://a.example"\nsecret_file = "DIR/key"\n'
    read(tmp_path, text)
    assert caplog.text == ""
    (tmp_path / "key").chmod(0o644)
    with caplog.at_level(logging.WARNING):
        channels(tmp_path / "channels.toml", "", lambda: NOW_NS)
    assert f"secret_file {tmp_path}/key can be read by everybody on this machine: chmod o-r" in caplog.text
    assert KEY not in caplog.text


def hook(tmp_path: Path, url: str) -> None:
    read(tmp_path, f'[channels.hook]\ntype = "webhook"\nurl = "{url}"\nsecret_file = "DIR/key"\n')


def test_a_channel_can_be_tried(tmp_path: Path, run: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    said = run("alerts", "test", "hook")
    assert (said.code, said.out) == (MISUSED, "")
    assert "name a file of them with FLOPLEDGER_CHANNELS" in said.err
    monkeypatch.setenv("FLOPLEDGER_CHANNELS", str(tmp_path / "channels.toml"))
    assert "channels.toml: No such file or directory" in run("alerts", "test", "hook").err
    with Receiver() as receiver:
        hook(tmp_path, receiver.url)
        said = run("alerts", "test", "hook", "--format", "json")
        assert said.code == 0
        (told,) = json.loads(said.out)["deliveries"]
        assert (told["channel"], told["outcome"]) == ("hook", "accepted")
        event = json.loads(receiver.received[0].body)
        assert (event["type"], event["id"]) == ("io.flopledger.alert.test", told["message_id"])
        assert event["data"]["test"] is True
        receiver.behave = status(302, location="https://elsewhere.example/")
        said = run("alerts", "test", "hook", "--format", "json")
        assert said.code == NO
        assert "a redirect, which is not followed" in json.loads(said.out)["deliveries"][0]["detail"]
        receiver.behave = status(500)
        assert run("alerts", "test", "hook").code == UNREACHABLE
        said = run("alerts", "test", "hok")
        assert (said.code, said.out) == (MISUSED, "")
        assert said.err.endswith("has no channel hok; did you mean hook?\n")
    assert run("alerts", "test", "hook").code == UNREACHABLE
    (tmp_path / "key").unlink()
    said = run("alerts", "test", "hook")
    assert (said.code, len(said.err.splitlines())) == (MISUSED, 1)
    assert "key does not exist" in said.err
