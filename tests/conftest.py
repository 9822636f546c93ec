"""What every test may ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

pytest_plugins = [
    "tests.services.alertmanager.fixtures",
    "tests.services.clickhouse.fixtures",
    "tests.services.kafka.fixtures",
    "tests.services.prometheus.fixtures",
]

TESTS = Path(__file__).parent
LONG = ("standalone", "chaos", "collector/test_rolling_upgrade.py", "collector/notify", "images", "ledger/proof")
"""Begun first, so that in the end no worker is left alone with one of them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of `LONG`, then as collected."""
    items.sort(
        key=lambda item: next((n for n, place in enumerate(LONG) if item.path.is_relative_to(TESTS / place)), 99)
    )
