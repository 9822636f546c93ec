"""docs/data-dictionary.md says what every table, view and column of the schema is."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.store import Store

ROOT = Path(__file__).parents[2]


def test_the_data_dictionary_is_up_to_date_and_leaves_nothing_out(engine: Store) -> None:
    written = runpy.run_path(str(ROOT / "scripts" / "data_dictionary.py"))["dictionary"](engine)
    assert (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8") == written
