"""The file of channels: TOML or YAML, checked when a collector starts, with one sentence per mistake.

[channels.oncall]
type = "alertmanager"
urls = ["http://alertmanager:9093"]

[channels.compliance]
type = "webhook"
url = "https://compliance.example/flopledger"
secret_file = "/run/secrets/compliance"

[channels.mail]
type = "apprise"
url_file = "/run/secrets/mail"
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from pathlib import Path  # noqa: TC003 - pydantic reads it
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from cli.exits import Misconfigured
from collector.notify.channels.alertmanager import Alertmanager
from collector.notify.channels.webhook import Webhook, key_of
from collector.notify.errors import Refused
from collector.notify.kinds import KINDS
from collector.notify.secret_file import check_secret

if TYPE_CHECKING:
    from collections.abc import Callable

    from collector.notify.channels.interface import Channel

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
SHORTEST_SECRET = 16


def _url(url: str) -> str:
    try:
        parts = urlsplit(url)
        bad = not parts.hostname or parts.port == 0
    except ValueError as error:
        raise ValueError(f"is no URL: {error}") from error
    if parts.scheme not in {"http", "https"} or bad or any(sign.isspace() for sign in url):
        near = difflib.get_close_matches(parts.scheme, ("http", "https"), 1) if parts.scheme else []
        raise ValueError(
            "write http(s)://host:port/path" + (f"; did you mean {near[0]}://?" if near and not bad else "")
        )
    if parts.username or parts.password or parts.query:
        raise ValueError("holds what may be secret (a password, or what follows ?): put it into a file, and name that")
    return url


def _kinds(kinds: tuple[str, ...]) -> tuple[str, ...]:
    for kind in kinds:
        if kind not in KINDS:
            near = difflib.get_close_matches(kind, KINDS, 1)
            raise ValueError(f"no alert is of the kind {kind}" + (f"; did you mean {near[0]}?" if near else ""))
    return kinds


Url = Annotated[str, AfterValidator(_url)]


class _Channel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: Annotated[tuple[str, ...], AfterValidator(_kinds)] | None = Field(None, min_length=1)
    """Only alerts of these kinds; all where left out."""

    @property
    def only(self) -> frozenset[str] | None:
        return None if self.kinds is None else frozenset(self.kinds)


class AlertmanagerChannel(_Channel):
    """`urls`: all instances. A password or a token is a file."""

    type: Literal["alertmanager"]
    urls: tuple[Url, ...] = Field(min_length=1)
    username: str | None = None
    password_file: Path | None = None
    bearer_token_file: Path | None = None
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _together(self) -> AlertmanagerChannel:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file go together")
        if self.password_file and self.bearer_token_file:
            raise ValueError("password_file and bearer_token_file exclude each other")
        return self


class WebhookChannel(_Channel):
    """`url`, or `url_file` where the URL itself is secret. `secret_file` holds the key that signs."""

    type: Literal["webhook"]
    url: Url | None = None
    url_file: Path | None = None
    secret_file: Path
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _one_url(self) -> WebhookChannel:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("give one of url and url_file")
        return self


class AppriseChannel(_Channel):
    """`url_file` holds one URL of apprise, which is the secret."""

    type: Literal["apprise"]
    url_file: Path


_MODELS: dict[str, type[AlertmanagerChannel | WebhookChannel | AppriseChannel]] = {
    "alertmanager": AlertmanagerChannel,
    "webhook": WebhookChannel,
    "apprise": AppriseChannel,
}


def channels(path: Path, source: str, now_ns: Callable[[], int]) -> list[Channel]:
    """All channels of the file; `source` is who speaks. Raises `Misconfigured` with one line per mistake."""
    mistakes: list[str] = []
    found: list[Channel] = []
    for name, said in _read(path).items():
        try:
            found.append(_opened(str(name), _checked(str(name), said), source, now_ns))
        except Misconfigured as error:
            mistakes.append(f"{path}: {error}")
    if mistakes:
        raise Misconfigured("\n".join(mistakes))
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.safe_load(text) if path.suffix in {".yaml", ".yml"} else tomllib.loads(text)
    except OSError as error:
        raise Misconfigured(f"FLOPLEDGER_CHANNELS names {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict) or set(values) != {"channels"} or not isinstance(values["channels"], dict):
        raise Misconfigured(f"{path}: holds one table, `channels`, with a table for each channel in it")
    return values["channels"]


def _checked(name: str, said: Any) -> AlertmanagerChannel | WebhookChannel | AppriseChannel:
    kind = said.get("type") if isinstance(said, dict) else None
    if kind not in _MODELS:
        near = difflib.get_close_matches(str(kind), _MODELS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_MODELS)}"
        raise Misconfigured(
            f"channel {name}: type is {kind!r}; {hint}" if kind else f"channel {name}: has no type; {hint}"
        )
    if not NAME.fullmatch(name):
        raise Misconfigured(f"channel {name}: a name is made of a to z, 0 to 9, - and _, 63 at most")
    model = _MODELS[kind]
    try:
        return model.model_validate_json(orjson.dumps(said))
    except ValidationError as error:
        raise Misconfigured("; ".join(_sentence(name, model, detail) for detail in error.errors())) from error


def _sentence(name: str, model: type[BaseModel], detail: Any) -> str:
    where = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where, model.model_fields, 1, cutoff=0.5)
        return f"channel {name}: {where} is not known" + (f"; did you mean {near[0]}?" if near else "")
    # What was given is not repeated: it may be a secret in the wrong place.
    said = detail["msg"].removeprefix("Value error, ")
    return f"channel {name}: {where}: {said}" if where else f"channel {name}: {said}"


def _opened(
    name: str,
    said: AlertmanagerChannel | WebhookChannel | AppriseChannel,
    source: str,
    now_ns: Callable[[], int],
) -> Channel:
    # Files are named in it, and nothing that stands in them.
    sha256 = hashlib.sha256(orjson.dumps(said.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).hexdigest()
    ca_file = getattr(said, "ca_file", None)
    if ca_file is not None and not ca_file.is_file():
        raise Misconfigured(f"channel {name}: ca_file {ca_file} does not exist")
    if isinstance(said, AlertmanagerChannel):
        for field in ("password_file", "bearer_token_file"):
            secret_file: Path | None = getattr(said, field)
            if secret_file is not None:
                check_secret(name, field, secret_file)
        return Alertmanager(
            name,
            sha256,
            said.urls,
            said.username,
            said.password_file,
            said.bearer_token_file,
            ca_file,
            said.only,
            source,
            now_ns,
        )
    if isinstance(said, WebhookChannel):
        _check_key(name, said.secret_file)
        if said.url_file is not None:
            _check_url(name, said.url_file)
        return Webhook(name, sha256, said.url, said.url_file, said.secret_file, ca_file, said.only, source, now_ns)
    from collector.notify.channels.apprise_url import AppriseUrl, opened  # noqa: PLC0415 - loading it takes seconds

    try:
        opened(check_secret(name, "url_file", said.url_file))
    except Refused as error:
        raise Misconfigured(f"channel {name}: url_file {said.url_file} {error}") from error
    return AppriseUrl(name, sha256, said.url_file, said.only)


def _check_key(name: str, path: Path) -> None:
    try:
        key = key_of(check_secret(name, "secret_file", path))
    except ValueError as error:
        raise Misconfigured(f"channel {name}: secret_file {path}: {error}") from error
    if len(key) < SHORTEST_SECRET:
        raise Misconfigured(
            f"channel {name}: secret_file {path}: a key of {len(key)} bytes is too short to sign with; "
            'make one with: echo "whsec_$(openssl rand -base64 32)"'
        )


def _check_url(name: str, path: Path) -> None:
    url = check_secret(name, "url_file", path)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "\n" in url:
        raise Misconfigured(f"channel {name}: url_file {path} does not hold one http(s)://host:port/path")
