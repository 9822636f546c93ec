"""What is computed ahead is kept up on a server too, by the collector that writes the journal."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest

from ledger.errors import Retry
from ledger.journal import Journal
from ledger.ledger import Ledger
from ledger.migrate import migrate
from ledger.place import Server, server
from ledger.refreshing import refreshing
from ledger.store import Store
from tests.ledger.chains import Chain, meter, take
from tests.ledger.engine import LEDGER_KEY, Clock
from wire.keys import load_or_create_key

_CURVE = "SELECT run_id, flop FROM run_hours"


@pytest.fixture(scope="module")
def place(clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Server:
    key_file = tmp_path_factory.mktemp("keys") / "ledger.key"
    load_or_create_key(key_file)
    return server(clickhouse_url, key_file)


def test_only_the_journals_writer_refreshes_and_a_server_that_was_away_is_tried_again(place: Server) -> None:
    asked, opened, writes = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    away = [True]

    def ours() -> bool:
        asked.release()
        return writes.is_set()

    def open_store() -> Store:
        opened.release()
        if away.pop():
            away.append(False)
            raise Retry("away")
        away.append(False)
        return Store.server(place)

    with closing(Store.server(place)) as store:
        migrate(store)
        ledger = Ledger(store, Journal(store, LEDGER_KEY, Clock()), Clock())
        with refreshing(open_store, ours, every_s=0.02, share=0):
            take(ledger, [Chain(1).seal(meter(7, run="r"))])
            for _ in range(3):
                assert asked.acquire(timeout=30)
            assert not opened.acquire(blocking=False)
            assert store.query(_CURVE).rows == []
            writes.set()
            for _ in range(2):
                assert opened.acquire(timeout=30)
            assert next(filter(None, (store.query(_CURVE).rows for _ in range(1_000))), None) == [("r", 7)]
        assert not opened.acquire(blocking=False)
