"""One engine per test module: a process holds one directory at a time, and opening one takes a while."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.access import Holder
from ledger.journal import Journal
from ledger.ledger import Ledger
from ledger.migrate import migrate
from ledger.store import Store
from tests.ledger.chains import NOW_NS, empty

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER_KEY = Ed25519PrivateKey.from_private_bytes(b"the ledger's own key, for tests.")


class Clock:
    """Stands still until it is told the time."""

    def __init__(self, now_ns: int = NOW_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture(scope="module")
def engine_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory whose ledger is open."""
    return tmp_path_factory.mktemp("engine")


@pytest.fixture(scope="module")
def engine(engine_dir: Path) -> Iterator[Store]:
    """Tables as the migrations make them, with whatever the test before left in them."""
    store = Store.embedded(engine_dir / "ledger")
    migrate(store)
    yield store
    store.close()


@pytest.fixture
def store(engine: Store) -> Store:
    """Tables with nothing in them."""
    empty(engine)
    return engine


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(store: Store, clock: Clock) -> Ledger:
    """An empty ledger."""
    return opened(store, clock)


@contextmanager
def held(directory: Path) -> Iterator[Ledger]:
    """The ledger in `directory`, held by this process, which serves it to the commands that a test runs."""
    ledger = Ledger.open(directory, Clock())
    holder = Holder(ledger, directory)
    holder.start()
    yield ledger
    holder.stop()
    ledger.close()


def opened(store: Store, clock: Clock) -> Ledger:
    """The ledger as a process finds it that has just started."""
    return Ledger(store, Journal(store, LEDGER_KEY, clock), clock)
