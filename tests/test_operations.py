"""What docs/operations.md tells an operator to run is read by the engine, and names roles and settings that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from cli.settings import PREFIX, Settings
from ledger import roles
from tests.ledger.engine import engine, engine_dir, store

if TYPE_CHECKING:
    from ledger.store import Store

__all__ = ["engine", "engine_dir", "store"]

TEXT = (Path(__file__).parents[1] / "docs" / "operations.md").read_text(encoding="utf-8")


def test_the_engine_reads_every_statement(store: Store) -> None:
    blocks = [part for block in re.findall(r"```sql\n(.*?)```", TEXT, re.DOTALL) for part in block.split(";")]
    inline = re.findall(r"`((?:SELECT|CREATE|ALTER) [^`]*)`", TEXT)
    found = [part.strip() for part in (*blocks, *inline) if part.strip()]
    assert len(found) >= 10
    for statement in found:
        sql = statement.replace("entry_index = …", "entry_index = 1").replace("ON CLUSTER …", "ON CLUSTER c")
        store.query("SELECT formatQuery({sql:String})", {"sql": sql})
        if sql.startswith("SELECT") and "system.distribution_queue" not in sql:
            store.query(sql)


def test_roles_and_settings_are_called_as_they_are() -> None:
    for role in (roles.AUDITOR, roles.COLLECTOR, roles.REQUESTER):
        assert f"| `{role}` |" in TEXT
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {f"{PREFIX}TEST_CLICKHOUSE"}
    assert set(re.findall(rf"{PREFIX}[A-Z_]+", TEXT)) <= known
