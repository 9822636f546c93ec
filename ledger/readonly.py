"""What a stranger may ask: one statement that reads our tables, found by parsing and not by pattern.

The engine's own read-only mode is not enough: it lets `INTO OUTFILE` write files and `KILL QUERY` through. And two
parsers can read one text in two ways, so the engine gets only what ours understood: the tokens, without comments, and
none of a kind that the engine would cut differently.
"""

from __future__ import annotations

import logging
import re

import sqlglot
from sqlglot import Token, TokenType, exp
from sqlglot.errors import SqlglotError

from ledger.errors import Refused

# It warns on stderr of every statement that it cannot parse; we refuse those.
logging.getLogger("sqlglot").setLevel(logging.ERROR)

_READ = "SELECT, DESCRIBE, SHOW"
_READING = (exp.Select, exp.SetOperation, exp.Describe)
_BEGINNINGS = frozenset({"SELECT", "WITH", "FROM", "DESCRIBE", "DESC", "SHOW", "("})
_SHOWN = frozenset({"TABLES", "DATABASES", "COLUMNS", "INDEXES", "CREATE"})
_OUR_VIEWS = frozenset({"account_parts_at", "subject_totals_at", "threshold_status_at"})
"""Views that take parameters, which read like table functions."""
_TABLE_FUNCTIONS = frozenset({"numbers", "generate_series", "generateseries"}) | _OUR_VIEWS
_SPEAKING_FUNCTIONS = (
    *("file", "url", "s3", "remote", "executable", "hdfs", "mysql", "postgresql", "mongodb", "redis"),
    *("azure", "catboost", "cluster", "iceberg", "deltalake", "odbc", "jdbc", "sqlite", "gcs", "python"),
)
"""Beginnings of functions that reach files or the network; the engine refuses most of them too, in its own words."""
_QUOTED_TOKENS = frozenset({TokenType.STRING, TokenType.IDENTIFIER})
_QUOTED = re.compile(r"([`\"])[^`\"\\]+\1")
_PLAIN = re.compile(r"[^\"'`$\\\x00\x7f-\U0010ffff]+")
_NAME = re.compile(r"\w+", re.ASCII)


def check(sql: str) -> str:
    """What of `sql` the engine may see; raises `Refused` naming what does not pass."""
    try:
        tokens = sqlglot.tokenize(sql, read="clickhouse")
        while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
            tokens.pop()
        _check_tokens(tokens)
        if tokens[0].token_type is TokenType.SHOW:
            return f"SHOW {_show(tokens)}"
        understood = _join(sql, tokens)
        statements = [statement for statement in sqlglot.parse(understood, read="clickhouse") if statement is not None]
    except SqlglotError as error:
        raise Refused(f"not a statement we can read: {str(error).splitlines()[0]}") from error
    if len(statements) != 1:
        raise Refused(f"one statement at a time, not {len(statements)}")
    statement = statements[0]
    if not isinstance(statement, _READING):
        raise Refused(f"only statements that read: {_READ}; not {statement.key.upper()}")
    for node in statement.walk():
        _check_node(node)
    return understood


def split_format(sql: str) -> tuple[str, str | None]:
    """A statement without the `FORMAT name` at its end, and that name; raises `Refused` as `check` does."""
    try:
        tokens = sqlglot.tokenize(sql, read="clickhouse")
        if len(tokens) > 1 and tokens[0].token_type is TokenType.SHOW:
            # What follows SHOW reaches us as one token.
            rest, form = split_format(tokens[1].text)
            return (sql, None) if form is None or len(tokens) > 2 else (f"SHOW {rest}", form)
    except SqlglotError as error:
        raise Refused(f"not a statement we can read: {str(error).splitlines()[0]}") from error
    while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
        tokens.pop()
    if len(tokens) < 2:
        return sql, None
    word, name = tokens[-2:]
    if _QUOTED_TOKENS & {word.token_type, name.token_type} or word.text.upper() != "FORMAT":
        return sql, None
    if name.text.upper() in {"ASC", "DESC"} or _NAME.fullmatch(name.text) is None:
        return sql, None
    return sql[: word.start], name.text


def _check_tokens(tokens: list[Token]) -> None:
    if not tokens:
        raise Refused("one statement, please: nothing was asked")
    if tokens[0].text.upper() not in _BEGINNINGS:
        raise Refused(f"only statements that read: {_READ}; not {tokens[0].text.upper():.40}")
    if any(token.token_type is TokenType.INTO for token in tokens):
        raise Refused("INTO writes")


def _join(sql: str, tokens: list[Token]) -> str:
    parts: list[str] = []
    end = 0
    for token in tokens:
        text = sql[token.start : token.end + 1]
        if token.token_type is TokenType.IDENTIFIER:
            fits = _QUOTED.fullmatch(text)
        elif token.token_type is not TokenType.STRING:
            fits = _PLAIN.fullmatch(text)
        else:
            fits = re.fullmatch("'.*'", text, re.DOTALL)
        if fits is None:
            raise Refused(f"{text:.40}: only plain names, numbers and 'strings', please")
        gap = sql[end : token.start]
        parts += [gap if not gap.strip() else " ", text]
        end = token.end + 1
    return "".join(parts).strip()


def _show(tokens: list[Token]) -> str:
    """SHOW reaches us as one token after the word."""
    if len(tokens) != 2:
        raise Refused("one statement at a time, beginning with what to SHOW")
    rest = tokens[1].text
    words = sqlglot.tokenize(rest, read="clickhouse")
    shown = {word.text.upper() for word in words if word.token_type is not TokenType.STRING}
    if not words or words[0].text.upper() not in _SHOWN or shown & {"INTO", "SETTINGS", "FORMAT", "("}:
        raise Refused(f"of SHOW only {', '.join(sorted(_SHOWN))}, and nothing behind them")
    return _join(rest, words)


def _check_node(node: exp.Expr) -> None:
    if isinstance(node, exp.Into | exp.Insert | exp.Create | exp.Drop | exp.Command | exp.Alter | exp.Kill):
        raise Refused(f"{node.key.upper()} writes or reaches outside")
    if isinstance(node, exp.Table):
        _check_table(node)
    if isinstance(node, exp.Func) and _function_name(node).startswith(_SPEAKING_FUNCTIONS):
        raise Refused(f"function {_function_name(node)} reaches files or the network")
    if node.args.get("settings"):
        raise Refused("SETTINGS cannot be changed")
    if node.args.get("format"):
        raise Refused("FORMAT cannot be chosen here: leave it out")


def _check_table(table: exp.Table) -> None:
    if isinstance(table.this, exp.Func):
        name = _function_name(table.this)
        if name not in _TABLE_FUNCTIONS:
            raise Refused(f"table function {name} is not allowed")
        return
    if not isinstance(table.this, exp.Identifier):
        raise Refused("a table is called by its name")
    alias = table.args.get("alias")
    # `dictionary('x')` and `DESCRIBE file('x')` are calls as well, though not to this parser.
    if isinstance(table.parent, exp.Schema) or (alias is not None and alias.this is None):
        raise Refused(f"table function {table.name} is not allowed")
    for name in filter(None, (table.name, table.db, table.catalog)):
        if _NAME.fullmatch(name) is None:
            raise Refused(f"{name!r} is no table of the ledger")


def _function_name(node: exp.Func) -> str:
    name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
    return str(name).lower()
