"""What holds for the ledger in a directory holds for the one on a server, reached by the real HTTP client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ledger.migrate import migrate
from ledger.place import server
from ledger.store import Store
from tests.ledger.test_conservation import (
    test_any_order_any_repetition_and_any_cut_into_polls_give_the_same_totals,
    test_sums_are_exact_for_any_meters,
)
from tests.ledger.test_journal import *  # noqa: F403
from tests.ledger.test_record import *  # noqa: F403

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "test_any_order_any_repetition_and_any_cut_into_polls_give_the_same_totals",
    "test_sums_are_exact_for_any_meters",
]


@pytest.fixture(scope="module")
def engine(clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Tables as the migrations make them, on a server."""
    store = Store.server(server(clickhouse_url, tmp_path_factory.mktemp("keys") / "ledger.key"))
    migrate(store)
    yield store
    store.close()
