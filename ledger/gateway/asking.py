"""What a client asks: statement, parameters, format and compression, from wherever in the request it put them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from typing import TYPE_CHECKING

from ledger.errors import Refused
from ledger.gateway.compression import chosen
from ledger.gateway.errors import BAD_ARGUMENTS, READONLY, SYNTAX_ERROR, UNKNOWN_DATABASE, UNKNOWN_FORMAT, Failed
from ledger.gateway.formats import DEFAULT, MEDIA_TYPES
from ledger.readonly import check, split_format

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DATABASES = frozenset({"default", "system", "information_schema", "INFORMATION_SCHEMA"})
# How an answer looks. Not `format_…` and not `output_format_schema`: those name files.
_LOOKS = re.compile(
    r"output_format_(?:json|csv|tsv|binary|native|arrow|parquet|orc|avro|pretty|msgpack|values|markdown)_\w+"
    r"|output_format_(?:write_statistics|decimal_trailing_zeros)|date_time_output_format|join_use_nulls|extremes|limit"
    r"|bool_(?:true|false)_representation"
)
_VALUE = re.compile(r"[\w.:+/-]{0,64}")
_PARAMETER = re.compile(r"param_([A-Za-z_]\w*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, checked: `sql` is what the engine may see."""

    sql: str
    form: str
    database: str
    parameters: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    encoding: str | None = None
    framed: bool = False
    revision: int = 0
    query_id: str | None = None


def understood(query: Iterable[tuple[str, str]], headers: Mapping[str, str], body: bytes) -> Asked:
    """The question in a request; raises `Failed` with what is wrong with it."""
    given = dict(query)
    if headers.get("content-encoding", "identity") != "identity" or given.get("decompress") == "1":
        # An insert sends its statement in the address: that it is one is the better answer.
        _checked(given.get("query") or "SELECT 1")
        raise Failed(BAD_ARGUMENTS, "only statements that read, sent as plain text: compressed requests are not taken")
    media_type = headers.get("content-type", "")
    if media_type.startswith("multipart/form-data"):
        given |= _form(media_type, body)
        text = given.get("query", "")
    else:
        # As the server does it: what the address holds comes first.
        text = "\n".join(part for part in (given.get("query", ""), _text(body)) if part)
    sql, named = _checked(text)
    form = named or given.get("default_format") or headers.get("x-clickhouse-format") or DEFAULT
    if form not in MEDIA_TYPES:
        raise Failed(UNKNOWN_FORMAT, f"Unknown format {form:.40}: answers come as {', '.join(sorted(MEDIA_TYPES))}")
    database = given.get("database") or headers.get("x-clickhouse-database") or "default"
    if database not in DATABASES:
        raise Failed(UNKNOWN_DATABASE, f"Database {database:.40} does not exist: the ledger is in `default`")
    return Asked(
        sql,
        form,
        database,
        {found[1]: value for name, value in given.items() if (found := _PARAMETER.fullmatch(name))},
        {name: value for name, value in given.items() if _LOOKS.fullmatch(name) and _VALUE.fullmatch(value)},
        chosen(headers.get("accept-encoding", "")) if given.get("enable_http_compression") == "1" else None,
        given.get("compress") == "1",
        _revision(given.get("client_protocol_version", "0")),
        given.get("query_id") or headers.get("x-clickhouse-query-id"),
    )


def _checked(text: str) -> tuple[str, str | None]:
    try:
        statement, form = split_format(text)
        return check(statement), form
    except Refused as error:
        code = SYNTAX_ERROR if str(error).startswith(("not a statement", "one statement")) else READONLY
        asked = " ".join(text.split())
        raise Failed(code, f"{error}. In: {asked[:120]}{'…' if len(asked) > 120 else ''}") from error


def _form(media_type: str, body: bytes) -> dict[str, str]:
    message = message_from_bytes(f"Content-Type: {media_type}\r\n\r\n".encode() + body, policy=HTTP)
    found = {}
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() or not isinstance(name, str):
            raise Failed(BAD_ARGUMENTS, "external tables are not taken: ask about what the ledger holds")
        found[name] = _text(part.get_payload(decode=True) or b"")
    return found


def _text(data: object) -> str:
    try:
        return bytes(data).decode() if isinstance(data, bytes) else ""
    except UnicodeDecodeError as error:
        raise Failed(BAD_ARGUMENTS, f"the statement is not UTF-8 at byte {error.start}") from error


def _revision(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise Failed(BAD_ARGUMENTS, f"client_protocol_version {text:.20} is not a number") from error
