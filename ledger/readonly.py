"""What a stranger may ask: one statement that reads our tables, found by parsing and not by pattern.

The engine's own read-only mode is not enough: it lets `INTO OUTFILE` write files and `KILL QUERY` through.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from ledger.errors import Refused

_READING = (exp.Select, exp.SetOperation, exp.Describe, exp.Show)
_TABLE_FUNCTIONS = frozenset({"numbers", "zeros", "generate_series", "generateseries", "values"})
_SPEAKING_FUNCTIONS = ("file", "url", "s3", "remote", "executable", "hdfs", "mysql", "postgresql", "mongodb", "redis")
"""Beginnings of functions that reach files or the network; the engine refuses them too, in its own words."""


def check(sql: str) -> str:
    """`sql` without what stands after it; raises `Refused` naming what does not pass."""
    try:
        statements = [statement for statement in sqlglot.parse(sql, read="clickhouse") if statement is not None]
    except SqlglotError as error:
        raise Refused(f"not a statement we can read: {str(error).splitlines()[0]}") from error
    if len(statements) != 1:
        raise Refused(f"one statement at a time, not {len(statements)}")
    statement = statements[0]
    if not isinstance(statement, _READING):
        raise Refused(f"only statements that read: SELECT, DESCRIBE, SHOW; not {statement.key.upper()}")
    for node in statement.walk():
        _check_node(node)
    return sql.strip().rstrip(";")


def _check_node(node: exp.Expr) -> None:
    if isinstance(node, exp.Into | exp.Insert | exp.Create | exp.Drop | exp.Command | exp.Alter | exp.Kill):
        raise Refused(f"{node.key.upper()} writes or reaches outside")
    if isinstance(node, exp.Table) and isinstance(node.this, exp.Func):
        name = _function_name(node.this)
        if name not in _TABLE_FUNCTIONS:
            raise Refused(f"table function {name} is not allowed")
    if isinstance(node, exp.Func) and _function_name(node).startswith(_SPEAKING_FUNCTIONS):
        raise Refused(f"function {_function_name(node)} reaches files or the network")
    if isinstance(node, exp.Select) and node.args.get("settings"):
        raise Refused("SETTINGS cannot be changed")


def _function_name(node: exp.Func) -> str:
    name = node.name if isinstance(node, exp.Anonymous) else node.sql_name()
    return str(name).lower()
