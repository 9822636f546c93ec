"""The migrations' statements for a cluster: the same SQL, with ON CLUSTER, Replicated engines and Distributed tables.

A table is copied whole to every node of the cluster, so that every statement means what it means on one server. A large
one says `-- sharded by EXPRESSION` above its CREATE TABLE: then each shard holds its part in `NAME_local`, and NAME is
the Distributed table over all of them. The expression must keep on one shard whatever the engine merges into one row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SHARDED = re.compile(r"^-- sharded by (.+)\n(?:--.*\n)*CREATE TABLE (\w+)", re.MULTILINE)
_CREATE = re.compile(r"CREATE (TABLE|VIEW|MATERIALIZED VIEW) (?:IF NOT EXISTS )?(\w+)\b")
_ENGINE = re.compile(r"\bENGINE = (\w*MergeTree)(?:\(([^)]*)\))?")
_COMMENT = re.compile(r"\nCOMMENT '(?:[^']|'')*'\s*$")
_LOCAL = "_local"
PATH = "/clickhouse/tables"
"""Where Keeper has the replicated tables; the same for a table that is made again, so that no replica stands alone."""


def sharded_by(scripts: Iterable[str]) -> dict[str, str]:
    """Table → expression, as these migrations say."""
    return {table: expression for sql in scripts for expression, table in _SHARDED.findall(sql)}


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster as the servers' own configuration calls it, and the database in it."""

    name: str
    database: str

    def statements(self, statement: str, shards: Mapping[str, str]) -> list[str]:
        """What to send to any one node; raises ValueError for a statement that has no rule yet."""
        created = _CREATE.match(statement)
        if created is None:
            raise ValueError(f"no rule for a cluster: {statement.splitlines()[0]}")
        kind, name = created.groups()
        rest = statement[created.end() :]
        if kind == "VIEW":
            return [self._create(kind, name, rest)]
        if kind == "MATERIALIZED VIEW":
            # It is fed by what is inserted here, and feeds what is stored here.
            return [self._create(kind, name, _with_local_tables(rest, shards))]
        if name not in shards:
            return [self._create(kind, name, _replicated(rest, f"{PATH}/all", "{shard}-{replica}"))]
        comment = _COMMENT.search(rest)
        distributed = (
            f" AS {name}{_LOCAL}\n"
            f"ENGINE = Distributed('{self.name}', '{self.database}', '{name}{_LOCAL}', {shards[name]})"
            f"{comment[0] if comment else ''}"
        )
        return [
            self._create(kind, name + _LOCAL, _replicated(rest, f"{PATH}/{{shard}}", "{replica}")),
            self._create(kind, name, distributed),
        ]

    def _create(self, kind: str, name: str, rest: str) -> str:
        return f"CREATE {kind} IF NOT EXISTS {name} ON CLUSTER {self.name}{rest}"


def _with_local_tables(sql: str, shards: Iterable[str]) -> str:
    names = "|".join(map(re.escape, shards))
    return re.sub(rf"\b(TO|FROM|JOIN) ({names})\b", rf"\1 \2{_LOCAL}", sql) if names else sql


def _replicated(rest: str, path: str, replica: str) -> str:
    def engine(found: re.Match[str]) -> str:
        arguments = [f"'{path}/{{database}}/{{table}}'", f"'{replica}'", *filter(None, [found[2]])]
        return f"ENGINE = Replicated{found[1]}({', '.join(arguments)})"

    replaced, count = _ENGINE.subn(engine, rest)
    if count != 1:
        raise ValueError(f"a table of a cluster has one MergeTree engine, not {count}")
    return replaced
