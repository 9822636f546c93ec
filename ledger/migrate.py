"""Numbered migrations, each applied once and never changed afterwards."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING

from ledger.cluster import sharded_by
from ledger.errors import Damaged, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ledger.cluster import Cluster
    from ledger.store import Store

MIGRATIONS_TABLE = """\
CREATE TABLE IF NOT EXISTS migrations
(
    number     UInt32 COMMENT 'place in the order',
    name       String,
    sha256     String COMMENT 'hash of the file, hex',
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree
ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1
COMMENT 'Which migrations this ledger has seen'"""
_APPLIED = "SELECT number, sha256 FROM migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of `ledger/migrations`: `0001_evidence.sql` is number 1."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hash of the text, hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The statements, without the comments around them; a semicolon at the end of a line ends one."""
        text = "\n".join(line for line in self.sql.splitlines() if not line.lstrip().startswith("--"))
        return [statement.strip() for statement in (text + "\n").split(";\n") if statement.strip()]


def migrations() -> list[Migration]:
    """All that this version ships, in order."""
    found = []
    for file in sorted((files("ledger") / "migrations").iterdir(), key=lambda file: file.name):
        number, _, name = file.name.removesuffix(".sql").partition("_")
        found.append(Migration(int(number), name, file.read_text(encoding="utf-8")))
    return found


def migrate(store: Store, shipped: Sequence[Migration] | None = None) -> list[Migration]:
    """Apply what is missing, in order; returns what was applied.

    DDL knows no transactions: a migration that died half-way is run again, so every statement is made to be repeatable.
    Raises `Damaged` when a migration was changed after it was applied, or when a newer version has been here.
    """
    shipped = migrations() if shipped is None else shipped
    for statement in statements(MIGRATIONS_TABLE, shipped, store.cluster):
        store.command(statement)
    applied = {row[0]: row[1] for row in store.query(_APPLIED).rows}
    _refuse_others(applied, shipped)
    missing = [migration for migration in shipped if migration.number not in applied]
    for migration in missing:
        for statement in migration.statements:
            for part in statements(statement, shipped, store.cluster):
                store.command(part)
        store.command(
            f"INSERT INTO migrations (number, name, sha256) "
            f"VALUES ({migration.number}, '{migration.name}', '{migration.sha256}')"
        )
    return missing


def refuse_unmigrated(store: Store) -> None:
    """Raises `Refused` for a server whose tables are not those of this version: making them is an operator's to say."""
    ((exists,),) = store.query(
        "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'migrations'"
    ).rows
    applied = {row[0]: row[1] for row in store.query(_APPLIED).rows} if exists else {}
    _refuse_others(applied, migrations())
    missing = [str(migration.number) for migration in migrations() if migration.number not in applied]
    if missing:
        raise Refused(f"the server's tables lack migration {', '.join(missing)}: run `flopledger ledger migrate` first")


def _refuse_others(applied: Mapping[int, str], shipped: Sequence[Migration]) -> None:
    by_number = {migration.number: migration for migration in shipped}
    for number, sha256 in applied.items():
        if number not in by_number:
            raise Damaged(f"migration {number} is unknown here: a newer flopledger wrote this ledger; upgrade")
        if by_number[number].sha256 != sha256:
            raise Damaged(
                f"migration {number} ({by_number[number].name}) is not the one that this ledger was made with"
            )


def statements(statement: str, shipped: Iterable[Migration], cluster: Cluster | None) -> list[str]:
    """What to run for it: itself, or what a cluster makes of it; made so that it can be run again."""
    if cluster is not None:
        return cluster.statements(statement, sharded_by(migration.sql for migration in shipped))
    for verb in ("CREATE TABLE ", "CREATE VIEW ", "CREATE MATERIALIZED VIEW "):
        if statement.startswith(verb):
            return [f"{verb}IF NOT EXISTS {statement.removeprefix(verb).removeprefix('IF NOT EXISTS ')}"]
    return [statement]
