"""The server as pytest fixtures: one process for the whole session, a database for each module."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.services.clickhouse.service import ClickHouseService, GivenClickHouse

if TYPE_CHECKING:
    from collections.abc import Iterator

GIVEN = "FLOPLEDGER_TEST_CLICKHOUSE"


@pytest.fixture(scope="session")
def clickhouse(request: pytest.FixtureRequest) -> GivenClickHouse:
    """The server that FLOPLEDGER_TEST_CLICKHOUSE names, or the embedded engine behind HTTP."""
    given = os.environ.get(GIVEN)
    if given:
        return GivenClickHouse(given)
    service: ClickHouseService = request.getfixturevalue("clickhouse_service")
    return service


@pytest.fixture(scope="session")
def clickhouse_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseService]:
    """Our own, which tests may kill if they bring it back, and whose inserts they may make fail."""
    if os.environ.get(GIVEN):
        pytest.skip(f"{GIVEN} names a server that is not ours to kill, nor to make fail")
    with ClickHouseService(tmp_path_factory.mktemp("clickhouse") / "engine") as service:
        yield service


@pytest.fixture(scope="module")
def clickhouse_url(clickhouse: GivenClickHouse, request: pytest.FixtureRequest) -> str:
    """The URL of an empty database that is this module's own."""
    return clickhouse.make_database(re.sub(r"\W", "_", request.module.__name__))
