"""E-mail through a real SMTP server; what other services' URLs mean is apprise's to say."""

from __future__ import annotations

import email
import email.policy
import logging
from typing import TYPE_CHECKING, Any

import pytest
from aiosmtpd.controller import Controller

from collector.notify.channels.apprise_url import AppriseUrl, opened
from collector.notify.errors import Refused, Unreached
from tests.collector.notify.receiver import Receiver, status
from tests.collector.notify.world import message
from tests.services.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "pa55-of-the-mail"


class Mailbox:
    """Keeps what it takes, and takes nothing while it is `full`."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.full = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.full:
            return f"452 no room, not even for {PASSWORD}"
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    box = Mailbox()
    (port,) = free_ports(1)
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    box.port = port  # type: ignore[attr-defined]
    yield box
    controller.stop()


def channel(tmp_path: Path, url: str) -> AppriseUrl:
    (tmp_path / "url").write_text(url + "\n")
    return AppriseUrl("mail", "", tmp_path / "url", None)


def mail_url(mailbox: Any) -> str:
    return f"mailto://127.0.0.1:{mailbox.port}?mode=insecure&from=ledger@example.com&to=ada@example.com"


def test_a_mail_says_what_happened_and_what_to_do(tmp_path: Path, mailbox: Mailbox) -> None:
    assert channel(tmp_path, mail_url(mailbox)).send(message(percent=100)) == "E-Mail took it"
    (mail,) = mailbox.mails
    assert mail["subject"] == "[critical] llama has reached 75 % of eu-aia-51-2, raised"
    assert mail["to"] == "ada@example.com"
    text = mail.get_body(("plain",)).get_content()
    for line in (
        "flop: 7600000000000000000000000",
        "line flop: 10000000000000000000000000",
        "what to do: https://runbooks.example/estimate.md",
        f"alert a-1, message {message().message_id}",
    ):
        assert line in text.replace("\r\n", "\n").splitlines()


def test_a_mailbox_that_is_full_or_away_is_tried_again(tmp_path: Path, mailbox: Mailbox) -> None:
    it = channel(tmp_path, mail_url(mailbox))
    mailbox.full = True
    with pytest.raises(Unreached, match=r"^E-Mail did not take it: "):
        it.send(message())
    mailbox.full = False
    it.send(message())
    assert len(mailbox.mails) == 1
    with pytest.raises(Unreached, match=r"^E-Mail did not take it: "):
        channel(tmp_path, "mailto://127.0.0.1:1?mode=insecure&from=a@example.com&to=b@example.com").send(message())


@pytest.mark.parametrize(
    "url",
    [
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#alerts",
        "pagerduty://A1BRTD4JDTIiajkdnlazkcOX@A1BRTD4JD",
        "workflows://prod-1.westus.logic.azure.com:443/9f1e2d3c4b5a/s3cretSignature-1234567890",
        "opsgenie://3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    ],
)
def test_urls_of_well_known_services_are_understood(url: str) -> None:
    assert opened(url).service_name


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("slakc://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", r"unknown kind slakc://; did you mean slack://\?"),
        ("slack://T1JJ3T3L2", "a slack:// URL that is not whole: "),
        ("hello", "does not hold a URL such as"),
        ("json://a.example\njson://b.example", "one channel is one URL"),
    ],
)
def test_a_url_with_a_typo_is_explained_and_not_repeated(url: str, said: str) -> None:
    with pytest.raises(Refused, match=said) as failed:
        opened(url)
    assert "T1JJ3T3L2" not in str(failed.value)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(failed.value)


def test_neither_log_nor_error_holds_the_url(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Receiver(status(403, "t0ken-in-the-path is not known here")) as receiver, caplog.at_level(logging.DEBUG):
        url = receiver.url.replace("http", "json") + "/t0ken-in-the-path?+X-Key=s3cret-in-a-header"
        with pytest.raises(Unreached) as failed:
            channel(tmp_path, url).send(message())
        assert receiver.received[0].headers["x-key"] == "s3cret-in-a-header"
    for secret in ("t0ken-in-the-path", "s3cret-in-a-header"):
        assert secret not in caplog.text
        assert secret not in str(failed.value)


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    with Receiver() as elsewhere, Receiver() as receiver:
        receiver.behave = status(307, location=elsewhere.url)
        with pytest.raises(Unreached):
            channel(tmp_path, receiver.url.replace("http", "json")).send(message())
        assert elsewhere.received == []
