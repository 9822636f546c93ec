from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.collector.notify.world import Times
from tests.ledger.engine import engine, engine_dir, opened, store

if TYPE_CHECKING:
    from ledger.ledger import Ledger
    from ledger.store import Store

__all__ = ["engine", "engine_dir", "store"]


@pytest.fixture
def times() -> Times:
    return Times()


@pytest.fixture
def ledger(store: Store, times: Times) -> Ledger:
    """An empty ledger on the clock of the test."""
    return opened(store, times.wall)  # type: ignore[arg-type]
