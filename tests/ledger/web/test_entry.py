"""Who may come in, as what, how often, and what is written down of it. No ledger is needed for any of it."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import TYPE_CHECKING, Any, cast

import httpx
import pytest
from typer.testing import CliRunner

from cli.exits import Misconfigured
from cli.settings import Settings
from ledger.errors import Retry
from ledger.store import Result
from ledger.web.app import create_app
from ledger.web.commands import app as commands
from ledger.web.entry.admission import admission
from ledger.web.entry.audit import AGAIN_NS, Audit
from ledger.web.entry.pace import KNOCKS
from ledger.web.entry.proxy import Proxies, networks
from ledger.web.entry.roles import Role
from ledger.web.entry.sign_in import local
from ledger.web.entry.tokens import Tokens, add
from tests.ledger.engine import Clock

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi import FastAPI

    from ledger.access import Access
    from ledger.journal import Statement

BEHIND = "/api/v1/openapi.json"
"""Something that takes no ledger and is not for everybody."""
HTML = {"accept": "text/html"}
GROUPS = {"ml-audit": "auditor", "ops": "operator"}
PROXIED: dict[str, Any] = {"web_trusted_proxies": ("10.1.0.0/16",), "web_groups": GROUPS}


class Away:
    """A ledger that nobody asks here."""


class Visitor:
    """Somebody at an address, who keeps cookies."""

    def __init__(self, app: FastAPI, peer: str, base: str) -> None:
        self.app = app
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 50_000)), base_url=base)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self.http.get(path, **more))

    def post(self, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self.http.post(path, **more))


def client(
    data_dir: Path,
    peer: str = "127.0.0.1",
    base: str = "http://127.0.0.1",
    ledger: Away | None = None,
    **settings: Any,
) -> Visitor:
    made = create_app(cast("Access", ledger or Away()), Settings(data_dir=data_dir, **settings), Clock())
    return Visitor(made, peer, base)


def audited(data_dir: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (data_dir / "web-audit.jsonl").read_text().splitlines()]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_on_loopback_nobody_is_asked_and_nobody_is_an_operator(tmp_path: Path) -> None:
    page = client(tmp_path)
    assert page.get(BEHIND).status_code == 200
    (look,) = audited(tmp_path)
    assert (look["who"], look["role"], look["way"], look["from"]) == ("loopback", "auditor", "loopback", "127.0.0.1")
    assert not Role.AUDITOR.covers(Role.OPERATOR)


@pytest.mark.parametrize("base", ["http://ledger.example", "http://127.0.0.1.attacker.example"])
def test_a_page_of_the_web_does_not_read_it_under_a_name_of_its_own(tmp_path: Path, base: str) -> None:
    answer = client(tmp_path, base=base).get(BEHIND)
    assert answer.status_code == 401
    assert "ask 127.0.0.1" in answer.json()["error"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "node-1"])
def test_elsewhere_it_does_not_listen_without_knowing_people(tmp_path: Path, host: str) -> None:
    with pytest.raises(Misconfigured, match="make a token first"):
        admission(Settings(data_dir=tmp_path, web_host=host))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"web_trusted_proxies": ("10.0.0.0/40",), "web_groups": {"*": "viewer"}}, "TRUSTED_PROXIES"),
        ({"web_trusted_proxies": ("10.0.0.1",)}, "lets nobody in"),
        ({"web_trusted_proxies": ("10.0.0.1",), "web_groups": {"a": "root"}}, "a may be viewer, auditor, operator"),
    ],
)
def test_a_proxy_that_is_set_up_by_halves_is_refused(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        admission(Settings(data_dir=tmp_path, **settings))


# Tokens.


def test_a_token_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOPLEDGER_DATA_DIR", str(tmp_path))
    asked = ["token", "--role", "auditor", "--name", "ada", "--format", "json"]
    done = CliRunner().invoke(commands, asked, catch_exceptions=False)
    (made,) = json.loads(done.output)["tokens"]
    file = tmp_path / "web-tokens"
    assert made["token"] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    page = client(tmp_path)
    assert page.get(BEHIND).status_code == 401
    assert page.get(BEHIND, headers=bearer(made["token"])).status_code == 200
    assert page.get(BEHIND, headers=bearer(made["token"] + "x")).status_code == 401
    again = CliRunner().invoke(commands, asked)
    assert isinstance(again.exception, Misconfigured)
    assert "named ada already" in str(again.exception)


def test_a_line_that_goes_ends_the_token_and_its_sessions_at_once(tmp_path: Path) -> None:
    file = tmp_path / "web-tokens"
    token = add(file, "ada", Role.VIEWER)
    page = client(tmp_path)
    assert page.post("/sign-in", data={"token": token}).status_code == 303
    assert page.get(BEHIND).status_code == 200
    file.write_text("# nobody\n\n")
    assert page.get(BEHIND).status_code == 401
    assert page.get(BEHIND, headers=bearer(token)).status_code == 401
    file.write_text("not a line of ours\n")
    assert page.get(BEHIND).status_code == 503
    assert "line" not in page.get(BEHIND).text


@pytest.mark.parametrize("line", ["abc viewer x", f"{'0' * 64} root x", f"{'0' * 64} viewer", f"{'0' * 64} viewer a b"])
def test_a_token_file_with_a_line_that_is_none_says_which(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# ours\n{line}\n")
    with pytest.raises(Misconfigured, match="line 2: write"):
        Tokens(file)
    with pytest.raises(Misconfigured, match="cannot be read"):
        Tokens(tmp_path / "none")


@pytest.mark.parametrize("name", ["", "two words", "a\nb", "x" * 65])
def test_a_token_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(Misconfigured, match="--name"):
        add(tmp_path / "tokens", name, Role.VIEWER)


# Sessions.


def test_signing_in_leads_back_and_the_cookie_is_for_this_page_alone(tmp_path: Path) -> None:
    token = add(tmp_path / "web-tokens", "ada", Role.VIEWER)
    page = client(tmp_path)
    sent = page.get("/runs/a%2Fb?x=1", headers=HTML)
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=%2Fruns%2Fa%2Fb%3Fx%3D1")
    form = page.get("/sign-in", params={"next": "/runs/x"}, headers=HTML)
    assert 'value="/runs/x"' in form.text
    wrong = page.post("/sign-in", data={"token": "no", "next": "/"})
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (401, False)
    done = page.post("/sign-in", data={"token": token, "next": "/runs/x"})
    assert (done.status_code, done.headers["location"]) == (303, "/runs/x")
    cookie = done.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert page.get(BEHIND).status_code == 200
    page.post("/sign-out")
    assert page.get(BEHIND).status_code == 401
    assert token not in (tmp_path / "web-audit.jsonl").read_text()
    page.http.cookies.set("flopledger", cookie.partition("=")[2].partition(";")[0] + "x")
    assert page.get(BEHIND).status_code == 401


def test_over_https_the_cookie_never_travels_without(tmp_path: Path) -> None:
    token = add(tmp_path / "web-tokens", "ada", Role.VIEWER)
    done = client(tmp_path, base="https://ledger.example").post("/sign-in", data={"token": token})
    assert done.headers["set-cookie"].startswith("__Host-flopledger=")
    assert "; Secure" in done.headers["set-cookie"]
    assert "strict-transport-security" in done.headers


@pytest.mark.parametrize("back", ["//x.example", "https://x.example", "/\\x.example", "", "/a\r\nb", "javascript:x"])
def test_nobody_is_led_elsewhere_by_signing_in(back: str) -> None:
    assert local(back) == "/"


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": "https://evil.example"},
        {"sec-fetch-site": "same-site"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_another_sites_page_changes_nothing_here(tmp_path: Path, headers: dict[str, str]) -> None:
    answer = client(tmp_path).post("/sign-out", headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.json()["error"]


def test_our_own_page_and_programs_do(tmp_path: Path) -> None:
    page = client(tmp_path)
    for headers in ({}, {"sec-fetch-site": "same-origin"}, {"origin": "http://127.0.0.1"}):
        assert page.post("/sign-out", headers=headers).status_code == 303


# Proxies.


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("10.1.2.3", {"x-forwarded-user": "ada", "x-forwarded-groups": "x, ml-audit"}, (200, "ada", "auditor")),
        ("10.1.2.3", {"x-forwarded-user": "bob", "x-forwarded-groups": "ml-audit,ops"}, (200, "bob", "operator")),
        ("10.1.2.3", {"x-forwarded-user": "eve", "x-forwarded-groups": "interns"}, (401, None, None)),
        ("10.1.2.3", {"x-forwarded-groups": "ops"}, (401, None, None)),
        ("10.1.2.3", {}, (401, None, None)),
        ("192.0.2.9", {"x-forwarded-user": "eve", "x-forwarded-groups": "ops"}, (401, None, None)),
        ("::ffff:10.1.2.3", {"x-forwarded-user": "ada", "x-forwarded-groups": "ops"}, (200, "ada", "operator")),
    ],
)
def test_only_the_proxys_word_counts(
    tmp_path: Path, peer: str, headers: dict[str, str], expected: tuple[int, str | None, str | None]
) -> None:
    page = client(tmp_path, peer, web_host="0.0.0.0", **PROXIED)
    status = page.get(BEHIND, headers=headers).status_code
    (look,) = audited(tmp_path)
    assert (status, look.get("who"), look.get("role")) == expected


def test_an_address_is_the_last_that_no_proxy_of_ours_has_added() -> None:
    proxies = Proxies(networks(("10.0.0.0/8", "fd00::/8")))
    passed = {"x-forwarded-for": "1.2.3.4, 198.51.100.7, 10.0.0.2", "x-forwarded-proto": "https"}
    assert proxies.caller("10.0.0.1", False, passed).address == "198.51.100.7"
    assert proxies.caller("10.0.0.1", False, passed).https
    assert proxies.caller("203.0.113.5", False, passed).address == "203.0.113.5"
    assert not proxies.caller("203.0.113.5", False, passed).https


class WithAlert(Away):
    """A ledger that holds one alert, and remembers what was written."""

    def __init__(self) -> None:
        self.written: list[Statement] = []

    def query(self, sql: str, parameters: dict[str, Any]) -> Result:
        del sql
        rows = [("raised", "")] if parameters["alert"] == "a-1" else []
        return Result(("state", "acknowledged_by"), rows)

    def append(self, statements: list[Statement]) -> list[int]:
        self.written += statements
        return [7]


def test_only_an_operator_takes_an_alert_on_and_it_is_in_their_name(tmp_path: Path) -> None:
    ledger, taken = WithAlert(), {"json": {"note": "paused it"}}
    local = client(tmp_path / "local", ledger=ledger)
    assert local.post("/api/v1/alerts/a-1/acknowledgement", **taken).status_code == 403
    tokens = {role: add(tmp_path / "web-tokens", role, role) for role in Role}
    page = client(tmp_path, ledger=ledger)
    answers = {
        role: page.post("/api/v1/alerts/a-1/acknowledgement", headers=bearer(token), **taken)
        for role, token in tokens.items()
    }
    assert {role: answer.status_code for role, answer in answers.items()} == {
        Role.VIEWER: 403,
        Role.AUDITOR: 403,
        Role.OPERATOR: 200,
    }
    assert "takes the role operator" in answers[Role.AUDITOR].json()["error"]
    assert [(one.author, one.data["note"]) for one in ledger.written] == [("operator", "paused it")]
    missing = page.post("/api/v1/alerts/none/acknowledgement", headers=bearer(tokens[Role.OPERATOR]), **taken)
    assert missing.status_code == 404
    assert [line["acknowledges"] for line in audited(tmp_path) if "acknowledges" in line] == ["a-1"]


@pytest.mark.parametrize("path", ["/ask", "/verify", "/evidence", "/api/v1/verifications"])
def test_a_viewer_is_told_what_it_takes(tmp_path: Path, path: str) -> None:
    token = add(tmp_path / "web-tokens", "bob", Role.VIEWER)
    answer = client(tmp_path).get(path, headers=bearer(token))
    assert answer.status_code == 403
    assert "takes the role auditor, and bob is viewer" in answer.text


# How often, and what stays of it.


def test_who_guesses_is_asked_to_wait_and_others_are_not(tmp_path: Path) -> None:
    token = add(tmp_path / "web-tokens", "ada", Role.VIEWER)
    page = client(tmp_path, peer="192.0.2.1", base="http://ledger.example")
    tried = [page.get(BEHIND, headers=bearer(f"guess {n}")) for n in range(KNOCKS.amount + 5)]
    assert {answer.status_code for answer in tried[: KNOCKS.amount]} == {401}
    assert {answer.status_code for answer in tried[KNOCKS.amount :]} == {429}
    assert int(tried[-1].headers["retry-after"]) > 0
    assert page.post("/sign-in", data={"token": token}).status_code == 429
    other = Visitor(page.app, "192.0.2.2", "http://ledger.example")
    assert other.get(BEHIND, headers=bearer(token)).status_code == 200


def test_the_same_look_is_written_down_once_and_everything_else_each_time(tmp_path: Path) -> None:
    clock = Clock()
    audit = Audit(tmp_path / "audit", clock)
    for _ in range(3):
        audit.looked(who="ada", path="/")
        audit.did(who="ada", path="/verify")
    clock.now_ns += AGAIN_NS
    audit.looked(who="ada", path="/")
    (tmp_path / "audit").rename(tmp_path / "kept")
    audit.did(who="ada", sql="x" * 10_000)
    audit.close()
    kept = [json.loads(line)["path"] for line in (tmp_path / "kept").read_text().splitlines()]
    assert kept == ["/", "/verify", "/verify", "/verify", "/"]
    (last,) = [json.loads(line) for line in (tmp_path / "audit").read_text().splitlines()]
    assert last["sql"].endswith("… (10000 characters)")


def test_what_cannot_be_written_down_is_not_answered_but_can_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "audit").mkdir()
    audit = Audit(tmp_path / "audit", Clock())
    audit.looked(who="ada")
    with pytest.raises(Retry, match="without it nothing is answered"):
        audit.will(who="ada", sql="SELECT 1")
